"""Who may read what, after the fact: of one document, of a source, of a collection and all that inherits from it.

A key may only share what it may read: to change who reads a document is to be able to read it.
"""

from __future__ import annotations

from collections.abc import Iterable

from llmops.access import audit
from llmops.errors import NotPermitted, UnknownName
from llmops.store.store import Connection
from llmops.types import Asker, Json
from vectorstore.documents import find
from vectorstore.rows import acls, collections, documents, listing
from vectorstore.rows.acls import parse_acl


def rights(connection: Connection, asker: Asker, document_id: str) -> Json:
    """Who may read a document: `{document_id, acl, inherited}`. Raises `UnknownName` for one that the asker may not read."""
    return {"document_id": document_id, **listing.rights_of(connection, find(connection, asker, document_id)["row"])}


def share(connection: Connection, asker: Asker, document_id: str, acl: Iterable[str] | None) -> Json:
    """Give a document another access list, None for its collection's. An empty list means nobody but the owner."""
    found = find(connection, asker, document_id)
    collection = collections.lock(connection, found["collection_row"])
    find(connection, asker, document_id)  # again: somebody may have taken the right to it while we waited
    before = listing.rights_of(connection, found["row"])
    documents.set_rights(connection, collection, [found["row"]], None if acl is None else parse_acl(acl, asker.workspace))
    after = listing.rights_of(connection, found["row"])
    audit.record(connection, asker, "document.share", document_id, {"collection": collection.name}, before=before, after=after)
    return {"document_id": document_id, **after}


def share_source(connection: Connection, asker: Asker, collection: str, source: str, acl: Iterable[str] | None) -> Json:
    """As `share`, for every document of a source: for the owner, who may read them all."""
    found = collections.lock(connection, collections.find(connection, asker.workspace, collection).row)
    _check_owner(asker)
    rows = documents.rows_of(connection, found.row, source)
    if not rows:
        raise UnknownName("source", source, hint=f"`llmops documents list --collection {collection}` shows the sources")
    parsed = None if acl is None else parse_acl(acl, asker.workspace)
    documents.set_rights(connection, found, rows, parsed)
    detail = {"source": source, "documents": len(rows)}
    audit.record(connection, asker, "source.share", collection, detail, after={"acl": parsed, "inherited": parsed is None})
    return {"collection": collection, **detail, "acl": parsed, "inherited": parsed is None}


def collection_rights(connection: Connection, asker: Asker, collection: str) -> Json:
    """What the documents of a collection inherit: `{collection, acl}`."""
    found = collections.find(connection, asker.workspace, collection)
    _check_reads(connection, asker, found)
    return {"collection": collection, "acl": acls.principals(connection, found.acl_id)}


def share_collection(connection: Connection, asker: Asker, collection: str, acl: Iterable[str]) -> Json:
    """Give a collection, and every document that inherits from it, another access list."""
    found = collections.lock(connection, collections.find(connection, asker.workspace, collection).row)
    _check_reads(connection, asker, found)
    parsed = parse_acl(acl, asker.workspace)
    before = acls.principals(connection, found.acl_id)
    documents.set_inherited(connection, found, parsed)
    audit.record(connection, asker, "collection.share", collection, before={"acl": before}, after={"acl": parsed})
    return {"collection": collection, "acl": parsed}


def _check_reads(connection: Connection, asker: Asker, collection: collections.Collection) -> None:
    if not (asker.owner or acls.names_any(connection, collection.acl_id, asker.principals)):
        raise NotPermitted(f"what is in {collection.name!r} by inheritance is not for this key to read", hint="the owner: `llmops access set`")


def _check_owner(asker: Asker) -> None:
    if not asker.owner:
        raise NotPermitted("a whole source is shared by the owner of the home", hint="share its documents one by one")
