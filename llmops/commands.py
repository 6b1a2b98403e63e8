"""`init`, `config show`, `retention` and `completion`."""

from __future__ import annotations

import click

from llmops.context import Context, common, group
from llmops.errors import Unavailable


@click.command()
@click.argument("directory", metavar="[DIR]", default=".")
@common("")
def init(context: Context, directory: str) -> None:
    """Write a commented llmops.toml into DIR.

    Everything in it is commented out, so any table can be appended or uncommented.
    """
    from llmops.starter import write_starter

    path = write_starter(directory)
    context.emit({"path": str(path)}, text=f"wrote {path}")


@group
def config() -> None:
    """Look at the configuration."""


@config.command()
@common("")
def show(context: Context) -> None:
    """Print the effective settings: the file, the environment's overrides and the defaults."""
    from llmops.redact import redact_value
    from llmops.toml_out import as_toml

    values = redact_value(context.settings.model_dump(mode="json"))
    home = str(context.settings.home)
    context.emit({"home": home, **values}, text=f"# home = {home}\n{as_toml(values)}")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common("")
def completion(context: Context, shell: str) -> None:
    """Print the script that completes commands and options in SHELL.

    For bash: eval "$(llmops completion bash)" in ~/.bashrc.
    """
    from click.shell_completion import get_completion_class

    from llmops.cli import COMPLETE

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(click.get_current_context().find_root().command, {}, "llmops", COMPLETE).source()
    context.emit({"shell": shell, "script": script}, text=script)


@group
def retention() -> None:
    """How long things are kept. `llmops serve` carries it out once a day."""


@retention.command("show")
@common("")
def show_retention(context: Context) -> None:
    """Show how long answers, usage, traces and originals are kept."""
    kept = context.settings.retention.model_dump()
    context.emit(kept, "\n".join(f"{name}: {span or 'kept'}" for name, span in kept.items()))


@retention.command("run")
@common("retention:run")
def run_retention(context: Context) -> None:
    """Remove now what [retention] says is over, in this workspace."""
    from llmops.jobs.worker import finish
    from llmops.retention import queue

    home, asker = context.home, context.asker()
    job = finish(home, asker.workspace, queue(home, asker), context.progress("retention"))
    if job.state != "done":
        raise Unavailable(f"the job {job.id} is {job.state}: {job.error}", hint=f"llmops jobs show {job.id}")
    context.emit(job.result, "\n".join(f"{name}: {count} removed" for name, count in (job.result or {}).items()) or "[retention] sets nothing")
