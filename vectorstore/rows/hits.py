"""The last step of a search: fetch what was found, and check on the rows themselves that it may be read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, exists, select, tuple_

from llmops.types import Asker, Passage
from vectorstore.tables import acl_principals, chunks, documents, versions


def passages(connection: Connection, rows: Sequence[int], asker: Asker, at: int) -> dict[int, Passage]:
    """The chunks of these rows that are live at `at` and that the asker may read today."""
    found: dict[int, Passage] = {}
    for first in range(0, len(rows), 500):
        wanted = select(
            *(chunks.c.row, chunks.c.document_row, chunks.c.start, chunks.c.end, chunks.c.version, chunks.c.ordinal, chunks.c.page),
            *(chunks.c.heading, documents.c.id, documents.c.external_id, documents.c.source),
        )
        wanted = wanted.join(documents, documents.c.row == chunks.c.document_row)
        wanted = wanted.where(chunks.c.row.in_(rows[first : first + 500]), chunks.c.seq_from <= at, chunks.c.seq_to > at)
        hits = connection.execute(only_readable(wanted, asker)).all()
        texts = _texts(connection, {(hit.document_row, hit.version) for hit in hits})
        for hit in hits:
            title, text = texts[hit.document_row, hit.version]
            found[hit.row] = Passage(
                chunk_id=chunk_id(hit.id, hit.version, hit.ordinal),
                document_id=hit.id,
                external_id=hit.external_id,
                source=hit.source,
                title=title,
                text=text[hit.start : hit.end],
                start=hit.start,
                end=hit.end,
                version=hit.version,
                page=hit.page,
                heading=hit.heading,
            )
    return found


def _texts(connection: Connection, wanted: set[tuple[int, int]]) -> dict[tuple[int, int], tuple[str, str]]:
    """Title and text of versions, each fetched once: to cut a long text for every hit in SQL costs its whole length each time."""
    key = tuple_(versions.c.document_row, versions.c.version)
    found = connection.execute(select(versions.c.document_row, versions.c.version, versions.c.title, versions.c.text).where(key.in_(sorted(wanted))))
    return {(row.document_row, row.version): (row.title, row.text) for row in found}


def texts_of(connection: Connection, places: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The text of passages that were kept as places (document, version, start, end), by chunk id, whoever may read them."""
    ids = {place["document_id"] for place in places}
    rows = dict(connection.execute(select(documents.c.id, documents.c.row).where(documents.c.id.in_(sorted(ids)))).all())
    texts = _texts(connection, {(rows[place["document_id"]], place["version"]) for place in places if place["document_id"] in rows})
    found = {}
    for place in places:
        _, text = texts.get((rows.get(place["document_id"], 0), place["version"]), ("", ""))
        found[place["chunk_id"]] = text[place["start"] : place["end"]]
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
