"""Documents, their versions and chunks: how they become visible, fail, and are withdrawn."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from llmops.store import blobs
from vectorstore.profile import Profile
from vectorstore.rows import acls, collections
from vectorstore.rows.changes import text_number
from vectorstore.tables import FOREVER, chunks, documents, profiles, versions

T = TypeVar("T")


class State(NamedTuple):
    """What an ingestion must know of a document that is already there."""

    row: int
    state: str
    error: str | None
    version: int
    acl_id: str
    content_hash: str | None
    searched: bool
    """Whether a version of it is live: a document that failed may still have its last good one."""


class NewChunk(NamedTuple):
    start: int
    end: int
    page: int | None
    heading: str
    text_hash: bytes


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A document's new content, ready to become visible. `acl` None keeps what is; a new document inherits its collection's."""

    external_id: str
    title: str
    text: str
    metadata: dict[str, Any]
    content_hash: str
    blob_hash: str
    chunks: Sequence[NewChunk]
    acl: list[str] | None = None
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A document that could not be read, and why."""

    external_id: str
    error: str
    acl: list[str] | None = None


@dataclass(slots=True)
class Batch:
    """What one transaction makes visible: new versions, failures and documents that are gone (their rows), by external id."""

    ready: dict[str, NewVersion] = field(default_factory=dict)
    failed: dict[str, Failure] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def external_ids(self) -> set[str]:
        return {*self.ready, *self.failed, *self.gone}

    def without(self, names: Collection[str]) -> Batch:
        """The batch but for the documents of these external ids."""
        ready = {name: one for name, one in self.ready.items() if name not in names}
        failed = {name: one for name, one in self.failed.items() if name not in names}
        return Batch(ready, failed, {name: row for name, row in self.gone.items() if name not in names}, self.blobs)


def states(connection: Connection, collection_row: int, source: str) -> dict[str, State]:
    """Every document of a source, by its external id."""
    return dict(_states(connection, (documents.c.collection_row == collection_row) & (documents.c.source == source)))


def rows_of(connection: Connection, collection_row: int, source: str) -> list[int]:
    """The documents of a source, withdrawn ones too: their rights count for what was answered from them."""
    wanted = select(documents.c.row).where(documents.c.collection_row == collection_row, documents.c.source == source)
    return list(connection.execute(wanted.order_by(documents.c.row)).scalars())


def states_of(connection: Connection, collection_row: int, source: str, external_ids: Iterable[str]) -> dict[str, State]:
    """The documents of these external ids, as far as they are there."""
    found: dict[str, State] = {}
    mine = (documents.c.collection_row == collection_row) & (documents.c.source == source)
    for part in in_parts(list(external_ids)):
        found.update(_states(connection, mine & documents.c.external_id.in_(part)))
    return found


def _states(connection: Connection, which: ColumnElement[bool]) -> Iterator[tuple[str, State]]:
    newest = (versions.c.document_row == documents.c.row) & (versions.c.version == documents.c.version)
    found = connection.execute(
        select(
            documents.c.external_id,
            documents.c.row,
            documents.c.state,
            documents.c.error,
            documents.c.version,
            documents.c.acl_id,
            versions.c.content_hash,
            func.coalesce(versions.c.seq_to, 0) == FOREVER,
        )
        .select_from(documents.outerjoin(versions, newest))
        .where(which)
    )
    return ((row[0], State(*row[1:])) for row in found)


def publish(connection: Connection, collection: collections.Collection, source: str, batch: Batch) -> int:
    """Make a batch visible in the caller's transaction: the collection's sequence moves by one. Returns the new sequence.

    The collection is as it was when the run began.
    """
    for content in batch.blobs.values():
        blobs.keep(connection, content)
    seq = collections.next_seq(connection, collection.row)
    end(connection, list(batch.gone.values()), seq)
    for document in batch.ready.values():
        _publish_one(connection, collection, source, document, seq)
    for failure in batch.failed.values():
        _upsert(connection, collection, source, failure.external_id, failure.acl, state="failed", error=failure.error[:2000])
    return seq


def _publish_one(connection: Connection, collection: collections.Collection, source: str, new: NewVersion, seq: int) -> None:
    row, version = _upsert(connection, collection, source, new.external_id, new.acl, state="ready", error=None)
    close(connection, [row], seq)
    version += 1
    connection.execute(update(documents).where(documents.c.row == row).values(version=version, chunks=len(new.chunks)))
    connection.execute(
        insert(versions).values(
            document_row=row,
            version=version,
            collection_row=collection.row,
            title=new.title[:1000],
            text=new.text,
            metadata=new.metadata,
            content_hash=new.content_hash,
            blob_hash=new.blob_hash,
            seq_from=seq,
            seq_to=FOREVER,
            created_at=time.time(),
        )
    )
    if new.profile is not None:
        known = {"document_row": row, "version": version, "before_seq": collection.seq}
        connection.execute(insert(profiles).values(**known, **asdict(new.profile)))
    place = {"collection_row": collection.row, "document_row": row, "version": version, "seq_from": seq, "seq_to": FOREVER}
    rows = [{**place, "ordinal": n, "text_number": text_number(chunk.text_hash), **chunk._asdict()} for n, chunk in enumerate(new.chunks)]
    if rows:
        connection.execute(insert(chunks), rows)


def _upsert(
    connection: Connection, collection: collections.Collection, source: str, external_id: str, acl: list[str] | None, *, state: str, error: str | None
) -> tuple[int, int]:
    """The document's row and its newest version so far; the row is made, or its state and rights are set."""
    here = (documents.c.collection_row == collection.row) & (documents.c.source == source) & (documents.c.external_id == external_id)
    found = connection.execute(select(documents.c.row, documents.c.version).where(here)).first()
    values: dict[str, Any] = {"state": state, "error": error, "updated_at": time.time()}
    if found is not None:
        if acl is not None:
            set_rights(connection, collection, [found.row], acl)
        connection.execute(update(documents).where(documents.c.row == found.row).values(values))
        return found.row, found.version
    acl_id = collections.inherited(connection, collection.row) if acl is None else acls.intern(connection, acl)
    values |= {
        "id": f"doc_{uuid.uuid4().hex}",
        "workspace": collection.workspace,
        "collection_row": collection.row,
        "source": source,
        "external_id": external_id,
        "acl_id": acl_id,
        "inherits": acl is None,
        "rights_seq": collection.rights_seq,
        "version": 0,
        "chunks": 0,
    }
    return connection.execute(insert(documents).values(values).returning(documents.c.row)).scalar_one(), 0


def set_rights(connection: Connection, collection: collections.Collection, rows: Sequence[int], acl: list[str] | None) -> None:
    """Give documents another access list, None for the collection's; every reader sees it with its next search."""
    # First of all: it holds the collection's row, so that what is inherited cannot change meanwhile.
    rights_seq = collections.next_rights_seq(connection, collection.row)
    acl_id = collections.inherited(connection, collection.row) if acl is None else acls.intern(connection, acl)
    for part in in_parts(rows):
        changed = documents.c.row.in_(part) & ((documents.c.acl_id != acl_id) | (documents.c.inherits != (acl is None)))
        connection.execute(update(documents).where(changed).values(acl_id=acl_id, inherits=acl is None, rights_seq=rights_seq))


def set_inherited(connection: Connection, collection: collections.Collection, acl: list[str]) -> None:
    """Give a collection another access list, and with it every document that inherits it."""
    rights_seq = collections.next_rights_seq(connection, collection.row)
    acl_id = acls.intern(connection, acl)
    collections.set_acl(connection, collection.row, acl_id)
    inheriting = (documents.c.collection_row == collection.row) & documents.c.inherits
    connection.execute(update(documents).where(inheriting).values(acl_id=acl_id, rights_seq=rights_seq))


def withdraw(connection: Connection, collection: collections.Collection, rows: Sequence[int]) -> int:
    """Take documents out of every search from now on; earlier snapshots keep them. Returns the new sequence."""
    seq = collections.next_seq(connection, collection.row)
    end(connection, rows, seq)
    return seq


def end(connection: Connection, rows: Sequence[int], seq: int) -> None:
    """Take documents out of every search as of `seq`."""
    close(connection, rows, seq)
    for part in in_parts(rows):
        connection.execute(update(documents).where(documents.c.row.in_(part)).values(state="withdrawn", error=None, chunks=0, updated_at=time.time()))


def close(connection: Connection, rows: Sequence[int], seq: int) -> None:
    """End what is live of these documents at `seq`."""
    for part in in_parts(rows):
        for table in (chunks, versions):
            connection.execute(update(table).where(table.c.document_row.in_(part), table.c.seq_to == FOREVER).values(seq_to=seq))


def in_parts(values: Sequence[T], size: int = 500) -> Iterable[Sequence[T]]:
    return (values[first : first + size] for first in range(0, len(values), size))
