"""Whether the segments on disk are what the rows would make, to the last bit, and whether a search finds every chunk by its own vector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmops.checks import REBUILD, Finding
from llmops.errors import StoreError
from llmops.quarantine import put_aside
from vectorstore.index.scan import nearest
from vectorstore.index.segment import Segment
from vectorstore.index.segments import LOCK, lock_of
from vectorstore.rows import changes, checks
from vectorstore.rows.collections import Collection

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.store.store import Connection

SEARCHED = 2000
"""So many chunks of a segment are searched for by their own vectors; that its vectors are the rows' is asked of all."""
_CLOSE = 1e-5


def listed(home: Home) -> list[Path]:
    """Everything below `indexes/` that should be a segment; the folder of a collection where it is none. Locks are neither."""
    top = home.settings.home / "indexes"
    try:
        folders = [path for path in sorted(top.iterdir()) if path.name != "rebuilt" and path.suffix != LOCK]
    except NotADirectoryError:
        return [top]
    except FileNotFoundError:
        return []
    found: list[Path] = []
    for folder in folders:
        try:
            found += [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
        except OSError:
            found.append(folder)
    return found


def look(connection: Connection, home: Home, on_disk: list[Path]) -> Finding:
    """Every segment that was `listed` before this connection began to read."""
    found = Finding("indexes", hint=REBUILD)
    chunks = 0
    for path, fault, count in _judged(connection, home, on_disk):
        chunks += count
        if fault:
            found.faults.append(f"{path.parent.name}/{path.name}: {fault}")
    found.detail = f"{len(on_disk)} segments with {chunks} chunks, each found by its own vector"
    return found


def put_bad_aside(home: Home, on_disk: list[Path]) -> list[Path]:
    """Put aside every segment that is not what the rows would make; returns where they are now.

    Each is judged again under its collection's lock: an ingestion may be about to write beside it.
    """
    aside: list[Path] = []
    for path in home.store.read(partial(_bad, home=home, on_disk=on_disk)):
        folder = path.parent
        with lock_of(folder) if folder.parent.name == "indexes" and folder.is_dir() else nullcontext(), suppress(FileNotFoundError):
            for bad in home.store.read(partial(_bad, home=home, on_disk=[path])):
                aside.append(put_aside(home.settings.home, bad))
    return aside


def _bad(connection: Connection, home: Home, on_disk: list[Path]) -> list[Path]:
    return [path for path, fault, _ in _judged(connection, home, on_disk) if fault and path.exists()]


def _judged(connection: Connection, home: Home, on_disk: list[Path]) -> Iterator[tuple[Path, str, int]]:
    """Each path, what is wrong with it, and how many chunks it holds."""
    known = {collection.id: collection for collection in checks.every_collection(connection)}
    for path in on_disk:
        collection = known.get(path.parent.name)
        if collection is None:
            yield path, "of no collection of this store" if path.is_dir() else "no folder", 0
            continue
        try:
            segment = Segment.open(path, collection.id, collection.encoder)
            yield path, _fault(connection, collection, segment), len(segment.rows)
        except FileNotFoundError as missing:
            if path.exists():  # else an ingestion has merged it meanwhile
                yield path, str(missing), 0
        except (OSError, ValueError, KeyError, TypeError, StoreError) as damage:
            yield path, str(damage), 0


def _fault(connection: Connection, collection: Collection, segment: Segment) -> str:
    first, last = int(segment.rows[0]), int(segment.rows[-1])
    if changes.checksum(connection, collection.row, first, last) != segment.checksum:
        return "it does not agree with the rows"
    rows = changes.new_chunks(connection, collection.row, collection.encoder, first - 1, collection.seq)
    made = Segment.of_rows(takewhile(lambda row: row.row <= last, rows), segment.vectors.shape[1])
    if made is None or not made.same_as(segment):
        return "it is not what the rows make"
    lost = _lost(segment)
    return f"{lost} chunks are not found by their own vectors" if lost else ""


def _lost(segment: Segment) -> int:
    """How many chunks are not among the nearest to their own vectors; those of a zero vector are near nothing."""
    mask = np.ones(len(segment.rows), dtype=np.bool_)
    lost = 0
    for place in np.unique(np.linspace(0, len(mask) - 1, min(len(mask), SEARCHED)).astype(np.int64)):
        vector = np.ascontiguousarray(segment.vectors[place])
        positions, cosines = nearest(segment, mask, vector, 10)
        own = float(vector @ vector)
        if place not in positions and (not len(cosines) or cosines[-1] < own - _CLOSE):
            lost += 1
    return lost
