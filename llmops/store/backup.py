"""The part of kind `backups` named `store`: every row of our database, of either kind, for either kind.

SQLite is restored beside its file, which is exchanged at the end; PostgreSQL in one transaction.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import Connection, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateSchema, DDLElement

from llmops.errors import Conflict, InvalidInput, StoreError
from llmops.failpoints import failpoint
from llmops.store import dump
from llmops.store.committed import leave_token
from llmops.store.engine import is_sqlite
from llmops.store.migrate import head, lock, revision, revisions, upgrade
from llmops.store.store import Store
from llmops.store.switch import Move

if TYPE_CHECKING:
    from llmops.backup_file import Reader, Writer
    from llmops.home import Home
    from llmops.settings import Settings
    from llmops.types import Json

_MEMBER = "store/{}.jsonl"
_SIDES = ("", "-wal", "-shm", "-journal")


def save(home: Home, out: Writer) -> None:
    """Write every row as of one moment, while others write on."""

    def write(connection: Connection) -> None:
        tables = dump.tables()
        out.notes["store"] = {"revision": revision(connection), "tables": {table.name: dump.columns_of(table) for table in tables}}
        for table in tables:
            out.add(_MEMBER.format(table.name), dump.lines(connection, table))
            failpoint("backup.table")

    home.store.read(write)


def check(backup: Reader) -> Json:
    """What the backup holds of ours, if this program can restore it."""
    notes = backup.notes("store")
    if notes is None:
        raise InvalidInput("the backup holds no store", hint="name a file that `llmops backup` wrote")
    if notes["revision"] not in revisions():
        raise InvalidInput(
            f"the backup is of revision {notes['revision']}, this program knows revisions up to {head()}",
            hint="install the newer version that wrote it, then restore",
        )
    missing = [name for name in notes["tables"] if _MEMBER.format(name) not in backup.manifest["members"]]
    if missing:
        raise InvalidInput(f"the backup lacks the rows of {', '.join(missing)}", hint="take another backup; nothing was changed")
    return notes


def is_empty(settings: Settings) -> bool:
    """Whether the store holds not a row. One that cannot be read is not empty."""
    store = Store(settings.store_url)
    try:
        place = place_of(settings)
        if place is not None and not place.exists():
            return True
        return store.read(dump.count) == 0
    except StoreError:
        if store.is_sqlite:
            return False
        raise
    finally:
        store.close()


def restore(settings: Settings, backup: Reader, staging: Path, aside: str) -> list[tuple[Move, bool]]:
    """Write the rows beside SQLite's file; returns the moves that put them in place, and whether each clears it.

    `aside` names the folder beside the file where the former ones go. Nothing is done on PostgreSQL: see `restore_rows`.
    """
    place = place_of(settings)
    if place is None:
        return []
    new = place.with_name(f".{place.name}.{staging.name}")
    for side in _SIDES:
        Path(f"{new}{side}").unlink(missing_ok=True)
    store = Store(f"sqlite:///{quote(str(new))}")
    try:
        store.write(lambda connection: _fill(connection, backup, ""))
    finally:
        store.close()  # the last connection moves the log into the file
    if Path(f"{new}-wal").exists():
        raise StoreError("the restored rows did not get into their file", hint="restore again; nothing was changed")
    moves = [(Move(Path(f"{place}{side}"), place.parent / aside / f"{place.name}{side}"), True) for side in _SIDES]
    return [(Move(new, place), False), *moves]


def restore_rows(settings: Settings, backup: Reader, aside: str, before_commit: Callable[[], None]) -> None:
    """Write the rows into PostgreSQL, in one transaction that leaves `aside` as its token; the former tables go into the schema of that name.

    `before_commit` is called when nothing is left to do but the commit, once or, where the database asks for another try, more often.
    """

    def write(connection: Connection) -> None:
        _fill(connection, backup, aside)
        leave_token(connection, aside)
        before_commit()

    store = Store(settings.store_url)
    try:
        store.write(write, durable=True)
    finally:
        store.close()


def place_of(settings: Settings) -> Path | None:
    """Where SQLite's file is, or is to be; None for PostgreSQL."""
    if not is_sqlite(settings.store_url):
        return None
    return Path(make_url(settings.store_url).database or "").absolute()


def _fill(connection: Connection, backup: Reader, aside: str) -> None:
    notes = check(backup)
    if connection.dialect.name == "postgresql":
        lock(connection)
        _move_aside(connection, aside)
    upgrade(connection, notes["revision"])
    for name, columns in notes["tables"].items():
        member = _MEMBER.format(name)
        if _filled(connection, name, columns, backup.lines(member)) != backup.rows(member):
            raise InvalidInput(f"the backup holds other rows of {name} than it says", hint="take another backup; nothing was changed")
        dump.number_on(connection, name, columns)
        failpoint("restore.table")
    upgrade(connection, "head")


def _filled(connection: Connection, name: str, columns: dump.Columns, lines: Iterable[bytes]) -> int:
    """How many rows were written. Raises `InvalidInput` for rows that are none of that table; what the database itself lacks stays what it is."""
    try:
        return dump.fill(connection, name, columns, lines)
    except (ValueError, TypeError, LookupError, AttributeError, IntegrityError, ProgrammingError) as failure:
        raise _wrong_rows(name, failure) from failure
    except OperationalError as failure:
        if getattr(failure.orig, "sqlite_errorname", "") != "SQLITE_ERROR":  # no such table, no such column
            raise
        raise _wrong_rows(name, failure) from failure


def _wrong_rows(name: str, failure: Exception) -> InvalidInput:
    return InvalidInput(
        f"the backup's rows of {name} are none that this program knows: {type(failure).__name__}", hint="take another backup; nothing was changed"
    )


class _SetSchema(DDLElement):
    """`ALTER TABLE name SET SCHEMA schema`."""

    def __init__(self, name: str, schema: str) -> None:
        self.name, self.schema = name, schema


@compiles(_SetSchema, "postgresql")
def _set_schema(element: _SetSchema, compiler: Any, **_: Any) -> str:
    quoted = compiler.preparer.quote
    return f"ALTER TABLE {quoted(element.name)} SET SCHEMA {quoted(element.schema)}"


def _move_aside(connection: Connection, schema: str) -> None:
    """Put our tables into a schema of their own: kept whole, with their indexes, and in nobody's way."""
    ours = {"alembic_version", *(table.name for table in dump.tables())} & set(inspect(connection).get_table_names())
    if not ours:
        return
    connection.execute(CreateSchema(schema))
    for name in sorted(ours):
        connection.execute(_SetSchema(name, schema))


def aside_name() -> str:
    """What the former state is called from now on: never twice the same."""
    return f"before-restore-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


def refuse_full(settings: Settings) -> None:
    """Raise `Conflict` where the store holds something."""
    if not is_empty(settings):
        raise Conflict("the store of this home is not empty", hint="--force puts what is there aside, and says where")
