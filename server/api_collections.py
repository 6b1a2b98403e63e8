"""Collections: their list and their counts."""

from __future__ import annotations

from llmops.types import Json
from server.door import AskerOf, Door, RoomsOf
from vectorstore.rows import collections

door = Door("collections")


@door.get("/api/v1/collections", permission="collections:read")
async def list_collections(rooms: RoomsOf, asker: AskerOf) -> Json:
    """Every collection of the workspace."""
    return {"data": await rooms.home.store.read_async(lambda c: collections.listing(c, asker.workspace)), "next": None}


@door.get("/api/v1/collections/{name}", permission="collections:read")
async def show(name: str, rooms: RoomsOf, asker: AskerOf) -> Json:
    """One collection."""
    shown: Json = await rooms.home.store.read_async(lambda c: collections.describe(c, collections.find(c, asker.workspace, name)))
    return shown
