"""POST /api/v1/search."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from llmops.sections import Name
from llmops.types import Json
from server.door import AskerOf, Door, RoomsOf, link
from server.openai_shapes import LATEST_SEQ
from server.shapes import WHOLE, Body, ChunkId, Count, DocumentId, Filled, Reply, SnapshotShape
from server.shapes_filter import Filter

door = Door("search")


class SearchBody(Body):
    """What to look for, where, and as of when: `at` may not lie ahead of the collection's sequence."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"collection": "docs", "query": "How do I stop the server?", "k": 3}]})
    collection: Name
    query: Filled
    k: Annotated[int, Field(ge=1, le=1000), WHOLE] = 10
    at: Annotated[int, Field(ge=0, le=LATEST_SEQ), WHOLE] | None = None
    filter: Filter | None = None


class HitShape(Reply):
    """A chunk that was found. `start` and `end` count code points in its document's text; `legs` holds each leg's own score."""

    chunk_id: ChunkId
    document_id: DocumentId
    external_id: str
    source: str
    title: str
    text: str
    start: Count
    end: Count
    version: int = Field(ge=1)
    page: int | None = Field(ge=1)
    heading: str
    score: float
    legs: dict[Literal["dense", "lexical"], float]


class FoundShape(Reply):
    """The best hit first, and the point in time as of which they were found."""

    hits: list[HitShape]
    snapshot: SnapshotShape


_BEST = {"document": link("documents_show", document_id="/hits/0/document_id"), "collection": link("collections_show", name="/snapshot/collection")}


@door.post("/api/v1/search", permission="search:use", returns=FoundShape, links=_BEST, fails={404, 409})
async def search(body: SearchBody, rooms: RoomsOf, asker: AskerOf) -> Json:
    """The chunks that match best and that the key may read, best first."""
    found = await rooms.searcher.search_async(body.query, collection=body.collection, asker=asker, k=body.k, at=body.at, filter=body.filter)
    return {"hits": [hit.to_json() for hit in found.hits], "snapshot": asdict(found.snapshot)}
