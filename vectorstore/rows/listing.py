"""Documents as users see them, narrowed to what the asker may read."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from llmops.types import Asker, Json
from vectorstore.rows.hits import chunk_id, only_readable
from vectorstore.tables import acls, chunks, collections, documents, versions

_SHOWN = (
    documents.c.row,
    documents.c.id.label("document_id"),
    documents.c.external_id,
    documents.c.source,
    documents.c.state,
    documents.c.error,
    documents.c.version,
    documents.c.chunks,
    documents.c.collection_row,
)


def documents_of(connection: Connection, collection_row: int, asker: Asker, after: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
    """The documents of a collection that are not withdrawn, oldest first; `row` pages on."""
    wanted = select(*_SHOWN).where(documents.c.collection_row == collection_row, documents.c.state != "withdrawn", documents.c.row > after)
    return [dict(row) for row in connection.execute(only_readable(wanted, asker).order_by(documents.c.row).limit(limit)).mappings()]


def document(connection: Connection, document_id: str, asker: Asker) -> dict[str, Any] | None:
    """A document by its id; None where there is none in the asker's workspace that the asker may read."""
    wanted = select(*_SHOWN, collections.c.name.label("collection")).join(collections, collections.c.row == documents.c.collection_row)
    wanted = wanted.where(documents.c.id == document_id, documents.c.workspace == asker.workspace)
    found = connection.execute(only_readable(wanted, asker)).mappings().first()
    return dict(found) if found else None


def rights_of(connection: Connection, document_row: int) -> Json:
    """Who may read a document, and whether it has that from its collection."""
    wanted = select(acls.c.principals, documents.c.inherits).join(documents, documents.c.acl_id == acls.c.id).where(documents.c.row == document_row)
    found = connection.execute(wanted).one()
    return {"acl": list(found.principals), "inherited": bool(found.inherits)}


def version(connection: Connection, document_row: int, number: int) -> Json | None:
    """A version's title, text and metadata."""
    wanted = select(versions.c.version, versions.c.title, versions.c.text, versions.c.metadata, versions.c.seq_from, versions.c.seq_to)
    found = connection.execute(wanted.where(versions.c.document_row == document_row, versions.c.version == number)).mappings().first()
    return dict(found) if found else None


def chunks_of(connection: Connection, document_id: str, document_row: int, number: int, text: str, ordinal: int | None = None) -> list[Json]:
    """The chunks of a version, in their order in the text; or only the one of that ordinal."""
    wanted = select(chunks.c.ordinal, chunks.c.start, chunks.c.end, chunks.c.page, chunks.c.heading)
    wanted = wanted.where(chunks.c.document_row == document_row, chunks.c.version == number)
    if ordinal is not None:
        wanted = wanted.where(chunks.c.ordinal == ordinal)
    found = connection.execute(wanted.order_by(chunks.c.ordinal))
    return [
        {
            "chunk_id": chunk_id(document_id, number, row.ordinal),
            "start": row.start,
            "end": row.end,
            "page": row.page,
            "heading": row.heading,
            "text": text[row.start : row.end],
        }
        for row in found
    ]
