"""`jobs list|show|cancel`."""

from __future__ import annotations

import click

from llmops.context import Context, common, group


@group
def jobs() -> None:
    """Look at the work in progress."""


@jobs.command("list")
@click.option("--state", type=click.Choice(["queued", "running", "done", "failed", "cancelled"]), help="Only the jobs in this state.")
@common("jobs:read")
def list_(context: Context, state: str | None) -> None:
    """List the jobs of a workspace, newest first."""
    from llmops.jobs import rows
    from llmops.output import iso_time

    asker = context.asker()
    found = context.home.store.read(lambda c: rows.list_jobs(c, asker.workspace, limit=None))
    shown = [{**job.shown_to(asker), "created": iso_time(job.created_at)} for job in found if state in (None, job.state)]
    context.emit_list(shown, columns=["id", "kind", "state", "done", "total", "created", "error"])


@jobs.command()
@click.argument("job_id", metavar="JOB")
@common("jobs:read")
def show(context: Context, job_id: str) -> None:
    """Show one job: its progress, its result, its error."""
    from llmops.jobs import rows

    asker = context.asker()
    context.emit(context.home.store.read(lambda c: rows.require(c, asker.workspace, job_id)).shown_to(asker))


@jobs.command()
@click.argument("job_id", metavar="JOB")
@common("jobs:cancel")
def cancel(context: Context, job_id: str) -> None:
    """Cancel a queued job, or stop a running one. What it has finished so far stays."""
    from llmops.jobs import rows

    asker = context.asker()
    job = context.home.store.write(lambda c: rows.cancel(c, asker, job_id))
    context.emit(job.shown_to(asker), text=f"{job.id} is cancelled")
