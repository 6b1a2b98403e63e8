"""Make a collection hold what another holds: documents, versions and chunks are copied as rows, vectors and bytes are shared."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, bindparam, func, insert, literal, select, update

from llmops.types import Json
from vectorstore.rows import acls, collections, files
from vectorstore.rows.documents import close, end
from vectorstore.tables import FOREVER, chunks, documents, profiles, versions

Name = tuple[str, str]
"""A document within its collection: its source and its external id."""


class Document(NamedTuple):
    """What is compared of a document. `content` is the hash of what is live of it, None where nothing is."""

    row: int
    version: int
    content: str | None
    acl_id: str
    inherits: bool
    state: str


def replace_content(
    connection: Connection, source: collections.Collection, target: collections.Collection, at: int, principals: Iterable[str] | None = None
) -> Json:
    """Give `target` what was live in `source` at the sequence `at`, with today's rights, as one step of its own sequence.

    A name of the source's workspace in an access list becomes that of the target's. `principals` are those of who
    promotes, None for the owner: what they may not read in the target stays as it is, whatever the source holds.
    Returns what was done, in numbers.
    """
    for row in sorted((source.row, target.row)):  # in one order, so that no two promotions wait for each other
        collections.lock(connection, row)
    theirs, ours = _live_at(connection, source.row, at), _all(connection, target.row)
    moved = {acl_id: acls.moved(connection, acl_id, source.workspace, target.workspace) for acl_id in {one.acl_id for one in theirs.values()}}
    closed = _closed_to(connection, ours, principals)
    different = [name for name, one in theirs.items() if name not in ours or not _is_same(one, ours[name], moved)]
    refused = closed & {*different, *(name for name, one in ours.items() if name not in theirs and one.state != "withdrawn")}
    gone = [name for name, one in ours.items() if name not in theirs and one.state != "withdrawn" and name not in refused]
    theirs = {name: one for name, one in theirs.items() if name not in refused}
    new = [name for name, one in theirs.items() if name not in ours or (ours[name].content, ours[name].state) != (one.content, "ready")]
    files.forget_sources(connection, target.row, {source_name for source_name, _ in [*new, *gone]})
    _move_list(connection, source, target, principals)
    seq = collections.next_seq(connection, target.row) if new or gone else collections.lock(connection, target.row).seq
    end(connection, [ours[name].row for name in gone], seq)
    _add_rows(connection, target, [name for name in new if name not in ours], theirs, moved)
    ours = _all(connection, target.row)
    close(connection, [ours[name].row for name in new], seq)
    _copy_versions(connection, target.row, seq, [(theirs[name], ours[name]) for name in new])
    shared = _set_rights(connection, target, theirs, ours, moved)
    counts = {"documents": len(theirs), "copied": len(new), "shared": shared, "withdrawn": len(gone), "refused": len(refused)}
    return {**counts, "seq": seq}


def _is_same(theirs: Document, ours: Document, moved: Mapping[str, str]) -> bool:
    return (ours.content, ours.state, ours.acl_id) == (theirs.content, "ready", moved[theirs.acl_id])


def _closed_to(connection: Connection, ours: Mapping[Name, Document], principals: Iterable[str] | None) -> set[Name]:
    """The documents that somebody may not read, withdrawn ones too: with a new list their former versions would lie open."""
    if principals is None:
        return set()
    readable = acls.readable(connection, {one.acl_id for one in ours.values()}, principals)
    return {name for name, one in ours.items() if one.acl_id not in readable}


def _move_list(connection: Connection, source: collections.Collection, target: collections.Collection, principals: Iterable[str] | None) -> None:
    """The source's list for the target, unless the target's is closed to who promotes."""
    now = collections.inherited(connection, target.row)
    if principals is None or acls.readable(connection, [now], principals):
        inherited = collections.inherited(connection, source.row)
        collections.set_acl(connection, target.row, acls.moved(connection, inherited, source.workspace, target.workspace))


def _live_at(connection: Connection, collection_row: int, at: int) -> dict[Name, Document]:
    live = (versions.c.document_row == documents.c.row) & (versions.c.seq_from <= at) & (versions.c.seq_to > at)
    columns = (documents.c.row, versions.c.version, versions.c.content_hash, documents.c.acl_id, documents.c.inherits, documents.c.state)
    wanted = select(documents.c.source, documents.c.external_id, *columns).join(versions, live)
    found = connection.execute(wanted.where(documents.c.collection_row == collection_row).order_by(documents.c.row))
    return {(row[0], row[1]): Document(*row[2:]) for row in found}


def _all(connection: Connection, collection_row: int) -> dict[Name, Document]:
    live = (versions.c.document_row == documents.c.row) & (versions.c.seq_to == FOREVER)
    columns = (documents.c.row, documents.c.version, versions.c.content_hash, documents.c.acl_id, documents.c.inherits, documents.c.state)
    wanted = select(documents.c.source, documents.c.external_id, *columns).outerjoin(versions, live)
    found = connection.execute(wanted.where(documents.c.collection_row == collection_row))
    return {(row[0], row[1]): Document(*row[2:]) for row in found}


def _add_rows(
    connection: Connection, target: collections.Collection, names: Iterable[Name], theirs: Mapping[Name, Document], moved: Mapping[str, str]
) -> None:
    values = [
        {
            "id": f"doc_{uuid.uuid4().hex}",
            "workspace": target.workspace,
            "collection_row": target.row,
            "source": name[0],
            "external_id": name[1],
            "acl_id": moved[theirs[name].acl_id],
            "inherits": theirs[name].inherits,
            "rights_seq": target.rights_seq,
            "state": "ready",
            "version": 0,
            "chunks": 0,
            "updated_at": time.time(),
        }
        for name in names
    ]
    if values:
        connection.execute(insert(documents), values)


def _copy_versions(connection: Connection, collection_row: int, seq: int, pairs: list[tuple[Document, Document]]) -> None:
    """The content of the first of each pair becomes the newest version of the second."""
    if not pairs:
        return
    places = [{"from_row": one.row, "from_version": one.version, "to_row": other.row, "to_version": other.version + 1} for one, other in pairs]
    key = {
        "document_row": bindparam("to_row", type_=documents.c.row.type),
        "version": bindparam("to_version", type_=versions.c.version.type),
    }
    place = {**key, "collection_row": literal(collection_row), "seq_from": literal(seq), "seq_to": literal(FOREVER)}
    copied: tuple[tuple[Table, tuple[str, ...], Mapping[str, ColumnElement[Any]]], ...] = (
        (versions, ("title", "text", "metadata", "content_hash", "blob_hash"), {**place, "created_at": literal(time.time())}),
        (profiles, ("characters", "tokens", "language", "text_hash", "signature", "vocabulary", "pii"), {**key, "before_seq": literal(seq - 1)}),
        (chunks, ("ordinal", "start", "end", "page", "heading", "text_hash", "text_number"), place),
    )
    for table, names, fixed in copied:
        kept = select(*(table.c[name] for name in names), *(value.label(name) for name, value in fixed.items()))
        kept = kept.where(table.c.document_row == bindparam("from_row"), table.c.version == bindparam("from_version"))
        if table is chunks:
            kept = kept.order_by(chunks.c.ordinal)
        connection.execute(insert(table).from_select([*names, *fixed], kept, include_defaults=False), places)
    theirs = (chunks.c.document_row == bindparam("from_row")) & (chunks.c.version == bindparam("from_version"))
    counted = select(func.count()).where(theirs).scalar_subquery()
    newest = {"version": bindparam("to_version"), "chunks": counted, "state": "ready", "error": None, "updated_at": time.time()}
    connection.execute(update(documents).where(documents.c.row == bindparam("to_row")).values(newest), places)


def _set_rights(
    connection: Connection, target: collections.Collection, theirs: Mapping[Name, Document], ours: Mapping[Name, Document], moved: Mapping[str, str]
) -> int:
    """The rights of the source's documents for those of the target, where they differ; returns of how many."""
    wanted = {name: (moved[one.acl_id], one.inherits) for name, one in theirs.items()}
    changed = [name for name, (acl_id, inherits) in wanted.items() if (ours[name].acl_id, ours[name].inherits) != (acl_id, inherits)]
    rights_seq = collections.next_rights_seq(connection, target.row)
    values = [{"to_row": ours[name].row, "to_acl": wanted[name][0], "to_inherits": wanted[name][1]} for name in changed]
    if values:
        rights = {"acl_id": bindparam("to_acl"), "inherits": bindparam("to_inherits"), "rights_seq": rights_seq}
        connection.execute(update(documents).where(documents.c.row == bindparam("to_row")).values(rights), values)
    # Whatever has another list than the collection's now keeps it, and follows the collection no more.
    other = documents.c.acl_id != collections.inherited(connection, target.row)
    connection.execute(update(documents).where(documents.c.collection_row == target.row, documents.c.inherits, other).values(inherits=False))
    return len(changed)
