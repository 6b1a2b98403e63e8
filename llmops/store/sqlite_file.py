"""SQLite files that are another library's: looked at and copied whole, by a process that has them open in no other way.

Never the store's own file: closing a second connection to it, of another library, would drop the locks of the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llmops.errors import InvalidInput, Unavailable

_BUSY_SECONDS = 10.0


def fault(path: Path) -> str:
    """What SQLite finds wrong with a file, "" for a sound one. Raises `Unavailable` where it cannot tell: the file is locked, or not to be read."""
    from pysqlite3 import dbapi2

    try:
        with _opened(path) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except dbapi2.Error as failure:
        if getattr(failure, "sqlite_errorcode", 0) & 0xFF in (dbapi2.SQLITE_CORRUPT, dbapi2.SQLITE_NOTADB):
            return str(failure)
        raise Unavailable(
            f"cannot look at {path}: {failure}", hint="end the process that holds it, see that it can be read, and look again"
        ) from failure
    return "" if found == ("ok",) else str(found[0])


def copy(path: Path, target: Path) -> None:
    """Copy a file as it is at one moment, while others write to it. Raises `Unavailable` where that does not work."""
    from pysqlite3 import dbapi2

    try:
        with _opened(path) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
    except dbapi2.Error as failure:
        raise Unavailable(f"cannot copy {path}: {failure}", hint="`llmops doctor` looks at it; if another process holds it, try again") from failure


def move_references(path: Path, old: str, new: str) -> None:
    """Let every address in MLflow's file that is `old`, or lies below it, be or lie below `new`. Raises `InvalidInput` for no SQLite file."""
    from pysqlite3 import dbapi2

    try:
        with _opened(path) as connection:
            there = {(table, name) for (table,) in connection.execute(_TABLES).fetchall() for (name,) in connection.execute(_COLUMNS, (table,))}
            for column, statement in _MOVE.items():
                if column in there:
                    connection.execute(statement, (new, len(old) + 1, old, len(old) + 1, f"{old}/"))
            connection.commit()
    except dbapi2.Error as failure:
        raise InvalidInput(f"the traces of the backup are no SQLite file: {failure}", hint="take another backup; nothing was changed") from failure


_TABLES = "select name from sqlite_master where type = 'table'"
_COLUMNS = "select name from pragma_table_info(?)"
_MOVE = {
    ("experiments", "artifact_location"): "update experiments set artifact_location = ? || substr(artifact_location, ?)"
    " where artifact_location = ? or substr(artifact_location, 1, ?) = ?",
    ("runs", "artifact_uri"): "update runs set artifact_uri = ? || substr(artifact_uri, ?) where artifact_uri = ? or substr(artifact_uri, 1, ?) = ?",
    ("trace_tags", "value"): "update trace_tags set value = ? || substr(value, ?)"
    " where key = 'mlflow.artifactLocation' and (value = ? or substr(value, 1, ?) = ?)",
    ("logged_models", "artifact_location"): "update logged_models set artifact_location = ? || substr(artifact_location, ?)"
    " where artifact_location = ? or substr(artifact_location, 1, ?) = ?",
    ("model_versions", "source"): "update model_versions set source = ? || substr(source, ?) where source = ? or substr(source, 1, ?) = ?",
    ("model_versions", "storage_location"): "update model_versions set storage_location = ? || substr(storage_location, ?)"
    " where storage_location = ? or substr(storage_location, 1, ?) = ?",
}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from pysqlite3 import dbapi2

    connection = dbapi2.connect(path, timeout=_BUSY_SECONDS)
    try:
        yield connection
    finally:
        connection.close()
