"""Whether the server lives, and whether each of its parts is ready, by name.

The answers come from a state that a background task keeps fresh, so that a part that hangs never makes a probe hang.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from llmops import plugins
from llmops.errors import LLMOpsError
from llmops.jobs import queue_rows
from llmops.store import outbox
from llmops.store.migrate import revision
from llmops.types import Json
from server.door import Door
from server.metrics import observe_jobs, observe_outbox
from server.pulse import worker_age
from server.shapes import Count, Reply

if TYPE_CHECKING:
    from server.rooms import Rooms

log = logging.getLogger("llmops.server")

EVERY = 1.0
PATIENCE = 3.0
"""Seconds after which a check that has not ended counts as failed."""
WORKER_SILENT = 5.0
STALE = 5.0

door = Door("operations")


class AliveShape(Reply):
    status: Literal["ok"]


class PartShape(Reply):
    """A part of the server; `waiting` counts messages by topic, and only the outbox has it."""

    ok: bool
    detail: str
    waiting: dict[str, Count] | None = None


class ReadyShape(Reply):
    status: Literal["ready", "not ready"]
    parts: dict[str, PartShape]


class Health:
    """The last known state of every part. `watch` keeps it fresh."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._checks: dict[str, Callable[[], Json]] = {"store": self._store, "encoder": self._encoder, "worker": self._worker, "outbox": self._outbox}
        self._running: dict[str, asyncio.Future[Json]] = {}
        self._parts: dict[str, Json] = {name: {"ok": False, "detail": "starting"} for name in self._checks}
        self._failures: dict[str, str] = {}
        self._refreshed = time.monotonic()
        # Threads of their own: those that searches share may all be busy, and that is no fault of any part.
        self._threads = ThreadPoolExecutor(max_workers=len(self._checks), thread_name_prefix="health")

    def report(self) -> tuple[bool, Json]:
        """Whether all parts are ready, and each by name."""
        age = time.monotonic() - self._refreshed
        parts = dict(self._parts)
        if age > STALE:
            parts["health"] = {"ok": False, "detail": f"not refreshed for {age:.0f} s"}
        ready = all(part["ok"] for part in parts.values())
        return ready, {"status": "ready" if ready else "not ready", "parts": parts}

    async def watch(self, on_alive: Callable[[], None] | None = None) -> None:
        while True:
            await self.refresh()
            if on_alive is not None and self._rooms.loaded:
                on_alive()
            await asyncio.sleep(EVERY)

    async def refresh(self) -> None:
        """Run every check in a thread of its own; one that still hangs from before is not started again."""
        for name, check in self._checks.items():
            if name not in self._running:
                self._running[name] = asyncio.get_running_loop().run_in_executor(self._threads, self._outcome, name, check)
        await asyncio.wait(self._running.values(), timeout=PATIENCE)
        for name, future in list(self._running.items()):
            if future.done():
                self._parts[name] = self._running.pop(name).result()
            else:
                self._parts[name] = {"ok": False, "detail": f"no answer for {PATIENCE:.0f} s"}
        self._refreshed = time.monotonic()

    def _outcome(self, name: str, check: Callable[[], Json]) -> Json:
        """What a check says. The page is open to all, so of a failure it shows the code alone; the log gets the rest, once."""
        try:
            part = check()
        except Exception as error:  # a check that is broken makes its part unready, not the probe
            if self._failures.get(name) != str(error):
                log.error("%s is not ready: %s", name, error, exc_info=not isinstance(error, LLMOpsError))
            self._failures[name] = str(error)
            return {"ok": False, "detail": error.code if isinstance(error, LLMOpsError) else "internal_error"}
        self._failures.pop(name, None)
        return part

    def _store(self) -> Json:
        if not self._rooms.loaded:
            return {"ok": False, "detail": self._rooms.failure or "loading"}
        store = self._rooms.home.store
        return {"ok": True, "detail": f"{'sqlite' if store.is_sqlite else 'postgresql'} at revision {store.read(revision)}"}

    def _encoder(self) -> Json:
        if not self._rooms.loaded:
            return {"ok": False, "detail": self._rooms.failure or "loading"}
        return {"ok": True, "detail": self._rooms.home.encoder.identity}

    def _worker(self) -> Json:
        if self._rooms.loaded:
            observe_jobs(self._rooms.home.store.read(queue_rows.waiting))
        age = worker_age(self._rooms.home.settings.home)
        if age is None:
            return {"ok": False, "detail": "no job worker; `llmops serve` starts one"}
        return {"ok": age < WORKER_SILENT, "detail": f"last sign of life {age:.1f} s ago"}

    def _outbox(self) -> Json:
        """A backlog is told and makes nothing unready: other stores may be down for as long as they like."""
        if not self._rooms.loaded:
            return {"ok": False, "detail": "loading"}
        waiting = dict.fromkeys(plugins.names("deliveries"), 0) | self._rooms.home.store.read(outbox.waiting)
        observe_outbox(waiting, self._rooms.home.store.read(outbox.dropped))
        return {"ok": True, "detail": f"{sum(waiting.values())} waiting", "waiting": waiting}


@door.open("/healthz", returns=AliveShape)
async def healthz() -> Response:
    """The process answers: that is all."""
    return JSONResponse({"status": "ok"})


@door.open("/readyz", returns=ReadyShape, responses={503: {"model": ReadyShape, "description": "A part is not ready"}})
async def readyz(request: Request) -> Response:
    """200 when every part is ready, else 503; each part by name."""
    health: Health = request.app.state.health
    ready, report = health.report()
    return JSONResponse(report, 200 if ready else 503, {} if ready else {"Retry-After": "2"})
