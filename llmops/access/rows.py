"""Rows of keys and of the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, or_, select, text, update
from sqlalchemy.exc import IntegrityError

from llmops.access.tables import audit, keys

_AUDIT_LOCK = 0x6C6C6D61  # PostgreSQL's advisory lock for the chain; SQLite's is its one writer


def insert_key(connection: Connection, values: Mapping[str, Any]) -> bool:
    """Keep a key; False where its workspace has one of that name."""
    try:
        with connection.begin_nested():
            connection.execute(insert(keys).values(**values))
    except IntegrityError:
        return False
    return True


def key_by_id(connection: Connection, key_id: str) -> RowMapping | None:
    return connection.execute(select(keys).where(keys.c.id == key_id)).mappings().first()


def keys_called(connection: Connection, workspace: str, name_or_id: str) -> Sequence[RowMapping]:
    """The keys of a workspace with that name or that id: one, or none, or two where a name is another's id."""
    called = or_(keys.c.name == name_or_id, keys.c.id == name_or_id)
    return connection.execute(select(keys).where(keys.c.workspace == workspace, called)).mappings().all()


def keys_of(connection: Connection, workspace: str) -> Sequence[RowMapping]:
    return connection.execute(select(keys).where(keys.c.workspace == workspace).order_by(keys.c.created_at, keys.c.id)).mappings().all()


def any_usable_key(connection: Connection, now: float) -> bool:
    usable = keys.c.revoked_at.is_(None) & or_(keys.c.expires_at.is_(None), keys.c.expires_at > now)
    return connection.execute(select(keys.c.id).where(usable).limit(1)).first() is not None


def mark_revoked(connection: Connection, key_id: str, at: float) -> None:
    connection.execute(update(keys).where(keys.c.id == key_id).values(revoked_at=at))


def newest_hash(connection: Connection) -> str:
    """The hash of the newest audit row, "" before the first. Nobody adds another until this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _AUDIT_LOCK})
    return str(connection.execute(select(audit.c.hash).order_by(audit.c.row.desc()).limit(1)).scalar() or "")


def insert_entry(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(insert(audit).values(**values))


def entries(connection: Connection, workspace: str, limit: int, before: int | None) -> Sequence[RowMapping]:
    """The newest audit rows of a workspace, or the newest before a row."""
    query = select(audit).where(audit.c.workspace == workspace).order_by(audit.c.row.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.row < before)
    return connection.execute(query).mappings().all()
