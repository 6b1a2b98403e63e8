"""What a job's handler gets: what to do, and a way to tell how far it is.

`progress` is cheap enough for every step: it notes two numbers. A thread of the worker writes them down, renews the
lease, and notes here when the job must stop (llmops/jobs/heartbeat.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from llmops.jobs import rows
from llmops.jobs.rows import Job
from llmops.types import Asker, Json

if TYPE_CHECKING:
    from llmops.store.store import Connection, Store

T = TypeVar("T")

SAY_EVERY = 0.1
"""Seconds between two calls of the listener."""


class JobInterrupted(BaseException):
    """The handler must end here. Not an `Exception`, so that a handler's care for one bad item does not swallow it."""


class JobCancelled(JobInterrupted):
    """Somebody cancelled the job, or another process took it over: nothing more is written of it."""


class JobStopped(JobInterrupted):
    """This process ends. The job goes back to the queue and is resumed."""


class _NotOurs(Exception):
    """Undoes a transaction. Not a `JobInterrupted`: on SQLite other writes are committed with it, and only an `Exception` spares them."""


class JobContext:
    """One run of one job."""

    def __init__(self, job: Job, *, stop: threading.Event | None = None, listener: Callable[[Job], None] | None = None) -> None:
        self.job = job
        self.done, self.total = job.done, job.total
        self.rate: float | None = None
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
        self.check()
        if self._listener is not None and (done >= total or time.monotonic() - self._said > SAY_EVERY):
            self._said = time.monotonic()
            self._listener(replace(self.job, done=done, total=total, rate=self.rate))

    def check(self) -> None:
        """As `progress`, with nothing new: for whoever waits within a step."""
        if self.lost.is_set():
            raise JobCancelled(self.id)
        if self._stop is not None and self._stop.is_set():
            raise JobStopped(self.id)

    def write(self, store: Store, work: Callable[[Connection], T], so_far: Callable[[T], Json]) -> T:
        """Run `work` in a transaction that holds only while the job is this process's: what was cancelled changes nothing more.

        `so_far` gives, from what `work` returned, the audit row `{action, object, detail}` that tells what the job has
        done with it; it is written where the job is cancelled or fails, but for `{}`. Raises `JobCancelled`.
        """

        def noted(connection: Connection) -> T:
            result = work(connection)
            if not rows.note(connection, self.job, so_far(result)):
                raise _NotOurs(self.id)
            return result

        try:
            return store.write(noted)
        except _NotOurs:
            raise JobCancelled(self.id) from None
