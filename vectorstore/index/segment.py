"""An immutable stretch of a collection's chunks: their vectors and postings, in memory or mapped from files.

A folder of a segment is written whole or not at all. Its manifest says which rows it holds and a checksum of every
file, so that a damaged, foreign or outdated one is noticed before it is used.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmops.durable import read_small, size_of, sync
from llmops.types import Vectors
from vectorstore.index.postings import Postings
from vectorstore.rows.changes import Checksum, ChunkRow, mixed
from vectorstore.rows.vectors import unpack

FORMAT = 3
_MOST_MANIFEST = 2**16
_ARRAYS = ("rows", "documents", "versions", "seq_from", "text_numbers", "vectors", "codes")
_POSTINGS = ("terms", "offsets", "positions", "counts", "lengths")


@dataclass(frozen=True, slots=True)
class Segment:
    """Arrays of one entry a chunk, in the order of the chunks' rows. All int64 but `vectors` float32 and `codes` int8."""

    rows: NDArray[np.int64]
    documents: NDArray[np.int64]
    versions: NDArray[np.int64]
    seq_from: NDArray[np.int64]
    text_numbers: NDArray[np.int64]
    vectors: Vectors
    codes: NDArray[np.int8]
    postings: Postings
    is_on_disk: bool = False

    @classmethod
    def of_rows(cls, found: Iterable[ChunkRow], dimension: int) -> Segment | None:
        """A segment in memory; None where there are no rows."""
        rows = list(found)
        if not rows:
            return None
        vectors = unpack([row.vector for row in rows], dimension)
        numbers = np.array([row[:5] for row in rows], dtype=np.int64).T.copy()
        postings = Postings.of_texts([row.text for row in rows])
        return cls(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], vectors, codes_of(vectors), postings)

    @classmethod
    def merged(cls, parts: Sequence[Segment]) -> Segment:
        arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
        return cls(**arrays, postings=Postings.merged([part.postings for part in parts]))

    @property
    def checksum(self) -> Checksum:
        content = mixed(self.rows, self.documents, self.versions, self.seq_from, self.text_numbers)
        return Checksum(len(self.rows), int(self.rows.sum()), int(content.sum()))

    def save(self, parent: Path, collection_id: str, encoder: str) -> Path:
        """Write the segment as a folder below `parent`, durably, and return it."""
        final = parent / f"{int(self.rows[0]):012d}-{int(self.rows[-1]):012d}"
        temporary = parent / f".{final.name}.{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        checks = {}
        for name, array in self._named():
            file = temporary / f"{name}.npy"
            np.save(file, array)
            checks[name] = [size_of(file), _crc(file)]
            sync(file)
        manifest = {"format": FORMAT, "collection": collection_id, "encoder": encoder, "rows": self.checksum, "files": checks}
        (temporary / "manifest.json").write_text(json.dumps(manifest))
        sync(temporary / "manifest.json")
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        sync(parent)
        return final

    def same_as(self, other: Segment) -> bool:
        """Whether both hold the same to the last bit."""
        pairs = zip(self._named(), other._named(), strict=True)
        return all(mine.dtype == theirs.dtype and np.array_equal(mine, theirs) for (_, mine), (_, theirs) in pairs)

    @classmethod
    def open(cls, folder: Path, collection_id: str, encoder: str) -> Segment:
        """Map a folder's files. Raises `ValueError` or `OSError` for one that is damaged or not of this collection and encoder."""
        manifest = json.loads(read_small(folder / "manifest.json", _MOST_MANIFEST))
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or not isinstance(manifest.get("files"), dict):
            raise ValueError("of another format")
        if (manifest.get("collection"), manifest.get("encoder")) != (collection_id, encoder):
            raise ValueError("of another collection or encoder")
        arrays: dict[str, NDArray[Any]] = {}
        for name in (*_ARRAYS, *_POSTINGS):
            file = folder / f"{name}.npy"
            size, check = manifest["files"][name]
            if size_of(file) != size or _crc(file) != check:  # the size first: a sparse file may claim terabytes
                raise ValueError(f"{file.name} is damaged")
            # As plain arrays over the mapping: numpy's own class for one costs microseconds at every slice.
            arrays[name] = np.load(file, mmap_mode="r", allow_pickle=False).view(np.ndarray)
        parts: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
        segment = cls(**parts, postings=Postings(**{name: arrays[name] for name in _POSTINGS}), is_on_disk=True)
        if list(segment.checksum) != manifest.get("rows"):
            raise ValueError("its rows are not those of its manifest")
        return segment

    def _named(self) -> Iterable[tuple[str, NDArray[Any]]]:
        yield from ((name, getattr(self, name)) for name in _ARRAYS)
        yield from ((name, getattr(self.postings, name)) for name in _POSTINGS)


def codes_of(vectors: Vectors) -> NDArray[np.int8]:
    """Unit vectors as int8, each scaled by its own largest component: cosines do not mind the scale."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled = vectors * (127 / np.maximum(largest, 1e-9))
    return np.asarray(np.rint(scaled), dtype=np.int8)


def _crc(file: Path) -> int:
    check = 0
    with file.open("rb") as opened:
        while part := opened.read(1 << 20):
            check = zlib.crc32(part, check)
    return check
