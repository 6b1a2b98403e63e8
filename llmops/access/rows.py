"""Rows of keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from llmops.access.tables import keys


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


def change_key(connection: Connection, key_id: str, values: Mapping[str, Any]) -> None:
    connection.execute(update(keys).where(keys.c.id == key_id).values(**values))


def mark_used(connection: Connection, used: Mapping[str, float]) -> None:
    """Note the last use of keys, by their ids; a later one that is noted already stays."""
    for key_id, at in used.items():
        connection.execute(update(keys).where(keys.c.id == key_id, or_(keys.c.used_at.is_(None), keys.c.used_at < at)).values(used_at=at))
