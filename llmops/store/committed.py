"""The token by which PostgreSQL says that a restore was committed: the comment of the table that holds the schema's revision."""

from __future__ import annotations

from sqlalchemy import Connection, MetaData, Table, inspect
from sqlalchemy.schema import SetTableComment

from llmops.errors import StoreError
from llmops.settings import Settings
from llmops.store.migrate import lock
from llmops.store.store import Store

_TABLE = "alembic_version"


def leave_token(connection: Connection, token: str) -> None:
    """Let the database say, from the caller's commit on, that this restore was done."""
    connection.execute(SetTableComment(Table(_TABLE, MetaData(), comment=token)))


def holds_token(settings: Settings, token: str) -> bool:
    """Whether the restore of that token was committed. One whose process was killed at its commit is waited for.

    Raises `StoreError` where the database cannot be asked.
    """
    store = Store(settings.store_url, busy_seconds=settings.store.busy_seconds)
    try:
        if store.is_sqlite:
            raise StoreError("a restore into PostgreSQL was cut off, and [store] url names SQLite", hint="set it to that database again")
        return store.write(lambda connection: _comment(connection) == token)
    finally:
        store.close()


def _comment(connection: Connection) -> str | None:
    lock(connection)
    if not inspect(connection).has_table(_TABLE):
        return None
    return inspect(connection).get_table_comment(_TABLE)["text"]
