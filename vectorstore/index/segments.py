"""The segments of a collection on disk: which ones count, and how new ones come about."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from llmops.quarantine import put_aside
from vectorstore.index.segment import Segment
from vectorstore.rows import changes, collections

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.store.store import Connection

log = logging.getLogger(__name__)
_NAME = re.compile(r"\d{12}-\d{12}")
LOCK = ".lock"
MOST = 6
"""More segments than this are merged into one."""
SMALLEST = 256
"""Fewer new chunks than this stay in the readers' memory: a file of their own would not pay."""


def folder_of(home: Home, collection: collections.Collection) -> Path:
    """Named by the collection's random id, so that another store under the same home never meets this one's segments."""
    return home.settings.home / "indexes" / collection.id


def lock_of(folder: Path) -> FileLock:
    """Whoever changes a collection's folder holds this."""
    return FileLock(folder.with_name(f"{folder.name}{LOCK}"))


def open_segments(connection: Connection, folder: Path, collection: collections.Collection) -> list[Segment]:
    """The segments that agree with the rows, in order. The first that does not ends the list: readers take the rest from rows."""
    opened: list[Segment] = []
    last = 0
    for path in _in_order(folder):
        first_row, last_row = (int(part) for part in path.name.split("-"))
        if last_row <= last:
            continue
        try:
            segment = Segment.open(path, collection.id, collection.encoder)
            if (int(segment.rows[0]), int(segment.rows[-1])) != (first_row, last_row):
                raise ValueError("its name is not that of its rows")
        except (OSError, ValueError, KeyError, TypeError) as damage:
            log.warning("the segment %s is not used: %s; its rows are read instead", path.name, damage)
            break
        if changes.checksum(connection, collection.row, last + 1, last_row) != segment.checksum or first_row <= last:
            log.warning("the segment %s is not used: it does not agree with the rows", path.name)
            break
        opened.append(segment)
        last = last_row
    return opened


def write_segments(home: Home, collection: collections.Collection) -> None:
    """Write what has no segment yet, remove what cannot be used, merge what has become many. Only a job does this, and one at a time."""
    folder = folder_of(home, collection)
    for place in (folder.parent, folder):
        if place.exists() and not place.is_dir():
            log.warning("%s is no folder: it is now %s", place, put_aside(home.settings.home, place))
        place.mkdir(parents=True, exist_ok=True)
    with lock_of(folder):  # two jobs may come to their end in the same collection at once
        _write_segments(home, collection, folder)


def _write_segments(home: Home, collection: collections.Collection, folder: Path) -> None:
    def pending(connection: Connection) -> tuple[list[Segment], Segment | None]:
        good = open_segments(connection, folder, collection)
        last = int(good[-1].rows[-1]) if good else 0
        now = collections.find(connection, collection.workspace, collection.name)
        found = changes.new_chunks(connection, collection.row, collection.encoder, last, now.seq)
        return good, Segment.of_rows(found, home.encoder.dimension)

    good, new = home.store.read(pending)
    usable = {_name(segment) for segment in good}
    _clear(home.settings.home, folder, usable)
    if new is not None and (len(new.rows) >= SMALLEST or len(good) + 1 > MOST):
        if len(good) + 1 > MOST:
            new, good = Segment.merged([*good, new]), []
        try:
            new.save(folder, collection.id, collection.encoder)
        except OSError as failure:  # most likely a full disk: nothing is lost, for the rows answer
            log.warning("a segment of %r cannot be written: %s; the next ingestion tries again", collection.name, failure)
            _clear(home.settings.home, folder, usable)
            return
        good.append(new)
    _remove_merged(folder, {_name(segment) for segment in good})


def last_row(folder: Path) -> int:
    """The last chunk row that a segment on disk claims to hold, 0 where there is none."""
    return max((int(path.name.split("-")[1]) for path in _in_order(folder)), default=0)


def marker_of(home: Home) -> Path:
    """A file whose time says when segments were last made again although no row had changed: who has them mapped looks again."""
    return home.settings.home / "indexes" / "rebuilt"


def _in_order(folder: Path) -> list[Path]:
    """The folders of segments: by first row, the longest first, so that a merged one comes before its parts."""
    try:
        found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    except OSError:  # not there, no folder, or not to be read
        return []
    return sorted(found, key=lambda path: (path.name.split("-")[0], [-int(part) for part in path.name.split("-")[1:]]))


def _name(segment: Segment) -> str:
    return f"{int(segment.rows[0]):012d}-{int(segment.rows[-1]):012d}"


def _clear(home: Path, folder: Path, usable: set[str]) -> None:
    """Put aside what cannot be used: it is derived, and its rows are about to be written again. Drafts of a process that died go."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            log.warning("removing %s: it was never finished", path)
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in usable:
            log.warning("the index cannot use %s: it is now %s", path, put_aside(home, path))


def _remove_merged(folder: Path, kept: set[str]) -> None:
    """Remove the parts of what was merged. Readers that have them mapped keep them until they look again."""
    for path in folder.iterdir():
        if path.name not in kept and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
