"""`llmops serve`, `doctor`, `backup` and `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llmops.context import OWNERS, Context, common
from llmops.errors import CheckFailed, LLMOpsError

if TYPE_CHECKING:
    from llmops.types import Json


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; 0.0.0.0 for all of this machine's.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that answer requests.")
@common("")
def serve(context: Context, host: str, port: int, workers: int) -> None:
    """Serve the chat and operations API, and run the jobs, of this home.

    Checks the configuration, migrates the store and loads the encoder by itself.
    Ends on Ctrl-C or SIGTERM, after at most 15 seconds for requests under way.
    """
    import subprocess
    import sys

    from server.listen import bind, note_holder, server_lock, url_of
    from server.supervisor import Supervisor

    home = context.settings.home
    options = ["--config", str(Path(context.config).absolute())] if context.config else []
    with server_lock(home) as lock, bind(host, port) as listener:
        url = url_of(listener)
        note_holder(lock, url)
        prepared = subprocess.run([sys.executable, "-P", "-m", "server.child", "prepare", *options], stdout=subprocess.PIPE, text=True)  # noqa: S603
        if prepared.returncode:
            raise click.exceptions.Exit(prepared.returncode if prepared.returncode in (2, 3) else 3)
        if prepared.stdout.strip() == "none":
            context.message("no key exists yet: `llmops keys create NAME --role admin` makes one")
        Supervisor(home, listener, workers=workers, child_options=options, on_ready=lambda: context.emit({"url": url}, f"serving at {url}")).run()


@click.command()
@click.option("--check/--rebuild", "check", default=True, help="Only look, or make again what is derived.  [default: --check]")
@common(OWNERS)
def doctor(context: Context, check: bool) -> None:
    """Compare all that is derived with the truth, and the truth with itself. Exit 1 where something is wrong.

    --rebuild makes indexes, vectors, counts and other derived things again from the rows, puts what was no good
    into the home's folder `quarantine`, and never changes a document, a right, an answer or a key.
    A server may run meanwhile.
    """
    import time

    from server.doctor import CannotLook, look, rebuild

    began = time.monotonic()
    told = {"done": [], "refused": []} if check else rebuild(context.home, context.asker())
    lines = [*(f"made  {line}" for line in told["done"]), *(f"NOT   {line}" for line in told["refused"])]
    if not context.json:
        for line in lines:
            context.emit(None, line)
    findings = []
    unseen: CannotLook | None = None
    try:
        for found in look(context.home):
            findings.append(found)
            if not context.json:
                context.emit(None, str(found))
    except CannotLook as failure:
        unseen = failure
    wrong = [found.name for found in findings if not found.ok]
    report = {"ok": not wrong, **told, "checks": [found.to_json() for found in findings], "seconds": round(time.monotonic() - began, 3)}
    context.emit(report, f"{len(findings)} checks in {report['seconds']:.1f} s")
    if unseen is not None:
        raise unseen
    if wrong:
        raise CheckFailed(f"wrong: {', '.join(wrong)}", hint="the lines above say what to do")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@common(OWNERS)
def backup(context: Context, file: Path) -> None:
    """Write all that the home keeps into a new FILE, while others go on.

    It holds documents, answers, keys' hashes and the audit log, so keep it as safe as the home. Configuration and what is
    derived are not in it.
    """
    from server.backups import save

    told = save(context.home, context.asker(), file)
    context.emit(told, f"wrote {told['rows']} rows to {told['file']}, {told['bytes'] / 2**20:.1f} MiB, in {told['seconds']:.1f} s")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Put what the home holds aside first.")
@common(OWNERS)
def restore(context: Context, file: Path, force: bool) -> None:
    """Make this home what the backup FILE says, in SQLite or PostgreSQL, whichever [store] names. No server may run.

    FILE is checked before anything is changed.
    """
    from server.backups import restore
    from server.doctor import rebuild

    told = restore(context.settings, context.asker(), file, force=force)
    aside = f"; what was there is now {told['aside']}" if told["aside"] else ""
    if not context.json:  # it is done, whatever becomes of what follows
        context.emit(None, f"restored {told['rows']} rows as of {told['taken']} in {told['seconds']:.1f} s{aside}")
    made: Json = {"done": [], "refused": ["interrupted: `llmops doctor --rebuild` goes on"]}
    try:
        made = rebuild(context.home, context.asker())
    except LLMOpsError as failure:
        made = {"done": [], "refused": [failure.with_hint]}
    finally:
        for line in made["refused"]:
            context.message(f"not made again: {line}")
        if context.json:
            context.emit({**told, **made})
