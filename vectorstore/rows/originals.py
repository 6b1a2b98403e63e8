"""Original bytes: those of a version, what else came from the same file, and which nobody needs any more."""

from __future__ import annotations

from sqlalchemy import Connection, exists, func, select

from llmops.store.tables import blobs
from llmops.types import Asker
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


def may_read_whole(connection: Connection, collection_row: int, source: str, path: str, asker: Asker) -> bool:
    """Whether a document is a whole file, and the asker may read every document that the file holds."""
    if asker.owner:
        return True
    file = files.known(connection, collection_row, source, path).get(path)
    if file is None or path not in file.external_ids:
        return False
    readable: set[str] = set()
    for part in in_parts(file.external_ids):
        mine = (documents.c.collection_row == collection_row) & (documents.c.source == source) & documents.c.external_id.in_(part)
        readable.update(connection.execute(only_readable(select(documents.c.external_id).where(mine), asker)).scalars())
    return readable.issuperset(file.external_ids)
