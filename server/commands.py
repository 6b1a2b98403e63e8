"""`llmops serve`."""

from __future__ import annotations

import click

from llmops.context import Context, common


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
    from pathlib import Path

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
