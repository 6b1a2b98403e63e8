"""Original bytes: those of a version, what else came from the same file, and which nobody needs any more."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, exists, func, select

from llmops.store.tables import blobs
from llmops.types import Asker
from vectorstore import tables
from vectorstore.rows import files
from vectorstore.rows.documents import in_parts
from vectorstore.rows.hits import only_readable
from vectorstore.tables import documents, versions


def unneeded(connection: Connection, workspace: str, before: float, limit: int) -> list[str]:
    """The hashes of bytes that are kept, were made into a document of this workspace, and into none that is there or went after `before`."""
    made = versions.join(documents, documents.c.row == versions.c.document_row)
    here = exists().select_from(made).where(versions.c.blob_hash == blobs.c.hash, documents.c.workspace == workspace)
    gone = (documents.c.state == "withdrawn") & (documents.c.updated_at < before)
    needed = exists().select_from(made).where(versions.c.blob_hash == blobs.c.hash, ~gone)
    wanted = select(blobs.c.hash).where(func.length(blobs.c.content) > 0, blobs.c.created_at < before, here, ~needed)
    return list(connection.execute(wanted.order_by(blobs.c.hash).limit(limit)).scalars())


def blob_of(connection: Connection, document_row: int, version: int) -> str | None:
    """The hash of the bytes that a version was made of."""
    wanted = select(versions.c.blob_hash).where(versions.c.document_row == document_row, versions.c.version == version)
    return connection.execute(wanted).scalar()


def file_of(connection: Connection, collection_row: int, source: str, blob_hash: str, external_id: str) -> tuple[str, files.Ingested] | None:
    """The file of a source that has these bytes as it was last read, by its path; of two with the same bytes the document's own."""
    mine = (tables.files.c.collection_row == collection_row) & (tables.files.c.source == source) & (tables.files.c.blob_hash == blob_hash)
    path = connection.execute(select(tables.files.c.path).where(mine).order_by(tables.files.c.path != external_id).limit(1)).scalar()
    return None if path is None else (path, files.known(connection, collection_row, source, path)[path])


def may_read_all(connection: Connection, collection_row: int, source: str, external_ids: Sequence[str], asker: Asker) -> bool:
    """Whether the asker may read each of these documents of a source today; nobody but the owner may where one is withdrawn."""
    readable: set[str] = set()
    for part in in_parts(list(external_ids)):
        mine = (documents.c.collection_row == collection_row) & (documents.c.source == source) & documents.c.external_id.in_(part)
        there = select(documents.c.external_id).where(mine, documents.c.state != "withdrawn")
        readable.update(connection.execute(only_readable(there, asker)).scalars())
    return readable.issuperset(external_ids)
