"""A collection made of random words and vectors, as large as a bench wants it: for benches that are not about embedding."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from llmops.home import Home
from llmops.types import Asker, Json, TextKind, Vectors
from vectorstore.chunk import embedded_text, text_hash_of
from vectorstore.index import write_segments
from vectorstore.rows import collections, documents, vectors

WORDS = ("river", "harbour", "garden", "winter", "bridge", "tunnel", "market", "canal", "theatre", "railway", "archive", "keeper")
DIMENSION = 384
OWNER = Asker("poc", owner=True, role="admin")
COLLECTION = "docs"
_AT_ONCE = 5_000
"""Chunks of one transaction."""
_A_SEGMENT = 10
"""Transactions after which the index is brought up to date."""


class RandomEncoder:
    """Unit vectors at random, the same for the same text."""

    identity, dimension, scripts = "random", DIMENSION, frozenset({"latin"})
    languages: frozenset[str] = frozenset()

    def embed(self, texts: list[str], kind: TextKind = "passage") -> Vectors:
        return np.stack([vector_of(hashlib.sha256(text.encode()).digest()) for text in texts])


class Made(NamedTuple):
    """What a document is besides its text."""

    metadata: Json
    acl: list[str] | None = None


def vector_of(key: bytes) -> Vectors:
    made = np.random.default_rng(list(key)).normal(size=DIMENSION).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made), dtype=np.float32)


def fill(home: Home, chunks: int, per_document: int, made: Callable[[int], Made], draw: random.Random) -> None:
    """A collection of so many chunks in documents of `per_document` each, the nth with what `made` says of n."""
    home._encoder = RandomEncoder()  # type: ignore[assignment]  # a frozen set of one script is a set of scripts
    step = max(_AT_ONCE // per_document, 1)
    count = chunks // per_document
    for number, first in enumerate(range(0, count, step), 1):
        _publish(home, range(first, min(first + step, count)), per_document, made, draw)
        if number % _A_SEGMENT == 0 or first + step >= count:
            write_segments(home, home.store.read(lambda c: collections.find(c, "poc", COLLECTION)))


def _publish(home: Home, numbers: range, per_document: int, made: Callable[[int], Made], draw: random.Random) -> None:
    empty = hashlib.sha256(b"").hexdigest()
    ready: dict[str, documents.NewVersion] = {}
    found: dict[bytes, Vectors] = {}
    for number in numbers:
        parts = [f"record {number} {part} of the {' '.join(draw.choices(WORDS, k=8))}" for part in range(per_document)]
        chunks, start = [], 0
        for part in parts:
            key = text_hash_of(embedded_text(f"Page {number}", "", part))
            chunks.append(documents.NewChunk(start, start + len(part), None, "", key))
            found[key] = vector_of(key)
            start += len(part) + 2
        what = made(number)
        text = "\n\n".join(parts)
        ready[str(number)] = documents.NewVersion(str(number), f"Page {number}", text, what.metadata, str(number), empty, chunks, what.acl)

    def publish(connection: Any) -> None:
        collection = collections.ensure(connection, "poc", COLLECTION, RandomEncoder.identity)
        vectors.keep(connection, RandomEncoder.identity, found)
        documents.publish(connection, collection, "bench", documents.Batch(ready=ready, blobs={empty: b""}))

    home.store.write(publish)
