"""POST /api/v1/search."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from llmops.sections import Name
from llmops.types import Json
from server.door import AskerOf, Door, RoomsOf
from server.openai_shapes import LATEST_SEQ

door = Door("search")


class SearchBody(BaseModel):
    """What to look for, where, and as of when."""

    model_config = ConfigDict(extra="forbid")
    collection: Name
    query: str
    k: int = Field(10, ge=1, le=1000)
    at: int | None = Field(None, ge=0, le=LATEST_SEQ)
    filter: dict[str, Any] | None = None


@door.post("/api/v1/search", permission="search:use")
async def search(body: SearchBody, rooms: RoomsOf, asker: AskerOf) -> Json:
    """The chunks that match best and that the key may read, best first."""
    found = await rooms.searcher.search_async(body.query, collection=body.collection, asker=asker, k=body.k, at=body.at, filter=body.filter)
    return {"hits": [hit.to_json() for hit in found.hits], "snapshot": asdict(found.snapshot)}
