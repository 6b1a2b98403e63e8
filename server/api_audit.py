"""The audit log, for those who may read it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from llmops.access import audit
from llmops.types import Json
from server.door import AskerOf, Door, RoomsOf
from server.pages import Limit, page

door = Door("audit")
Wanted = Annotated[str | None, Query(min_length=1, max_length=300)]
After = Annotated[int | None, Query(ge=1, le=2**62)]
Head = Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")]


@door.get("/api/v1/audit", permission="audit:read")
async def list_entries(
    rooms: RoomsOf, asker: AskerOf, after: After = None, limit: Limit = 100, action: Wanted = None, actor: Wanted = None, object: Wanted = None
) -> Json:
    """Who did what in the workspace, newest first."""
    only = {"action": action, "actor": actor, "object": object}
    found = await rooms.home.store.read_async(lambda c: audit.entries(c, asker.workspace, limit + 1, after, **only))
    return page([entry.to_json() for entry in found], limit, "id")


@door.get("/api/v1/audit/verify", permission="audit:read")
async def verify(rooms: RoomsOf, head: Head = None) -> Json:
    """Check the whole log, of all workspaces: that no entry was removed, changed, moved or slipped in. `head` is what an earlier look gave."""
    found = await rooms.home.store.read_async(lambda c: audit.verify(c, head))
    return {"ok": found.ok, "entries": found.entries, "head": found.head, "faults": found.faults}
