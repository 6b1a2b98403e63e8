"""What a reader of a collection must learn: new chunks, withdrawn ones, and changed rights, each since it last looked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, select

from llmops.errors import StoreError
from vectorstore.chunk import embedded_text
from vectorstore.tables import FOREVER, acl_principals, chunks, documents, vectors, versions

_PRIME = 2**31 - 1


class ChunkRow(NamedTuple):
    """A chunk with the text and the vector that it is found by."""

    row: int
    document_row: int
    version: int
    seq_from: int
    text_number: int
    text: str
    vector: bytes


class Checksum(NamedTuple):
    """Enough of the chunk rows of a stretch to notice that they are not the rows something was derived from.

    `content` is the sum of `mixed` over the rows.
    """

    chunks: int
    rows: int
    content: int


def mixed(row: Any, document_row: Any, version: Any, seq_from: Any, text_number: Any) -> Any:
    """A number of 31 bits that tells a chunk row by its place and its text: of arrays of int64, or as an SQL expression.

    The row is a factor, so that the same texts in another order do not sum up to the same.
    """
    place = (seq_from * 10_007 + version) * 10_007 + document_row
    return (place + text_number) % _PRIME * (row % 65_521 + 1) % _PRIME


def text_number(text_hash: bytes) -> int:
    """The first 32 bits of a text's hash: what SQL can sum over many millions of rows."""
    return int.from_bytes(text_hash[:4], "big")


def new_chunks(connection: Connection, collection_row: int, encoder: str, after: int, seq: int) -> Iterator[ChunkRow]:
    """The chunks after a row, up to and including `seq`, in the order of their rows. Raises `StoreError` for one whose version is gone."""
    wanted = select(
        *(chunks.c.row, chunks.c.document_row, chunks.c.version, chunks.c.seq_from, chunks.c.text_number),
        *(chunks.c.start, chunks.c.end, chunks.c.heading, vectors.c.vector),
    )
    wanted = wanted.join(vectors, (vectors.c.text_hash == chunks.c.text_hash) & (vectors.c.encoder == encoder))
    wanted = wanted.where(chunks.c.collection_row == collection_row, chunks.c.row > after, chunks.c.seq_from <= seq).order_by(chunks.c.row)
    found = connection.execute(wanted.execution_options(stream_results=True, yield_per=2000))
    for row, text in with_texts(connection, found):
        if text is None:
            raise StoreError(f"the chunk {row.row} is of no version", hint="restore a backup: `llmops restore FILE --force`")
        yield ChunkRow(row.row, row.document_row, row.version, row.seq_from, row.text_number, text, row.vector)


def with_texts(connection: Connection, found: Iterable[Any]) -> Iterator[tuple[Any, str | None]]:
    """Each row of a chunk with the text that it is found by, in their order; None where its version is not there.

    A document's chunks follow each other, so its text is fetched once and cut here, not once for each chunk in SQL.
    """
    document: tuple[int, int] | None = None
    version: Any = None
    for row in found:
        if document != (row.document_row, row.version):
            document = (row.document_row, row.version)
            of = select(versions.c.title, versions.c.text).where(versions.c.document_row == document[0], versions.c.version == document[1])
            version = connection.execute(of).first()
        yield row, None if version is None else embedded_text(version.title, row.heading, version.text[row.start : row.end])


def checksum(connection: Connection, collection_row: int, first: int, last: int) -> Checksum:
    """Over the chunk rows from `first` to `last`, both included."""
    content = mixed(chunks.c.row, chunks.c.document_row, chunks.c.version, chunks.c.seq_from, chunks.c.text_number)
    found = connection.execute(
        select(func.count(), func.coalesce(func.sum(chunks.c.row), 0), func.coalesce(func.sum(content), 0)).where(
            chunks.c.collection_row == collection_row, chunks.c.row >= first, chunks.c.row <= last
        )
    ).one()
    return Checksum(*(int(value) for value in found))


def withdrawn(connection: Connection, collection_row: int, after: int, seq: int) -> list[tuple[int, int]]:
    """The chunks whose end came after the sequence number `after`, as (row, seq_to)."""
    found = connection.execute(
        select(chunks.c.row, chunks.c.seq_to)
        .where(chunks.c.collection_row == collection_row, chunks.c.seq_to > after, chunks.c.seq_to <= seq, chunks.c.seq_to != FOREVER)
        .order_by(chunks.c.row)
    )
    return list(found.all())


def rights(connection: Connection, collection_row: int, after: int) -> dict[int, str]:
    """The access list of every document whose rights changed after `after`; with -1, of every document."""
    found = connection.execute(
        select(documents.c.row, documents.c.acl_id).where(documents.c.collection_row == collection_row, documents.c.rights_seq > after)
    )
    return dict(found.all())


def rights_of(connection: Connection, rows: list[int]) -> dict[int, str]:
    """The access lists of these documents."""
    found: dict[int, str] = {}
    for first in range(0, len(rows), 500):
        part = documents.c.row.in_(rows[first : first + 500])
        found.update(connection.execute(select(documents.c.row, documents.c.acl_id).where(part)).all())
    return found


def readable_acls(connection: Connection, principals: frozenset[str]) -> set[str]:
    """The access lists that name one of these principals."""
    wanted = sorted(principals)
    return set(connection.execute(select(acl_principals.c.acl_id).where(acl_principals.c.principal.in_(wanted)).distinct()).scalars())


def metadata(connection: Connection, collection_row: int, of: Collection[tuple[int, int]] | None = None) -> dict[tuple[int, int], Mapping[str, Any]]:
    """What filters look at, by version: of every document's every version, or of these. A document's own field goes before what all have."""
    wanted = select(
        *(versions.c.document_row, versions.c.version, versions.c.metadata, versions.c.title, documents.c.source, documents.c.external_id)
    ).join(documents, documents.c.row == versions.c.document_row)
    if of is None:
        return dict(_told(connection, wanted.where(versions.c.collection_row == collection_row)))
    found: dict[tuple[int, int], Mapping[str, Any]] = {}
    rows = sorted({row for row, _ in of})
    for first in range(0, len(rows), 500):  # by the primary key alone: with the collection too, its index is gone through whole
        found.update(_told(connection, wanted.where(versions.c.document_row.in_(rows[first : first + 500]))))
    return {version: found[version] for version in of if version in found}


def _told(connection: Connection, wanted: Select[Any]) -> Iterator[tuple[tuple[int, int], Mapping[str, Any]]]:
    for row in connection.execute(wanted):
        yield (row.document_row, row.version), {"title": row.title, "source": row.source, "external_id": row.external_id, **row.metadata}
