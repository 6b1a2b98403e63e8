"""Who may read what: of a document, and of a collection with all that inherits from it. A change counts from the next search on."""

from __future__ import annotations

from pydantic import Field

from llmops.types import Json
from server.door import AskerOf, Door, RoomsOf
from server.shapes import Body, DocumentId, Principal, Reply
from vectorstore import sharing

door = Door("rights")
MOST_PRINCIPALS = 1000


class DocumentAcl(Body):
    """Whom a document is for, as ["group:hr", "user:alice"]: an empty list is nobody but the owner, null what its collection says."""

    acl: list[Principal] | None = Field(max_length=MOST_PRINCIPALS)


class CollectionAcl(Body):
    """Whom the documents of a collection are for that have no access list of their own."""

    acl: list[Principal] = Field(max_length=MOST_PRINCIPALS)


class DocumentRights(Reply):
    """Who may read a document, and whether it has that from its collection."""

    document_id: DocumentId
    acl: list[Principal]
    inherited: bool


class CollectionRights(Reply):
    """What the documents of a collection inherit."""

    collection: str
    acl: list[Principal]


@door.get("/api/v1/documents/{document_id}/acl", permission="documents:share", returns=DocumentRights)
async def document_acl(document_id: str, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Who may read a document that the key may read."""
    return await rooms.home.store.read_async(lambda c: sharing.rights(c, asker, document_id))


@door.put("/api/v1/documents/{document_id}/acl", permission="documents:share", returns=DocumentRights)
async def share_document(document_id: str, body: DocumentAcl, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Give a document that the key may read another access list."""
    return await rooms.home.store.write_async(lambda c: sharing.share(c, asker, document_id, body.acl))


@door.get("/api/v1/collections/{name}/acl", permission="documents:share", returns=CollectionRights)
async def collection_acl(name: str, rooms: RoomsOf, asker: AskerOf) -> Json:
    """What the documents of a collection inherit."""
    return await rooms.home.store.read_async(lambda c: sharing.collection_rights(c, asker, name))


@door.put("/api/v1/collections/{name}/acl", permission="documents:share", returns=CollectionRights)
async def share_collection(name: str, body: CollectionAcl, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Give a collection, and every document that inherits from it, another access list."""
    return await rooms.home.store.write_async(lambda c: sharing.share_collection(c, asker, name, body.acl))
