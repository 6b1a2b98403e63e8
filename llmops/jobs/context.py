"""What a job's handler gets: what to do, and a way to tell how far it is.

`progress` is cheap enough for every step: it notes two numbers. A thread of the worker writes them down, renews the
lease, and notes here when the job must stop (llmops/jobs/heartbeat.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from llmops.jobs.rows import Job
from llmops.types import Asker

SAY_EVERY = 0.1
"""Seconds between two calls of the listener."""


class JobInterrupted(BaseException):
    """The handler must end here. Not an `Exception`, so that a handler's care for one bad item does not swallow it."""


class JobCancelled(JobInterrupted):
    """Somebody cancelled the job, or another process took it over: nothing more is written of it."""


class JobStopped(JobInterrupted):
    """This process ends. The job goes back to the queue and is resumed."""


class JobContext:
    """One run of one job."""

    def __init__(self, job: Job, *, stop: threading.Event | None = None, listener: Callable[[Job], None] | None = None) -> None:
        self.job = job
        self.done, self.total = job.done, job.total
        self.lost = threading.Event()
        self._stop = stop
        self._listener, self._said = listener, 0.0

    @property
    def id(self) -> str:
        return self.job.id

    @property
    def workspace(self) -> str:
        return self.job.workspace

    @property
    def asker(self) -> Asker:
        """Who ordered the job, as the audit log calls them; what they may read the payload says, where it matters."""
        return Asker(self.job.workspace, name=self.job.asker, origin=self.job.id)

    @property
    def payload(self) -> Mapping[str, Any]:
        return self.job.payload

    def progress(self, done: int, total: int) -> None:
        """Say that `done` of `total` steps are done. Raises `JobCancelled` or `JobStopped` when the job must end."""
        self.done, self.total = done, total
        if self.lost.is_set():
            raise JobCancelled(self.id)
        if self._stop is not None and self._stop.is_set():
            raise JobStopped(self.id)
        if self._listener is not None and (done >= total or time.monotonic() - self._said > SAY_EVERY):
            self._said = time.monotonic()
            self._listener(replace(self.job, done=done, total=total))
