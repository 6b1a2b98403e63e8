"""`jobs list|show|wait|cancel|retry`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from llmops.context import Context, common, group
from llmops.errors import LLMOpsError
from llmops.output import as_text, json_text, one_line

if TYPE_CHECKING:
    from llmops.jobs.rows import Job
    from llmops.types import Json

COLUMNS = ["id", "kind", "about", "state", "priority", "position", "waited", "age", "done", "total", "failed", "error"]
MOST_SHOWN, LONGEST_SHOWN = 20, 300


@group
def jobs() -> None:
    """Look at the work in progress."""


@jobs.command("list")
@click.option("--state", type=click.Choice(["queued", "running", "done", "failed", "cancelled"]), help="Only the jobs in this state.")
@common("jobs:read")
def list_(context: Context, state: str | None) -> None:
    """List the jobs of a workspace, newest first, and of those that wait the place in the queue."""
    from llmops.durations import told
    from llmops.jobs import queue_rows, rows
    from llmops.output import table

    asker = context.asker()
    found, places = context.home.store.read(
        lambda c: (rows.list_jobs(c, asker.workspace, limit=None), queue_rows.positions(c, None if asker.owner else asker.workspace))
    )
    shown = [_listed(job, job.shown_to(asker), places) for job in found if state in (None, job.state)]
    spans = [{**row, **{name: row[name] if row[name] is None else told(row[name]) for name in ("waited", "age")}} for row in shown]
    context.emit({"data": shown}, table(spans, COLUMNS))


def _listed(job: Job, shown: Json, places: dict[str, int]) -> Json:
    """`waited` and `age` are in seconds; `failed` is how many documents its result lists as failed."""
    failed = (shown["result"] or {}).get("failed")
    return {
        **shown,
        "failed": len(failed) if isinstance(failed, list) else failed,
        "position": places.get(job.id),
        "waited": job.seconds_waiting,
        "age": max(0, int(time.time() - job.created_at)),
    }


@jobs.command()
@click.argument("job_id", metavar="JOB")
@common("jobs:read")
def show(context: Context, job_id: str) -> None:
    """Show one job: its progress, its result, its error."""
    from llmops.jobs import rows

    asker = context.asker()
    _emit(context, context.home.store.read(lambda c: rows.require(c, asker.workspace, job_id)).shown_to(asker))


def _emit(context: Context, shown: Json) -> None:
    """A job for a human: its result field by field below it, of lists how many and the first; the whole of it is with --json."""
    result = shown["result"] or {}
    lines = [as_text({name: value for name, value in shown.items() if name != "result"})]
    for name, value in result.items():
        if isinstance(value, list):
            lines.append(f"  {name}: {len(value)}")
            lines += [f"    {one_line(_told(one))}" for one in value[:MOST_SHOWN]]
            lines += [f"    and {len(value) - MOST_SHOWN} more"] if len(value) > MOST_SHOWN else []
        else:
            text = json_text(value) if isinstance(value, dict) else str(value)
            lines.append(f"  {name}: {text if len(text) <= LONGEST_SHOWN else f'{len(text)} characters, with --json'}")
    context.emit(shown, "\n".join(lines))


def _told(one: Any) -> str:
    return f"{one['external_id']}: {one['error']}" if isinstance(one, dict) and {"external_id", "error"} <= one.keys() else str(one)


@jobs.command()
@click.argument("job_id", metavar="JOB")
@common("jobs:read")
def wait(context: Context, job_id: str) -> None:
    """Wait until a job is over, and show it. Where no server runs, it is carried out here. Exit 3 where it failed or was cancelled."""
    from llmops.jobs.worker import finish

    asker = context.asker()
    job = finish(context.home, asker.workspace, job_id, context.progress(job_id))
    _emit(context, shown := job.shown_to(asker))
    if job.state != "done":
        raise LLMOpsError(f"the job {job.id} is {job.state}: {shown['error'] or ''}".rstrip(": "), hint=f"llmops jobs retry {job.id}")


@jobs.command()
@click.argument("job_id", metavar="JOB")
@common("jobs:cancel")
def cancel(context: Context, job_id: str) -> None:
    """Cancel a queued job, or stop a running one. What it has finished so far stays."""
    from llmops.jobs import rows

    asker = context.asker()
    job = context.home.store.write(lambda c: rows.cancel(c, asker, job_id))
    context.emit(job.shown_to(asker), text=f"{job.id} is cancelled")


@jobs.command()
@click.argument("job_id", metavar="JOB")
@common("jobs:retry")
def retry(context: Context, job_id: str) -> None:
    """Queue a failed or cancelled job again, as it was ordered."""
    from llmops.jobs import rows

    asker = context.asker()
    job = context.home.store.write(lambda c: rows.retry(c, asker, job_id))
    context.emit(job.shown_to(asker), text=f"{job.id} is queued again; `llmops jobs wait {job.id}` waits for it")
