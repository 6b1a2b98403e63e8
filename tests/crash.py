"""Kill a command as the power of `kill -9` does, at a named place or at a random time, and see what it left.

    acked = crash_at("ingest.before_commit", ["-c", script])          # a Python script
    acked = crash_at("ingest.before_commit", ["ingest", folder], program=LLMOPS)
    acked = crash_after(0.3, ["-c", script])

Every command runs in a process group of its own, so that its children die with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

PYTHON = sys.executable
LLMOPS = str(Path(sys.executable).parent / "llmops")


class Running:
    """A command in its own process group, whose output is kept as it comes."""

    def __init__(self, arguments: Sequence[object], *, program: str = PYTHON, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._arrived = threading.Condition()
        self._open = 2
        self.process = subprocess.Popen(
            [program, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        self._readers = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in ("stdout", "stderr")]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        keep = self.lines if name == "stdout" else self.errors
        for line in getattr(self.process, name):
            with self._arrived:
                # A line that the kill cut short was never written whole, so nobody was told of it.
                if line.endswith("\n"):
                    keep.append(line.rstrip("\n"))
                self._arrived.notify_all()
        with self._arrived:
            self._open -= 1
            self._arrived.notify_all()

    def wait_for_line(self, text: str = "", *, count: int = 1, timeout: float = 60) -> None:
        """Wait until `count` lines of output hold `text`."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._has(text, count) or not self._open, timeout)
        assert self._has(text, count), f"no {text!r} in {self.lines[-5:]}; stderr: {self.errors[-20:]}"

    def _has(self, text: str, count: int) -> bool:
        return sum(text in line for line in self.lines) >= count

    def kill(self, with_signal: int = signal.SIGKILL) -> None:
        """Signal the whole process group."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, with_signal)

    def wait(self, timeout: float = 120) -> int:
        """The exit status, negative for a signal. What the group left running is killed."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {timeout} s; stderr: {self.errors[-20:]}") from None
        self.kill()
        for reader in self._readers:
            reader.join(timeout=10)
        return status

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.process.wait(10)


def crash_at(
    failpoint: str,
    arguments: Sequence[object],
    *,
    program: str = PYTHON,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
) -> list[str]:
    """Run a command that dies at a failpoint (`name`, or `name:N`). Gives the lines it had written."""
    with Running(arguments, program=program, cwd=cwd, env={**(env or {}), "LLMOPS_FAILPOINT": failpoint}) as running:
        status = running.wait(timeout)
        assert status == -signal.SIGKILL, f"{failpoint!r} was not reached: exit {status}; stderr: {running.errors[-20:]}"
        return running.lines


def crash_after(
    seconds: float,
    arguments: Sequence[object],
    *,
    program: str = PYTHON,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    ready: str | None = None,
) -> list[str]:
    """Kill a command `seconds` after its start, or after its first line that holds `ready`. Gives the lines it had written.

    A command that had ended before is no error: its lines must hold all the same.
    """
    with Running(arguments, program=program, cwd=cwd, env=env) as running:
        if ready is not None:
            running.wait_for_line(ready)
        time.sleep(seconds)
        running.kill()
        status = running.wait(10)
        assert status in (0, -signal.SIGKILL), f"it failed by itself: exit {status}; stderr: {running.errors[-20:]}"
        return running.lines
