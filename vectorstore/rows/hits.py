"""The last step of a search: fetch what was found, and check on the rows themselves that it may be read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Select, exists, func, select

from llmops.types import Asker, Passage
from vectorstore.tables import acl_principals, chunks, documents, versions


def passages(connection: Connection, rows: Sequence[int], asker: Asker, at: int) -> dict[int, Passage]:
    """The chunks of these rows that are live at `at` and that the asker may read today."""
    found: dict[int, Passage] = {}
    for first in range(0, len(rows), 500):
        wanted = select(
            chunks.c.row,
            documents.c.id,
            documents.c.external_id,
            documents.c.source,
            versions.c.title,
            func.substr(versions.c.text, chunks.c.start + 1, chunks.c.end - chunks.c.start).label("text"),
            chunks.c.start,
            chunks.c.end,
            chunks.c.version,
            chunks.c.ordinal,
            chunks.c.page,
            chunks.c.heading,
        )
        wanted = wanted.join(documents, documents.c.row == chunks.c.document_row).join(
            versions, (versions.c.document_row == chunks.c.document_row) & (versions.c.version == chunks.c.version)
        )
        wanted = wanted.where(chunks.c.row.in_(rows[first : first + 500]), chunks.c.seq_from <= at, chunks.c.seq_to > at)
        for row in connection.execute(only_readable(wanted, asker)):
            found[row.row] = Passage(
                chunk_id=chunk_id(row.id, row.version, row.ordinal),
                document_id=row.id,
                external_id=row.external_id,
                source=row.source,
                title=row.title,
                text=row.text,
                start=row.start,
                end=row.end,
                version=row.version,
                page=row.page,
                heading=row.heading,
            )
    return found


def chunk_id(document_id: str, version: int, ordinal: int) -> str:
    """A chunk's public name: opaque to users, and stable for as long as its version is."""
    return f"chk_{document_id.removeprefix('doc_')}_{version}_{ordinal}"


def readable_documents(connection: Connection, document_ids: Collection[str], asker: Asker) -> set[str]:
    """Which of these documents the asker may read today."""
    wanted = select(documents.c.id).where(documents.c.id.in_(sorted(document_ids)), documents.c.workspace == asker.workspace)
    return set(connection.execute(only_readable(wanted, asker)).scalars())


def only_readable(wanted: Select[Any], asker: Asker) -> Select[Any]:
    """A query over `documents`, narrowed to what the asker may read today."""
    if asker.owner:
        return wanted
    named = (acl_principals.c.acl_id == documents.c.acl_id) & acl_principals.c.principal.in_(sorted(asker.principals))
    return wanted.where(exists().where(named))
