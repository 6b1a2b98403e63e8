"""How far a job is, for the person who waits: one line on a terminal that is kept up to date, else a line now and then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from llmops.durations import told
from llmops.jobs.rate import Rate
from llmops.output import printable

if TYPE_CHECKING:
    from llmops.jobs.job import Job

FIRST, EVERY = 10.0, 30.0
"""Seconds until the first plain line, and between two of them."""


class Progress:
    """Call it with the job whenever it got further. `write` gets text and whether a line ends with it; `unit` is "bytes" or ""."""

    def __init__(self, label: str, write: Callable[[str, bool], None], *, terminal: bool, unit: str = "") -> None:
        self._label, self._write, self._terminal, self._unit = printable(label), write, terminal, unit
        self._rate = Rate()
        self._next = time.monotonic() + FIRST
        self._open = False

    def __call__(self, job: Job) -> None:
        text = f"{self._label}: {self._told(job)}"
        if self._terminal:
            if not job.finished:
                self._write(f"\r{text}\x1b[K", False)
                self._open = True
            elif self._open:
                self._write(f"\r{text}\x1b[K", True)
        elif not job.finished and time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            self._write(text, True)

    def _told(self, job: Job) -> str:
        if job.finished:
            return job.state
        if job.state == "queued":
            return "waits for its turn"
        if job.total <= 0:
            return "under way; how much it is, is not known yet"
        rate = self._rate.note(job.done)
        parts = [f"{100 * job.done // job.total} % of {self._amount(job.total)}"]
        if rate:
            parts += [f"{self._amount(rate)}/s", f"{told(math.ceil((job.total - job.done) / rate))} left"]
        return ", ".join(parts)

    def _amount(self, number: float) -> str:
        return size(number) if self._unit == "bytes" else f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def size(number: float) -> str:
    """Bytes for a human: `12.3 MB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 999.5:  # else it would be rounded to 1,000
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.3f} TB"
