"""Collections: their list, their counts, and what changed in them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from llmops.errors import Unavailable
from llmops.sections import Name
from llmops.types import Json
from server.accepted import ACCEPTED, accepted
from server.door import AskerOf, Door, RoomsOf, link
from server.openai_shapes import LATEST_SEQ
from server.pages import AfterRow, Limit, Page, page
from server.shapes import WHOLE, Body, Count, DocumentId, Moment, Principal, Reply
from server.shapes_quality import QualityShape
from vectorstore import documents, promotion, snapshots
from vectorstore.quality import of_collection
from vectorstore.rows import collections
from vectorstore.rows.acls import parse_acl

door = Door("collections")
# One report at a time, and none in the threads that rights are read in: it takes seconds, and a few kilobytes for each document.
_reports, _reporting = ThreadPoolExecutor(1, "quality-report"), Lock()
Seq = Annotated[int | None, Query(ge=0, le=LATEST_SEQ)]
From = Annotated[int, Query(alias="from", ge=0, le=LATEST_SEQ)]


class NewCollection(Body):
    """A collection, and whom its documents are for that say nothing else."""

    name: Name
    acl: list[Principal] | None = Field(None, max_length=1000)


class Promotion(Body):
    """Where a collection is promoted to, and as of when."""

    to: Name
    at: Annotated[int, Field(ge=0, le=LATEST_SEQ), WHOLE] | None = None


class DocumentCounts(Reply):
    ready: Count
    failed: Count


class CollectionShape(Reply):
    """A collection. `seq` moves with every batch that becomes visible or is withdrawn."""

    name: Name
    workspace: Name
    encoder: str
    seq: Count
    documents: DocumentCounts
    chunks: Count
    created_at: Moment


class SnapshotCounts(Reply):
    """A point of a collection's sequence, and what was live then of what the key may read."""

    collection: Name
    seq: Count
    documents: Count
    chunks: Count
    encoder: str


class ChangeShape(Reply):
    """A document whose content changed. `from_version` is null where it was added, `to_version` where it was withdrawn."""

    change: Literal["added", "changed", "withdrawn"]
    document_id: DocumentId
    source: str
    external_id: str
    title: str
    from_version: Count | None
    to_version: Count | None
    from_characters: Count | None
    to_characters: Count | None


class DiffShape(Page[ChangeShape]):
    """What changed from one point of a collection's sequence to another."""

    collection: Name
    from_: Count = Field(alias="from")
    to: Count


_DOCUMENTS = {"documents": link("documents_list_documents", collection="/name")}
_FIRST = {"first": link("collections_show", name="/data/0/name")}


@door.get("/api/v1/collections", permission="collections:read", returns=Page[CollectionShape], links=_FIRST)
async def list_collections(rooms: RoomsOf, asker: AskerOf) -> Json:
    """Every collection of the workspace."""
    return {"data": await rooms.home.store.read_async(lambda c: collections.listing(c, asker)), "next": None}


@door.get("/api/v1/collections/{name}", permission="collections:read", returns=CollectionShape, links=_DOCUMENTS)
async def show(name: str, rooms: RoomsOf, asker: AskerOf) -> Json:
    """One collection."""
    shown: Json = await rooms.home.store.read_async(lambda c: collections.describe(c, collections.find(c, asker.workspace, name), asker))
    return shown


@door.get("/api/v1/collections/{name}/quality", permission="collections:read", returns=QualityShape)
async def quality(name: str, rooms: RoomsOf, asker: AskerOf, since: Seq = None) -> Json:
    """What the documents of a collection that the key may read are like, and how they changed `since` a sequence number."""
    if not _reporting.acquire(blocking=False):
        raise Unavailable("another quality report is being made", hint="try again in a few seconds")
    future = _reports.submit(rooms.home.store.read, lambda c: of_collection(c, asker, name, since))
    future.add_done_callback(lambda _: _reporting.release())
    report: Json = await asyncio.wrap_future(future)
    return report


@door.get("/api/v1/collections/{name}/snapshot", permission="collections:read", returns=SnapshotCounts)
async def snapshot(name: str, rooms: RoomsOf, asker: AskerOf, at: Seq = None) -> Json:
    """Where the collection's sequence stands, or an earlier point of it, and what was live there; a search takes the number as `at`."""
    found: Json = await rooms.home.store.read_async(lambda c: snapshots.snapshot(c, asker, name, at))
    return found


@door.get("/api/v1/collections/{name}/diff", permission="documents:read", returns=DiffShape)
async def diff(name: str, rooms: RoomsOf, asker: AskerOf, since: From = 0, to: Seq = None, after: AfterRow = 0, limit: Limit = 100) -> Json:
    """The documents that were added, changed or withdrawn from one point of the collection's sequence to another: all of it, by default."""
    found: Json = await rooms.home.store.read_async(lambda c: snapshots.diff(c, asker, name, since, to, after, limit + 1))
    return {**found, **page(found["data"], limit, "row")}


@door.post("/api/v1/collections", permission="collections:write", status_code=201, returns=CollectionShape, links=_DOCUMENTS, fails={409})
async def create(body: NewCollection, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Make an empty collection. One that is there already stays as it is."""
    encoder, acl = rooms.home.encoder.identity, None if body.acl is None else parse_acl(body.acl, asker.workspace)
    return await rooms.home.store.write_async(lambda c: documents.create_collection(c, asker, body.name, encoder, acl))


@door.post("/api/v1/collections/{name}/copy", permission="promotion:send", fails={409}, **ACCEPTED)
async def promote(name: str, body: Promotion, rooms: RoomsOf, asker: AskerOf) -> Response:
    """Queue the promotion of a collection into another workspace: 202 and the job's id."""
    job_id = await asyncio.to_thread(promotion.order, rooms.home, asker, name, body.to, body.at)
    return accepted(job_id)
