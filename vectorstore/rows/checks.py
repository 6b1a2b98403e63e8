"""What must hold of the rows of collections, as queries for what does not; and what of them follows from others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, Select, and_, delete, func, or_, select, update

from llmops.store.tables import blobs
from vectorstore.rows.acls import let_find
from vectorstore.rows.changes import with_texts
from vectorstore.rows.collections import Collection
from vectorstore.tables import FOREVER, acl_principals, acls, chunks, collections, documents, vectors, versions

_LIVE_CHUNKS = select(func.count()).where(chunks.c.document_row == documents.c.row, chunks.c.seq_to == FOREVER).correlate(documents).scalar_subquery()
_LIVE_VERSIONS = (
    select(func.count()).where(versions.c.document_row == documents.c.row, versions.c.seq_to == FOREVER).correlate(documents).scalar_subquery()
)
_NEWEST = and_(versions.c.document_row == chunks.c.document_row, versions.c.version == chunks.c.version)

# By version, so that the length of a text is asked for once and not with each of its chunks.
_SPANS = (
    select(
        *(chunks.c.document_row, chunks.c.version, func.min(chunks.c.start).label("first")),
        *(func.max(chunks.c.end).label("last"), func.min(chunks.c.end - chunks.c.start).label("shortest")),
    )
    .group_by(chunks.c.document_row, chunks.c.version)
    .subquery()
)


class Text(NamedTuple):
    """A text that a chunk was embedded as, by the hash that its row has."""

    text_hash: bytes
    text: str


def every_collection(connection: Connection) -> list[Collection]:
    return [Collection(*row) for row in connection.execute(select(collections).order_by(collections.c.row))]


def sizes(connection: Connection) -> tuple[int, int]:
    """How many documents there are that are not withdrawn, and how many live chunks."""
    there = select(func.count()).select_from(documents).where(documents.c.state != "withdrawn")
    live = select(func.count()).select_from(chunks).where(chunks.c.seq_to == FOREVER)
    return connection.execute(there).scalar_one(), connection.execute(live).scalar_one()


def faults_of_documents(connection: Connection) -> Iterator[str]:
    """What is wrong with documents, their versions and their chunks."""
    questions: list[tuple[str, Select[tuple[str]]]] = [
        ("has another number of live chunks than its row says", select(documents.c.id).where(documents.c.chunks != _LIVE_CHUNKS)),
        ("has more than one live version", select(documents.c.id).where(_LIVE_VERSIONS > 1)),
        ("is ready without a live version", select(documents.c.id).where(documents.c.state == "ready", _LIVE_VERSIONS == 0)),
        ("is withdrawn and still live", select(documents.c.id).where(documents.c.state == "withdrawn", _LIVE_VERSIONS + _LIVE_CHUNKS > 0)),
        (
            "has live chunks of a version that is not live",
            select(documents.c.id)
            .join(chunks, chunks.c.document_row == documents.c.row)
            .join(versions, _NEWEST)
            .where(chunks.c.seq_to == FOREVER, versions.c.seq_to != FOREVER)
            .distinct(),
        ),
        (
            "has chunks of no version",
            select(documents.c.id)
            .join(chunks, chunks.c.document_row == documents.c.row)
            .outerjoin(versions, _NEWEST)
            .where(versions.c.version.is_(None))
            .distinct(),
        ),
        (
            "has a chunk outside of its text",
            select(documents.c.id)
            .join(_SPANS, _SPANS.c.document_row == documents.c.row)
            .join(versions, and_(versions.c.document_row == _SPANS.c.document_row, versions.c.version == _SPANS.c.version))
            .where(or_(_SPANS.c.first < 0, _SPANS.c.shortest < 0, _SPANS.c.last > func.length(versions.c.text)))
            .distinct(),
        ),
        (
            "has a version whose bytes are not there",
            select(documents.c.id)
            .join(versions, versions.c.document_row == documents.c.row)
            .outerjoin(blobs, blobs.c.hash == versions.c.blob_hash)
            .where(blobs.c.hash.is_(None))
            .distinct(),
        ),
        ("is in no collection", select(documents.c.id).outerjoin(collections).where(collections.c.row.is_(None))),
    ]
    for told, question in questions:
        for document_id in connection.execute(question.order_by(documents.c.id)).scalars():
            yield f"{document_id} {told}"


def count_chunks_again(connection: Connection) -> int:
    """Let every document's row say how many live chunks it has; returns how many said something else."""
    return connection.execute(update(documents).where(documents.c.chunks != _LIVE_CHUNKS).values(chunks=_LIVE_CHUNKS)).rowcount


def embedded_texts(connection: Connection, collection_row: int) -> Iterator[Text]:
    """Every text of a collection's chunks, the ended ones too: earlier snapshots are asked for."""
    wanted = select(chunks.c.document_row, chunks.c.version, chunks.c.text_hash, chunks.c.start, chunks.c.end, chunks.c.heading)
    wanted = wanted.where(chunks.c.collection_row == collection_row).order_by(chunks.c.row)
    for row, text in with_texts(connection, connection.execute(wanted.execution_options(stream_results=True, yield_per=2000))):
        if text is not None:
            yield Text(bytes(row.text_hash), text)


def text_hashes(connection: Connection, collection_row: int) -> set[bytes]:
    """The hashes of a collection's texts, the ended ones too."""
    found = connection.execute(select(chunks.c.text_hash).where(chunks.c.collection_row == collection_row).distinct()).scalars()
    return {bytes(text_hash) for text_hash in found}


def vectors_of(connection: Connection, encoder: str) -> Iterator[tuple[bytes, bytes]]:
    """Every vector of an encoder, packed, by the hash of its text."""
    query = select(vectors.c.text_hash, vectors.c.vector).where(vectors.c.encoder == encoder)
    for row in connection.execute(query.execution_options(stream_results=True, yield_per=1000)):
        yield bytes(row.text_hash), bytes(row.vector)


def without_vector(connection: Connection, collection: Collection) -> set[bytes]:
    """The hashes of texts of a collection that have no vector."""
    query = (
        select(chunks.c.text_hash)
        .outerjoin(vectors, and_(vectors.c.text_hash == chunks.c.text_hash, vectors.c.encoder == collection.encoder))
        .where(chunks.c.collection_row == collection.row, vectors.c.vector.is_(None))
    )
    return {bytes(text_hash) for text_hash in connection.execute(query.distinct()).scalars()}


def drop_vectors(connection: Connection, encoder: str, text_hashes: set[bytes]) -> None:
    """Drop vectors that are no good, in the transaction that writes them anew."""
    for text_hash in text_hashes:
        connection.execute(delete(vectors).where(vectors.c.encoder == encoder, vectors.c.text_hash == text_hash))


def access_lists(connection: Connection) -> Iterator[tuple[str, list[str], list[str]]]:
    """Every access list: its id, whom it names, and whom a search finds it by."""
    found: dict[str, list[str]] = {}
    for acl_id, principal in connection.execute(select(acl_principals.c.acl_id, acl_principals.c.principal).order_by(acl_principals.c.principal)):
        found.setdefault(acl_id, []).append(principal)
    for acl_id, principals in connection.execute(select(acls.c.id, acls.c.principals).order_by(acls.c.id)):
        yield acl_id, list(principals), sorted(found.get(acl_id, []))


def find_lists_again(connection: Connection, acl_id: str, principals: list[str]) -> None:
    """Let a search find an access list by exactly those whom it names."""
    connection.execute(delete(acl_principals).where(acl_principals.c.acl_id == acl_id))
    let_find(connection, acl_id, principals)


def not_inherited(connection: Connection) -> list[str]:
    """Documents that follow their collection's access list and have another one."""
    query = select(documents.c.id).join(collections).where(documents.c.inherits, documents.c.acl_id != collections.c.acl_id)
    return list(connection.execute(query.order_by(documents.c.id)).scalars())
