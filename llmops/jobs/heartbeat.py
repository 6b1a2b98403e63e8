"""The thread beside a running job: writes its progress, renews its lease, and notices that it was cancelled."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from llmops.errors import LLMOpsError
from llmops.jobs import rows
from llmops.jobs.context import JobContext
from llmops.jobs.rate import Rate

if TYPE_CHECKING:
    from llmops.store.store import Store

log = logging.getLogger(__name__)
EVERY = 0.5
"""Seconds between two looks, and so the longest that a cancelled job stays unaware of it."""
_RENEW_EVERY = rows.LEASE / 6


class Heartbeat:
    """Use it as a context manager around the handler. It outlives no job and fails none: a store that is away is waited for."""

    def __init__(self, store: Store, context: JobContext) -> None:
        self._store, self._context = store, context
        self._told = (context.done, context.total)
        self._renewed = time.monotonic()
        self._rate = Rate()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{context.id}", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(EVERY):
            self._context.rate = self._rate.note(self._context.done)
            try:
                mine = self._renew() if self._is_news() else self._look()
            except Exception as failure:  # most likely the store is away; whatever it is, the job goes on
                log.warning("job %s: no heartbeat: %s", self._context.id, failure, exc_info=not isinstance(failure, LLMOpsError))
                continue
            if not mine:
                self._context.lost.set()
                return

    def _is_news(self) -> bool:
        return (self._context.done, self._context.total) != self._told or time.monotonic() - self._renewed > _RENEW_EVERY

    def _renew(self) -> bool:
        done, total, rate = self._context.done, self._context.total, self._context.rate
        mine = self._store.write(lambda c: rows.heartbeat(c, self._context.job, done, total, rate), durable=False)
        self._told, self._renewed = (done, total), time.monotonic()
        return mine

    def _look(self) -> bool:
        return self._store.read(lambda c: rows.state_of(c, self._context.job)) == ("running", self._context.job.owner)
