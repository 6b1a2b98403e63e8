"""A collection as one process sees it: segments, what has ended since, and who may read which document.

`refresh` brings it to the rows' state with a few small queries; a search then works on one immutable `Moment`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmops.types import Asker
from vectorstore.index.columns import Columns
from vectorstore.index.postings import Mask
from vectorstore.index.segment import Segment
from vectorstore.index.segments import folder_of, last_row, marker_of, open_segments
from vectorstore.rows import changes, collections
from vectorstore.tables import FOREVER

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.store.store import Connection

TAIL_SEGMENTS = 8
"""Segments in memory beyond this number are merged into one."""
FEW = 2_000
"""Versions whose metadata are read one by one; of more, those of the whole collection are read."""
MOST_ASKERS = 64
"""Sets of principals whose rights are remembered for a collection; a byte for each document's version and set."""
LONGEST_TAIL = 4096
"""Chunks in memory beyond this number, and beyond a fifth of all, are let go of once segments on disk hold them."""


@dataclass(frozen=True, slots=True)
class Part:
    """A segment with what can still change of its chunks: where they end, and the slot of their document's version."""

    segment: Segment
    seq_to: NDArray[np.int64]
    slots: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Moment:
    """One consistent state. A slot is a version of a document; `acls[slot]` numbers its access list in `acl_ids`."""

    seq: int
    rights_seq: int
    parts: tuple[Part, ...] = ()
    slots: Mapping[tuple[int, int], int] = field(default_factory=dict)
    acls: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    acl_ids: Mapping[str, int] = field(default_factory=dict)

    def under(self, readable: set[str]) -> NDArray[np.bool_]:
        """For every slot, whether its access list is one of these."""
        table = np.zeros(len(self.acl_ids), dtype=np.bool_)
        table[[number for acl_id, number in self.acl_ids.items() if acl_id in readable]] = True
        return table[self.acls]

    def masks(self, at: int, slots: NDArray[np.bool_]) -> list[Mask]:
        """For every part, which chunks are live at `at` and of one of the given slots."""
        return [(part.segment.seq_from <= at) & (at < part.seq_to) & slots[part.slots] for part in self.parts]


class View:
    """The newest moment of a collection. Safe for many threads."""

    def __init__(self, home: Home, collection: collections.Collection) -> None:
        self._home = home
        self._folder = folder_of(home, collection)
        self._dimension = home.encoder.dimension
        self._lock = threading.Lock()
        self._marker, self._rebuilt = marker_of(home), 0
        self._moment = Moment(seq=-1, rights_seq=-1)
        self._columns: tuple[Moment, Columns, NDArray[np.int64]] = (self._moment, Columns(), np.zeros(0, dtype=np.int64))
        self._allowed: tuple[Moment, OrderedDict[frozenset[str], NDArray[np.bool_]]] = (self._moment, OrderedDict())

    def refresh(self, connection: Connection, collection: collections.Collection) -> Moment:
        """The moment of the collection's present sequence, as this connection reads it."""
        moment = self._moment
        if (rebuilt := _time_of(self._marker)) != self._rebuilt:
            with self._lock:
                moment = self._moment = Moment(seq=-1, rights_seq=-1)
                self._rebuilt = rebuilt
        if (moment.seq, moment.rights_seq) == (collection.seq, collection.rights_seq):
            return moment
        with self._lock:
            # A slower thread may come with an older reading of the collection: what is newer stays.
            if self._moment.seq < collection.seq or self._moment.rights_seq < collection.rights_seq:
                self._moment = _advance(connection, collection, self._moment, self._folder, self._dimension)
            return self._moment

    def allowed(self, connection: Connection, collection: collections.Collection, moment: Moment, asker: Asker) -> NDArray[np.bool_]:
        """For every slot, whether the asker may read it. Remembered for a moment: an access list never changes, only whose it is does."""
        if asker.owner:
            return np.ones(len(moment.slots), dtype=np.bool_)
        if (moment.seq, moment.rights_seq) != (collection.seq, collection.rights_seq):
            # Another thread's moment, newer than this connection's reading, which may lack its newest lists: good for now, not to be kept.
            return moment.under(changes.readable_acls(connection, asker.principals))
        of, known = self._allowed
        if of is not moment:
            of, known = self._allowed = (moment, OrderedDict())
        if (mask := known.get(asker.principals)) is None:
            mask = known[asker.principals] = moment.under(changes.readable_acls(connection, asker.principals))
            while len(known) > MOST_ASKERS:
                with suppress(KeyError):  # another thread was quicker
                    known.popitem(last=False)
        return mask

    def matching(self, connection: Connection, collection: collections.Collection, moment: Moment, wanted: Callable[[Columns], Mask]) -> Mask:
        """For every slot whose version this connection sees, whether its metadata match; False for newer ones."""
        of, columns, places = self._columns
        if of is not moment or (places < 0).any():
            columns = _with_new(connection, collection, columns, moment)
            places = np.array([columns.places.get(version, -1) for version in moment.slots], dtype=np.int64)
            self._columns = (moment, columns, places)
        return np.append(wanted(columns), False)[places]


def _with_new(connection: Connection, collection: collections.Collection, columns: Columns, moment: Moment) -> Columns:
    """The columns with what they lack of the moment's versions: it may be another thread's, and newer than what this connection reads."""
    lacking = moment.slots.keys() - columns.places.keys()
    if not lacking:
        return columns
    return columns.with_versions(changes.metadata(connection, collection.row, lacking if len(lacking) <= FEW else None))


def _time_of(marker: Path) -> int:
    try:
        return marker.stat().st_mtime_ns
    except OSError:
        return 0


def _advance(connection: Connection, collection: collections.Collection, before: Moment, folder: Any, dimension: int) -> Moment:
    """The moment after `before`: new chunks join, ended ones end, changed rights count."""
    if before.seq >= 0 and _is_worth_opening(before.parts, last_row(folder)):
        before = Moment(seq=-1, rights_seq=-1)
    segments = [part.segment for part in before.parts] if before.seq >= 0 else open_segments(connection, folder, collection)
    last = int(segments[-1].rows[-1]) if segments else 0
    found = changes.new_chunks(connection, collection.row, collection.encoder, last, collection.seq)
    tail = Segment.of_rows(found, dimension)
    parts = list(before.parts) or [Part(segment, np.full(len(segment.rows), FOREVER), np.zeros(0, dtype=np.int32)) for segment in segments]
    if tail is not None:
        parts.append(Part(tail, np.full(len(tail.rows), FOREVER), np.zeros(0, dtype=np.int32)))
    parts = _merge_tail(parts)
    parts = _end(parts, changes.withdrawn(connection, collection.row, before.seq, collection.seq))
    return _with_rights(connection, collection, before, parts)


def _is_worth_opening(parts: Sequence[Part], last_on_disk: int) -> bool:
    """Whether so much lives in memory of what a job has written into segments since that it pays to begin anew with those."""
    in_memory = [part.segment.rows for part in parts if not part.segment.is_on_disk]
    written = sum(int((rows <= last_on_disk).sum()) for rows in in_memory)
    return written > max(LONGEST_TAIL, sum(len(part.segment.rows) for part in parts) // 5)


def _merge_tail(parts: list[Part]) -> list[Part]:
    """Join the segments that live in memory when there are many of them."""
    in_memory = [part for part in parts if not part.segment.is_on_disk]
    if len(in_memory) <= TAIL_SEGMENTS:
        return parts
    mapped = parts[: len(parts) - len(in_memory)]
    seq_to = np.concatenate([part.seq_to for part in in_memory])
    return [*mapped, Part(Segment.merged([part.segment for part in in_memory]), seq_to, np.zeros(0, dtype=np.int32))]


def _end(parts: list[Part], ended: list[tuple[int, int]]) -> list[Part]:
    """Set the end of chunks; the arrays are copied, for a search may still work on the old ones."""
    if not ended:
        return parts
    rows, ends = (np.array(column, dtype=np.int64) for column in zip(*ended, strict=True))
    changed = []
    for part in parts:
        places = np.searchsorted(part.segment.rows, rows)
        here = places < len(part.segment.rows)
        here[here] = part.segment.rows[places[here]] == rows[here]
        if here.any():
            seq_to = part.seq_to.copy()
            seq_to[places[here]] = ends[here]
            part = replace(part, seq_to=seq_to)
        changed.append(part)
    return changed


def _with_rights(connection: Connection, collection: collections.Collection, before: Moment, parts: list[Part]) -> Moment:
    """Give every version of a document its slot and every slot its access list."""
    slots = dict(before.slots)
    placed = []
    for part in parts:
        if len(part.slots) != len(part.segment.rows):
            keys = zip(part.segment.documents.tolist(), part.segment.versions.tolist(), strict=True)
            part = replace(part, slots=np.array([slots.setdefault(key, len(slots)) for key in keys], dtype=np.int32))
        placed.append(part)
    acl_ids = dict(before.acl_ids)
    by_document = _rights_to_set(connection, collection, before, list(slots)[len(before.slots) :])
    acls = np.concatenate([before.acls, np.full(len(slots) - len(before.acls), -1, dtype=np.int32)])
    for (document, _), slot in slots.items() if by_document else ():
        if document in by_document:
            acls[slot] = acl_ids.setdefault(by_document[document], len(acl_ids))
    return Moment(collection.seq, collection.rights_seq, tuple(placed), slots, acls, acl_ids)


def _rights_to_set(connection: Connection, collection: collections.Collection, before: Moment, new: list[tuple[int, int]]) -> dict[int, str]:
    """The access lists that are not known yet, by document."""
    if before.seq < 0:
        return changes.rights(connection, collection.row, -1)
    changed = changes.rights(connection, collection.row, before.rights_seq)
    return changed | changes.rights_of(connection, sorted({document for document, _ in new}))
