"""What a child of the supervisor runs: `python -m server.child http|worker|prepare`."""

from __future__ import annotations

import ctypes
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import click

from llmops.errors import LLMOpsError
from llmops.home import Home
from llmops.logs import log_to_stderr
from llmops.output import one_line
from llmops.redact import redact
from llmops.settings import Settings
from server import pulse
from server.listen import known_hosts
from server.supervisor import DRAIN

log = logging.getLogger("llmops.server")

SLACK = 2.0
"""Seconds of the drain that are left for closing once requests under way were cut off."""
NICENESS = 10
"""The worker's: where cores are few, a request goes before an ingestion and before the export of traces."""
_PR_SET_PDEATHSIG = 1


@click.group()
def main() -> None:
    """Not for people: `llmops serve` calls this."""
    log_to_stderr()


def _child(function: Callable[..., None]) -> Callable[..., None]:
    for option in (click.option("--config"), click.option("--lifeline", type=int), click.option("--pulse", "descriptor", type=int)):
        function = option(function)
    return function


@main.command()
@_child
def worker(config: str | None, lifeline: int, descriptor: int) -> None:
    """Run the home's jobs until told to stop."""
    from llmops.jobs.worker import run_forever

    stop = threading.Event()
    settings = Settings.load(config)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked, ask = os.pipe()
    os.set_blocking(ask, False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(ask, warn_on_full_buffer=False)
    _die_with_parent()
    os.nice(NICENESS)
    _in_background(lambda: _watch(lifeline, asked, stop.set))
    with Home(settings) as home:
        home.store  # noqa: B018  # opened before the first sign of life
        _in_background(lambda: _beat(descriptor, settings.home))
        run_forever(home, stop)


@main.command()
@_child
@click.option("--socket", "listener", type=int)
def http(config: str | None, lifeline: int, descriptor: int, listener: int) -> None:
    """Serve the application on the supervisor's socket."""
    from server import metric_files

    metric_files.reserve()
    import uvicorn

    from server.app import make_app
    from server.protocol import BoundedHead

    _die_with_parent()
    _in_background(lambda: _watch(lifeline))
    settings = Settings.load(config)
    shared = socket.socket(fileno=listener)
    app = make_app(Home(settings), known_hosts(shared, settings.server.hosts), on_alive=lambda: pulse.beat(descriptor))
    options = uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedHead,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(DRAIN - SLACK),
    )
    uvicorn.Server(options).run(sockets=[shared])


@main.command()
@click.option("--config")
def prepare(config: str | None) -> None:
    """Check the configuration, migrate the store and have the encoder's files ready, once, before several processes want them.

    Prints whether there is a usable key.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _die_with_parent()
    try:
        with Home(Settings.load(config)) as home:
            from llmops.access import keys
            from llmops.encoder import prepare_encoder
            from server.configured import check_configuration

            check_configuration(home)
            usable = home.store.read(keys.any_usable)
            prepare_encoder(home.settings.encoder)
    except LLMOpsError as error:
        click.echo(f"error: {redact(one_line(str(error)))}" + (f"\nhint: {redact(one_line(error.hint))}" if error.hint else ""), err=True)
        sys.exit(error.exit_code)
    click.echo("usable" if usable else "none")


def _beat(descriptor: int, home: Path) -> None:
    while True:
        pulse.touch_worker(home)
        pulse.beat(descriptor)
        time.sleep(pulse.EVERY)


def _die_with_parent() -> None:
    """Let the kernel end this process with the supervisor, even where it hangs."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _watch(lifeline: int, asked: int | None = None, stop: Callable[[], None] | None = None) -> None:
    """End this process when the supervisor is gone, on every system; call `stop` when SIGTERM wrote to `asked`."""
    watched = [lifeline] if asked is None else [lifeline, asked]
    while True:
        readable, _, _ = select.select(watched, [], [])
        if lifeline in readable:
            os._exit(1)
        if asked is not None and os.read(asked, 512) and stop is not None:
            stop()


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


if __name__ == "__main__":
    main()
