"""`llmops serve`: a small parent that holds the home's server lock and the socket, and keeps its children alive.

    supervisor ──┬── worker    the home's jobs and what other stores must still be told
                 ├── http 1    the application, on the shared socket
                 └── http N

A child that dies, or gives no sign of life, is started again. No child outlives the supervisor, however that ends:
each holds the reading end of a pipe whose only writing end is here.
"""

from __future__ import annotations

import logging
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from llmops.quarantine import put_aside

log = logging.getLogger("llmops.supervisor")

DRAIN = 15.0
"""Seconds that requests under way get once the server is told to stop."""
SILENT = 60.0
"""Seconds without a sign of life after which a child is replaced."""
STEADY = 30.0
"""Seconds of life after which a child's earlier deaths are forgotten."""
LONGEST_BACKOFF = 5.0
_TICK = 0.2


@dataclass
class Child:
    """A process that is kept alive: how it is called, and what is known of its present run."""

    name: str
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    pulse: IO[bytes] | None = None
    started: float = 0.0
    heard: float = 0.0
    deaths: int = 0
    due: float = field(default_factory=time.monotonic)
    ready: bool = False


class Supervisor:
    """Keeps one worker and `workers` HTTP processes running on `listener` until it is told to stop."""

    def __init__(self, home: Path, listener: socket.socket, *, workers: int, child_options: list[str], on_ready: Callable[[], None]) -> None:
        self._home, self._listener = home, listener
        self._on_ready: Callable[[], None] | None = on_ready
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._lifeline, self._lifeline_end = os.pipe()
        self._environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(home / "metrics")}
        http = ["http", "--socket", str(listener.fileno()), *child_options]
        self._children = [Child("worker", ["worker", *child_options]), *(Child(f"http-{n + 1}", http) for n in range(workers))]

    def run(self) -> None:
        """Return after SIGTERM or SIGINT, when every child has ended."""
        shutil.rmtree(self._home / "metrics", ignore_errors=True)
        if (self._home / "metrics").exists():  # no folder, or one that is not ours to remove
            put_aside(self._home, self._home / "metrics")
        (self._home / "metrics").mkdir(mode=0o700)
        self._watch_signals()
        try:
            while not self._stopping:
                for child in self._children:
                    self._tend(child)
                self._listen(_TICK)
        finally:
            self._end()

    def _watch_signals(self) -> None:
        """A signal only sets a flag, and a byte in a pipe wakes the loop."""
        awake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._selector.register(awake, selectors.EVENT_READ, None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _tend(self, child: Child) -> None:
        """Start what should run, bury what died, end what hangs."""
        now = time.monotonic()
        if child.process is None:
            if now >= child.due:
                self._start(child)
            return
        if child.process.poll() is not None:
            if now - child.started > STEADY:
                child.deaths = 0
            wait = min(LONGEST_BACKOFF, 0.1 * 2**child.deaths)
            log.error("%s (pid %d) ended with %d; starting it again in %.1f s", child.name, child.process.pid, child.process.returncode, wait)
            child.deaths, child.due = child.deaths + 1, now + wait
            self._forget(child)
        elif now - child.heard > SILENT:
            log.error("%s (pid %d) gives no sign of life; replacing it", child.name, child.process.pid)
            child.process.kill()
            child.heard = now

    def _start(self, child: Child) -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        inherited = (self._lifeline, writing, self._listener.fileno())
        # -P: a folder named `server` where the command was called must not be taken for ours.
        command = [sys.executable, "-P", "-m", "server.child", *child.arguments, "--lifeline", str(self._lifeline), "--pulse", str(writing)]
        child.process = subprocess.Popen(command, pass_fds=inherited, env=self._environment, stdin=subprocess.DEVNULL)  # noqa: S603
        os.close(writing)
        child.pulse = os.fdopen(reading, "rb", buffering=0)
        child.started = child.heard = time.monotonic()
        child.ready = False
        self._selector.register(child.pulse, selectors.EVENT_READ, child)

    def _listen(self, seconds: float) -> None:
        """Take in the children's signs of life."""
        for key, _ in self._selector.select(seconds):
            child = key.data
            if child is None:
                os.read(key.fd, 512)
            elif os.read(key.fd, 512):
                child.heard, child.ready = time.monotonic(), True
            else:  # closed: the process is about to end, which `_tend` will see
                self._selector.unregister(key.fileobj)
        if self._on_ready and all(child.ready for child in self._children):
            self._on_ready()
            self._on_ready = None

    def _forget(self, child: Child) -> None:
        if child.pulse is not None:
            if child.pulse in self._selector.get_map():
                self._selector.unregister(child.pulse)
            child.pulse.close()
        child.process = child.pulse = None

    def _end(self) -> None:
        """Take no more connections, let the children finish, and kill what has not ended in time."""
        self._listener.close()
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        until = time.monotonic() + DRAIN
        for process in running:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("pid %d did not end in time; killing it", process.pid)
                process.kill()
                process.wait()
        os.close(self._lifeline_end)
        shutil.rmtree(self._home / "metrics", ignore_errors=True)
