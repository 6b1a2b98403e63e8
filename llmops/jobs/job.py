"""A job as its row tells it, and as it is shown."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmops.jobs.slots import NAMES
from llmops.output import iso_time
from llmops.types import Asker, Json


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work. `done` and `total` count what the kind counts; `result` is there when it is done.

    Times are in seconds since 1970, `rate` is what was done in a second of late. `so_far` is the audit row that is written
    where the job ends before its end: `{action, object, detail}`.
    """

    row: int
    id: str
    kind: str
    workspace: str
    asker: str
    lane: str
    priority: int
    payload: Mapping[str, Any]
    state: str
    done: int
    total: int
    rate: float | None
    result: Json | None
    so_far: Json | None
    error: str | None
    attempts: int
    owner: str | None
    created_at: float
    queued_at: float
    started_at: float | None
    finished_at: float | None

    @property
    def finished(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    @property
    def seconds_left(self) -> int | None:
        """At the rate of late; None where it is not running, or its total or rate is not known."""
        if self.state != "running" or not self.rate or self.total <= self.done:
            return None
        return min(math.ceil((self.total - self.done) / self.rate), 2**31)

    @property
    def seconds_waiting(self) -> int | None:
        """How long it has waited for its turn, or had waited when its turn came first."""
        until = time.time() if self.state == "queued" else self.started_at
        return None if until is None else max(0, int(until - self.queued_at))

    def shown_to(self, asker: Asker) -> Json:
        """The job as JSON. What came of it names documents: others than the owner and who ordered it see the numbers alone."""
        shown = {name: getattr(self, name) for name in ("id", "kind", "state", "done", "total", "result", "error")}
        shown |= {"priority": NAMES.get(self.priority, "bulk"), "attempts": self.attempts, "created": iso_time(self.created_at)}
        shown |= {"started": iso_time(self.started_at), "finished": iso_time(self.finished_at)}
        shown |= {"rate": self.rate if self.state == "running" else None, "seconds_left": self.seconds_left}
        if asker.owner or asker.name == self.asker:
            return {**shown, "about": self._about()}
        result = None if self.result is None else {name: _number(value) for name, value in self.result.items() if name != "job"}
        return {**shown, "result": result, "error": self.error and "it failed; who ordered it can read why", "about": None}

    def _about(self) -> str:
        """What it works on, as its payload says: a collection, and a source in it."""
        return "/".join(str(self.payload[name]) for name in ("collection", "source") if self.payload.get(name))


def _number(value: Any) -> int | float | None:
    """A value of a result where it is a number, and how many there are where it is a list."""
    if isinstance(value, list):
        return len(value)
    return value if isinstance(value, int | float) else None
