"""Bring a store to this program's schema: one linear chain of revisions, one process at a time, all or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from llmops import plugins
from llmops.errors import StoreError
from llmops.failpoints import failpoint

if TYPE_CHECKING:
    from alembic.config import Config

    from llmops.store.store import Store

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6C6C6D6F  # PostgreSQL's advisory lock for this; SQLite's is its one writer


def revisions() -> list[str]:
    """What this program knows, oldest first. File names start with their revision: `0001_first.py`."""
    return sorted(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def head() -> str:
    """The newest revision that this program knows, "" where there is none."""
    return max(revisions(), default="")


def load_tables() -> None:
    """Import every room's `tables.py`, so that the metadata is whole."""
    for name in plugins.names("tables"):
        plugins.find("tables", name)


def revision(connection: Connection) -> str:
    """The revision a store is at; "" for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("select version_num from alembic_version")).scalar() or "")


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for work inside the caller's transaction."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def migrate(store: Store) -> None:
    """Migrate the store if it needs it. Raises `StoreError` for a store that a newer program wrote."""
    at = "" if _is_new_file(store) else store.read(revision)
    if at and at not in revisions():
        raise StoreError(
            f"the store is at revision {at}, this program knows revisions up to {head()}",
            hint="install the newer version that wrote it, or restore a backup",
        )
    if at != head():
        store.write(_upgrade)


def _is_new_file(store: Store) -> bool:
    """A reading connection could not make SQLite's file."""
    return store.is_sqlite and not Path(store.write_engine.url.database or "").exists()


def _upgrade(connection: Connection) -> None:
    lock(connection)
    if revision(connection) == head():  # another process was first
        return
    upgrade(connection, "head")
    failpoint("migrate.before_commit")


def lock(connection: Connection) -> None:
    """Keep others from changing the schema until the caller's transaction ends; on SQLite nobody else writes anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def upgrade(connection: Connection, to: str) -> None:
    """Bring the store to a revision, or to the `head`, in the caller's transaction."""
    from alembic import command

    command.upgrade(alembic_config(connection), to)
