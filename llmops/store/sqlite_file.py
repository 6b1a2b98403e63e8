"""SQLite files that are another library's: looked at and copied whole, by a process that has them open in no other way.

Never the store's own file: closing a second connection to it, of another library, would drop the locks of the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llmops.errors import Unavailable

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
    """Copy a file as it is at one moment, while others write to it. Raises `OSError` where that does not work."""
    from pysqlite3 import dbapi2

    try:
        with _opened(path) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
    except dbapi2.Error as failure:
        raise OSError(f"cannot copy {path}: {failure}") from failure


def move_references(path: Path, column: tuple[str, str], old: str, new: str) -> None:
    """Let every value of a column that begins with `old` begin with `new`. The table and the column are ours to name: they are constants."""
    table, name = column
    with _opened(path) as connection:
        connection.execute(_MOVE[table, name], (new, len(old) + 1, len(old), old))
        connection.commit()


_MOVE = {
    ("experiments", "artifact_location"): "update experiments set artifact_location = ? || substr(artifact_location, ?)"
    " where substr(artifact_location, 1, ?) = ?",
    ("runs", "artifact_uri"): "update runs set artifact_uri = ? || substr(artifact_uri, ?) where substr(artifact_uri, 1, ?) = ?",
}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from pysqlite3 import dbapi2

    connection = dbapi2.connect(path, timeout=_BUSY_SECONDS)
    try:
        yield connection
    finally:
        connection.close()
