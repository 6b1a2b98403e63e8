"""What a collection held at points of its sequence, and what changed between two of them, as far as the asker may read it today."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, FromClause, Table, and_, func, select

from llmops.types import Asker, Json
from vectorstore.rows.hits import only_readable
from vectorstore.tables import chunks, documents, versions


def counts(connection: Connection, collection_row: int, asker: Asker, at: int) -> Json:
    """How many documents and chunks were live at a sequence number."""
    return {
        "documents": _count(connection, versions, collection_row, asker, at),
        "chunks": _count(connection, chunks, collection_row, asker, at),
    }


def changes(
    connection: Connection, collection_row: int, asker: Asker, since: int, until: int, after: int = 0, limit: int | None = None
) -> list[Json]:
    """The documents whose content at `until` is not that of `since`, by their rows, from the one behind `after` on."""
    before, now = versions.alias("before"), versions.alias("now")
    shown = select(
        *(documents.c.row, documents.c.id.label("document_id"), documents.c.source, documents.c.external_id),
        *(before.c.version.label("from_version"), now.c.version.label("to_version")),
        *(func.length(before.c.text).label("from_characters"), func.length(now.c.text).label("to_characters")),
        func.coalesce(now.c.title, before.c.title).label("title"),
    )
    joined = shown.select_from(documents.outerjoin(before, _of_document(before, since)).outerjoin(now, _of_document(now, until)))
    changed = documents.c.row > after, before.c.content_hash.is_distinct_from(now.c.content_hash)
    wanted = only_readable(joined.where(documents.c.collection_row == collection_row, *changed), asker)
    return [_told(dict(row)) for row in connection.execute(wanted.order_by(documents.c.row).limit(limit)).mappings()]


def _count(connection: Connection, table: Table, collection_row: int, asker: Asker, at: int) -> int:
    live = select(func.count()).select_from(table).join(documents, documents.c.row == table.c.document_row)
    live = live.where(table.c.collection_row == collection_row, *_live(table, at))
    return int(connection.execute(only_readable(live, asker)).scalar_one())


def _of_document(version: FromClause, at: int) -> ColumnElement[bool]:
    return and_(version.c.document_row == documents.c.row, *_live(version, at))


def _live(table: FromClause, at: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return table.c.seq_from <= at, table.c.seq_to > at


def _told(row: Json) -> Json:
    change = "added" if row["from_version"] is None else "withdrawn" if row["to_version"] is None else "changed"
    return {"change": change, **row}
