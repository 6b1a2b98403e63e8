"""Tell other stores what the outbox holds for them, in a thread of its own: one that hangs delays no job."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from llmops import plugins
from llmops.errors import LLMOpsError
from llmops.jobs.run import described
from llmops.store import outbox

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.store.store import Connection

log = logging.getLogger(__name__)
PAUSE, PATIENCE = 0.5, 2.0
LONGEST_QUIET = 30.0
LOOK_EVERY = 60.0
"""Seconds between two looks whether too many messages wait."""


class Topic:
    """One topic of the outbox, and how long to leave its store alone after it failed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._failures = 0
        self._quiet_until = 0.0
        self._next_look = 0.0

    def deliver(self, home: Home) -> bool:
        """Deliver one batch; returns whether there may be more to deliver now."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_EVERY
            if dropped := home.store.write(lambda c: outbox.drop_oldest(c, self.name), durable=False):
                log.error("topic %r: its store is away for too long; the %d oldest messages are given up", self.name, dropped)
        if time.monotonic() < self._quiet_until:
            return False
        items = home.store.read(lambda c: outbox.due(c, self.name))
        # What failed once goes alone, so that one bad message holds up no other.
        items = items[:1] if items and items[0].attempts else [item for item in items if not item.attempts]
        if not items:
            return False
        try:
            plugins.find("deliveries", self.name)(home, items)
        except Exception as failure:
            self._postpone(home, items, failure)
            return False
        home.store.write(lambda c: outbox.delivered(c, [item.row for item in items]), durable=False)
        self._failures = 0
        return True

    def _postpone(self, home: Home, items: list[outbox.Item], failure: Exception) -> None:
        error = described(failure)
        log.warning("%d of topic %r not delivered: %s", len(items), self.name, error, exc_info=not isinstance(failure, LLMOpsError))

        def later(connection: Connection) -> None:
            for item in items:
                outbox.postpone(connection, item, error)

        home.store.write(later, durable=False)
        self._quiet_until = time.monotonic() + min(LONGEST_QUIET, 2.0**self._failures)
        self._failures = min(self._failures + 1, 10)


def deliver_forever(home: Home, stop: threading.Event) -> None:
    """Deliver every topic that has a part, until `stop`."""
    topics = [Topic(name) for name in plugins.names("deliveries")]
    while not stop.is_set():
        more = False
        for topic in topics:
            try:
                more = topic.deliver(home) or more
            except Exception as failure:  # most likely our own store is away
                log.warning("deliveries wait: %s", failure, exc_info=not isinstance(failure, LLMOpsError))
                stop.wait(PATIENCE)
        if not more:
            stop.wait(PAUSE)
