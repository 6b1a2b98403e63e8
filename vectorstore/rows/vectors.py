"""Vectors, content-addressed: the same text is embedded once by each encoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from sqlalchemy import Connection, select

from llmops.store.upsert import upsert
from llmops.types import Vectors
from vectorstore.tables import vectors

_AT_ONCE = 500


def missing(connection: Connection, encoder: str, hashes: Iterable[bytes]) -> set[bytes]:
    """Which of the hashes have no vector yet."""
    wanted = list(dict.fromkeys(hashes))
    known: set[bytes] = set()
    for first in range(0, len(wanted), _AT_ONCE):
        part = wanted[first : first + _AT_ONCE]
        known.update(connection.execute(select(vectors.c.text_hash).where(vectors.c.encoder == encoder, vectors.c.text_hash.in_(part))).scalars())
    return set(wanted) - known


def keep(connection: Connection, encoder: str, found: Mapping[bytes, Vectors]) -> None:
    """Write vectors down; one that is there already stays as it is."""
    rows = [{"encoder": encoder, "text_hash": key, "vector": pack(vector)} for key, vector in found.items()]
    if rows:
        connection.execute(upsert(connection, vectors).on_conflict_do_nothing(), rows)


def pack(vector: Vectors) -> bytes:
    return np.asarray(vector, dtype="<f4").tobytes()


def unpack(packed: Sequence[bytes], dimension: int) -> Vectors:
    """Rows of shape (n, dimension)."""
    return np.frombuffer(b"".join(packed), dtype="<f4").reshape(len(packed), dimension)
