"""Which original bytes nobody needs any more."""

from __future__ import annotations

from sqlalchemy import Connection, exists, func, select

from llmops.store.tables import blobs
from vectorstore.tables import documents, versions


def unneeded(connection: Connection, workspace: str, before: float, limit: int) -> list[str]:
    """The hashes of bytes that are kept, were made into a document of this workspace, and into none that is there or went after `before`."""
    made = versions.join(documents, documents.c.row == versions.c.document_row)
    here = exists().select_from(made).where(versions.c.blob_hash == blobs.c.hash, documents.c.workspace == workspace)
    gone = (documents.c.state == "withdrawn") & (documents.c.updated_at < before)
    needed = exists().select_from(made).where(versions.c.blob_hash == blobs.c.hash, ~gone)
    wanted = select(blobs.c.hash).where(func.length(blobs.c.content) > 0, blobs.c.created_at < before, here, ~needed)
    return list(connection.execute(wanted.order_by(blobs.c.hash).limit(limit)).scalars())
