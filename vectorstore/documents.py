"""Documents one by one: accept them for ingestion, show, list and withdraw them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmops.access import audit
from llmops.access.roles import check_permitted
from llmops.errors import Conflict, InvalidInput, UnknownName
from llmops.jobs import rows as jobs
from llmops.store import blobs
from llmops.store.store import Connection, Store
from llmops.types import Asker, Json
from vectorstore.load import LONGEST_ID, LONGEST_ID_BYTES, is_too_long
from vectorstore.rows import collections, documents, listing
from vectorstore.rows.acls import parse_acl
from vectorstore.sources import Order, Upload, check_source
from vectorstore.urgency import priority_of

if TYPE_CHECKING:
    from llmops.home import Home

MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Handed:
    """A document as it was handed in. `name` says by its extension how to read the bytes."""

    external_id: str
    name: str
    content: bytes
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    acl: list[str] | None = None


def accept(home: Home, asker: Asker, collection: str, handed: list[Handed], source: str = "api") -> str:
    """Keep the bytes and queue their ingestion, in one transaction. Returns the job's id: from then on nothing is lost."""
    if not handed:
        raise InvalidInput("no documents", hint="hand in at least one", param="documents")
    if len(handed) > MOST_AT_ONCE:
        raise InvalidInput(f"{len(handed):,} documents at once, {MOST_AT_ONCE:,} are allowed", hint="hand them in by parts", param="documents")
    check_source(source)
    if not asker.owner and any(document.acl is not None for document in handed):  # of a document that is there already it would change who reads it
        check_permitted(home.settings.kind_of(asker.workspace), asker, "documents:share")
    for document in handed:
        _check(document)
    if twice := [name for name, count in Counter(document.external_id for document in handed).items() if count > 1]:
        raise InvalidInput(
            f"{twice[0][:80]!r} is handed in twice: one would replace the other",
            hint="give each an external_id, or a file name, of its own",
            param="external_id",
        )

    encoder = home.encoder.identity

    def keep(connection: Connection) -> str:
        collections.ensure(connection, asker.workspace, collection, encoder)
        lists = {d.external_id: None if d.acl is None else parse_acl(d.acl, asker.workspace) for d in handed}
        uploads = [
            Upload(d.external_id, d.name, blobs.keep(connection, d.content), d.title, dict(d.metadata), lists[d.external_id], len(d.content))
            for d in handed
        ]
        order = Order(collection, source, uploads=uploads, principals=None if asker.owner else sorted(asker.principals))
        return jobs.enqueue(connection, "ingest", asker.workspace, asker.name, order.to_json(), (collection, source), priority_of(order))

    return home.store.write(keep)


def create_collection(connection: Connection, asker: Asker, name: str, encoder: str, acl: list[str] | None = None) -> Json:
    """Make an empty collection, whose documents will inherit `acl`, or the workspace. One that is there stays as it is: `Conflict` with an acl."""
    if collections.exists(connection, asker.workspace, name):
        if acl is not None:
            raise Conflict(f"the collection {name!r} is there already", hint=f"`llmops access set --collection {name} --acl ...` changes its rights")
    else:
        made = collections.ensure(connection, asker.workspace, name, encoder)
        if acl is not None:
            documents.set_inherited(connection, made, acl)
        audit.record(connection, asker, "collection.create", name, after={"acl": acl, "encoder": encoder})
    return collections.describe(connection, collections.ensure(connection, asker.workspace, name, encoder), asker)


def _check(document: Handed) -> None:
    name = document.external_id
    if not name or is_too_long(name) or "\x00" in name:
        hint = f"1 to {LONGEST_ID} characters, and at most {LONGEST_ID_BYTES} bytes in UTF-8"
        raise InvalidInput(f"not an external_id: {name[:80]!r}", hint=hint, param="external_id")
    if any(isinstance(value, dict | list) for value in document.metadata.values()):
        raise InvalidInput(f"the metadata of {name!r} nest", hint="metadata are plain values: text, numbers, true, false", param="metadata")


def show(connection: Connection, asker: Asker, document_id: str) -> Json:
    """A document with its metadata and chunks; the owner sees who may read it, and whether it has that from its collection.

    Raises `UnknownName` for one that is withdrawn, not there or not readable.
    """
    found = find_live(connection, asker, document_id)
    row = found.pop("row")
    del found["collection_row"]
    if asker.owner:
        found |= listing.rights_of(connection, row)
    newest = listing.version(connection, row, found["version"])
    if newest is None:
        return {**found, "title": "", "metadata": {}, "chunks": []}
    chunks = listing.chunks_of(connection, document_id, row, found["version"], newest["text"])
    return {**found, "title": newest["title"], "metadata": newest["metadata"], "chunks": chunks}


def text(connection: Connection, asker: Asker, document_id: str, version: int | None = None) -> Json:
    """The extracted text that all offsets count in: of one version, also where the document is withdrawn, or of the newest."""
    found = (find_live if version is None else find)(connection, asker, document_id)
    wanted = found["version"] if version is None else version
    kept = listing.version(connection, found["row"], wanted)
    if kept is None:
        raise UnknownName("version", str(wanted), hint=f"the newest is {found['version']}")
    return {"document_id": document_id, "version": wanted, "title": kept["title"], "text": kept["text"]}


def listed(connection: Connection, asker: Asker, collection: str, after: int = 0, limit: int | None = None) -> list[Json]:
    """The documents of a collection that the asker may read; `row` pages on."""
    found = collections.find(connection, asker.workspace, collection)
    rows = listing.documents_of(connection, found.row, asker, after, limit)
    for row in rows:
        del row["collection_row"]
    return rows


def withdraw(store: Store, asker: Asker, document_id: str) -> Json:
    """Take a document out of every search from now on; what was answered from it can still be explained."""

    def run(connection: Connection) -> Json:
        found = find_live(connection, asker, document_id)
        collection = collections.find(connection, asker.workspace, found["collection"])
        seq = documents.withdraw(connection, collection, [found["row"]])
        detail = {"collection": collection.name, "seq": seq}
        audit.record(connection, asker, "document.withdraw", document_id, detail, before=found["state"], after="withdrawn")
        return {"document_id": document_id, "withdrawn": True, "snapshot": {"collection": collection.name, "seq": seq}}

    return store.write(run)


def find(connection: Connection, asker: Asker, document_id: str) -> Json:
    """A document's row as the asker may see it, withdrawn or not; `UnknownName` where there is none."""
    found = listing.document(connection, document_id, asker)
    if found is None:
        raise _unknown(document_id)
    return found


def find_live(connection: Connection, asker: Asker, document_id: str) -> Json:
    """As `find`, but for withdrawn ones."""
    found = find(connection, asker, document_id)
    if found["state"] == "withdrawn":
        raise _unknown(document_id)
    return found


def _unknown(document_id: str) -> UnknownName:
    return UnknownName("document", document_id, hint="`llmops documents list --collection NAME` shows the ids")
