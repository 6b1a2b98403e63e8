"""Rows of the audit log, and its head: how many there are, and the hash of the newest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, String, insert, select, text, type_coerce, update

from llmops.access.tables import audit, audit_head

_LOCK = 0x6C6C6D61  # PostgreSQL's advisory lock for the chain; SQLite's is its one writer
_FILTERS = ("action", "actor", "object")


def newest_hash(connection: Connection) -> str:
    """The hash of the newest row, "" before the first. Nobody adds another until this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    return head(connection)[1]


def head(connection: Connection) -> tuple[int, str]:
    """How many rows there should be, and the hash of the newest."""
    found = connection.execute(select(audit_head.c.entries, audit_head.c.hash)).first()
    return (int(found.entries), str(found.hash)) if found else (0, "")


def append(connection: Connection, values: Mapping[str, Any]) -> None:
    """Add a row, and move the head with it."""
    connection.execute(insert(audit).values(**values))
    moved = update(audit_head).values(entries=audit_head.c.entries + 1, hash=values["hash"])
    if not connection.execute(moved).rowcount:
        connection.execute(insert(audit_head).values(id=1, entries=1, hash=values["hash"]))


def entries(connection: Connection, workspace: str, limit: int, before: int | None, only: Mapping[str, str | None]) -> Sequence[RowMapping]:
    """The newest rows of a workspace, or the newest before a row."""
    query = select(audit).where(audit.c.workspace == workspace).order_by(audit.c.row.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.row < before)
    for name in _FILTERS:
        if (wanted := only.get(name)) is not None:
            query = query.where(audit.c[name] == wanted)
    return connection.execute(query).mappings().all()


def all_entries(connection: Connection, workspace: str | None = None) -> Iterator[dict[str, Any]]:
    """Every row, oldest first, of one workspace or of all."""
    as_text = type_coerce(audit.c.detail, String).label("detail")
    columns = [as_text if column.name == "detail" and connection.dialect.name == "sqlite" else column for column in audit.c]
    query = select(*columns).order_by(audit.c.row)
    if workspace is not None:
        query = query.where(audit.c.workspace == workspace)
    for row in connection.execute(query.execution_options(stream_results=True, yield_per=1000)).mappings():
        yield {**row, "detail": _read(row["detail"])} if isinstance(row["detail"], str) else dict(row)


def _read(detail: str) -> Any:
    """SQLite keeps JSON as text, and takes any: what is none is shown as it stands, and then no hash fits."""
    try:
        return json.loads(detail)
    except ValueError:
        return {"unreadable": detail}
