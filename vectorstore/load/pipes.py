"""The two pipes to a process that may hang at any moment: nothing here waits beyond its time."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time

LONGEST_LINE = 128 * 2**20
"""Bytes of a document on its way: the longest text, in letters of four bytes each, and what stands beside it."""
_PIECE = 2**20
_LOOK_EVERY = 0.2


class Late(Exception):
    """The process did not answer in its time."""


class Broken(Exception):
    """The process is gone, or was told to go."""


class Pipes:
    """Send bytes and read lines. `until` is a `time.monotonic()` value; `dropped` ends the wait at once, as `Broken`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        for stream in (self._stdin, self._stdout):
            os.set_blocking(stream.fileno(), False)
        self._received = bytearray()
        self._searched = 0

    def send(self, content: bytes, until: float, dropped: threading.Event) -> None:
        rest = memoryview(content)
        while rest:
            self._wait(self._stdin.fileno(), select.POLLOUT, until, dropped)
            try:
                rest = rest[os.write(self._stdin.fileno(), rest[:_PIECE]) :]
            except BlockingIOError:
                continue
            except OSError as failure:
                raise Broken from failure

    def line(self, until: float, dropped: threading.Event) -> bytes:
        """The next line, without its end."""
        while (end := self._received.find(b"\n", self._searched)) < 0:
            self._searched = len(self._received)
            if self._searched > LONGEST_LINE:
                raise Broken
            self._wait(self._stdout.fileno(), select.POLLIN, until, dropped)
            try:
                piece = os.read(self._stdout.fileno(), _PIECE)
            except BlockingIOError:
                continue
            if not piece:
                raise Broken
            self._received += piece
        with memoryview(self._received) as received:
            found = bytes(received[:end])
        del self._received[: end + 1]
        self._searched = 0
        return found

    def _wait(self, descriptor: int, event: int, until: float, dropped: threading.Event) -> None:
        """Return when something can be done, or is over."""
        poll = select.poll()
        poll.register(descriptor, event)
        while True:
            if dropped.is_set():
                raise Broken
            left = until - time.monotonic()
            if left <= 0:
                raise Late
            if poll.poll(min(left, _LOOK_EVERY) * 1000):
                return

    def close(self) -> None:
        for stream in (self._stdin, self._stdout):
            stream.close()
