"""The audit log, for those who may read it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from llmops.access import audit
from llmops.types import Json
from server.door import AskerOf, Door, RoomsOf
from server.pages import NEWEST, BeforeRow, Limit, Page, page
from server.shapes import Count, Moment, Reply

door = Door("audit")
Wanted = Annotated[str, Query(max_length=300, pattern=r"^[^\x00]*$")]
Head = Annotated[str, Query(pattern="^([0-9a-f]{64})?$")]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class EntryShape(Reply):
    """Who did what to what, when and from where. `detail` says what was before and after, as far as something changed."""

    id: int = Field(ge=1)
    at: Moment
    workspace: str
    actor: str
    origin: str | None
    action: str
    object: str
    detail: dict[str, Any]
    hash: Hash


class VerifiedShape(Reply):
    """`head` is the hash of the newest entry, empty where there is none; `faults` say what is wrong, oldest first."""

    ok: bool
    entries: Count
    head: str
    faults: list[str]


@door.get("/api/v1/audit", permission="audit:read", returns=Page[EntryShape])
async def list_entries(
    rooms: RoomsOf, asker: AskerOf, after: BeforeRow = NEWEST, limit: Limit = 100, action: Wanted = "", actor: Wanted = "", object: Wanted = ""
) -> Json:
    """Who did what in the workspace, newest first; narrowed to an action, an actor or an object where they are named."""
    only = {"action": action or None, "actor": actor or None, "object": object or None}
    found = await rooms.home.store.read_async(lambda c: audit.entries(c, asker.workspace, limit + 1, after, **only))
    return page([entry.to_json() for entry in found], limit, "id")


@door.get("/api/v1/audit/verify", permission="audit:read", returns=VerifiedShape)
async def verify(rooms: RoomsOf, head: Head = "") -> Json:
    """Check the whole log, of all workspaces: that no entry was removed, changed, moved or slipped in. `head` is what an earlier look gave."""
    found = await rooms.home.store.read_async(lambda c: audit.verify(c, head or None))
    return {"ok": found.ok, "entries": found.entries, "head": found.head, "faults": found.faults}
