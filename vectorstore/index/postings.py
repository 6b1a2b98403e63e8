"""The lexical leg: postings of one segment, and BM25 over what an asker may see.

Statistics (number of chunks, document frequency, average length) are counted over the chunks that a mask lets through,
so that a ranking as of an earlier time stays what it was, and no statistic tells of what may not be read.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmops.text import terms

K1, B = 1.2, 0.75
RAREST = 12
"""How many terms of a question count: its rarest ones. More cost time and bring nothing measurable."""

Mask = NDArray[np.bool_]


def term_id(term: str) -> int:
    """A term's number: 64 bits of its hash, so that no segment keeps a vocabulary."""
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8", "replace"), digest_size=8).digest(), "little")


@dataclass(frozen=True, slots=True)
class Postings:
    """For each term, sorted: the positions of the chunks that hold it and how often. Arrays may be memory-mapped.

    `terms` uint64 (t,), `offsets` int64 (t + 1,), `positions` int32 (p,), `counts` uint16 (p,), `lengths` int32 (n,).
    """

    terms: NDArray[np.uint64]
    offsets: NDArray[np.int64]
    positions: NDArray[np.int32]
    counts: NDArray[np.uint16]
    lengths: NDArray[np.int32]

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> Postings:
        ids: list[int] = []
        positions: list[int] = []
        counts: list[int] = []
        lengths = np.zeros(len(texts), dtype=np.int32)
        known: dict[str, int] = {}
        for position, text in enumerate(texts):
            found = Counter(terms(text))
            lengths[position] = found.total()
            for term, count in found.items():
                if term not in known:
                    known[term] = term_id(term)
                ids.append(known[term])
                positions.append(position)
                counts.append(min(count, 65535))
        return cls._of_triples(np.array(ids, dtype=np.uint64), np.array(positions, dtype=np.int32), np.array(counts, dtype=np.uint16), lengths)

    @classmethod
    def merged(cls, parts: Sequence[Postings]) -> Postings:
        """One set of postings for the chunks of all parts, in their order."""
        shifts = np.cumsum([0, *(len(part.lengths) for part in parts)])
        ids = np.concatenate([np.repeat(part.terms, np.diff(part.offsets)) for part in parts])
        positions = np.concatenate([part.positions + np.int32(shift) for part, shift in zip(parts, shifts, strict=False)])
        return cls._of_triples(ids, positions, np.concatenate([part.counts for part in parts]), np.concatenate([part.lengths for part in parts]))

    @classmethod
    def _of_triples(cls, ids: NDArray[np.uint64], positions: NDArray[np.int32], counts: NDArray[np.uint16], lengths: NDArray[np.int32]) -> Postings:
        order = np.argsort(ids, kind="stable")
        unique, starts = np.unique(ids[order], return_index=True)
        offsets = np.append(starts, len(ids)).astype(np.int64)
        return cls(unique, offsets, positions[order], counts[order], lengths)

    def lookup(self, term: int) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
        """The positions and counts of a term; empty where no chunk holds it."""
        place = int(np.searchsorted(self.terms, np.uint64(term)))
        if place == len(self.terms) or self.terms[place] != term:
            return self.positions[:0], self.counts[:0]
        stretch = slice(int(self.offsets[place]), int(self.offsets[place + 1]))
        return self.positions[stretch], self.counts[stretch]


@dataclass(frozen=True, slots=True)
class Statistics:
    """What BM25 must know of the chunks that may be seen: how many, their mean length, and the weights of terms.

    `weights` holds the rarest terms that some chunk holds, and every term that none holds.
    """

    count: int
    mean_length: float
    weights: Mapping[int, float]


def weigh(parts: Sequence[tuple[Postings, Mask]], query: str) -> Statistics:
    """The weights of the query's rarest terms: ln(1 + (N - df + 0.5) / (df + 0.5)), as in Lucene's BM25."""
    count = sum(int(mask.sum()) for _, mask in parts)
    length = sum(int(postings.lengths[mask].sum()) for postings, mask in parts)
    frequencies: Counter[int] = Counter()
    for term in {term_id(term) for term in terms(query)}:
        for postings, mask in parts:
            frequencies[term] += int(mask[postings.lookup(term)[0]].sum())
    rarest = sorted((frequency, term) for term, frequency in frequencies.items() if frequency)[:RAREST]
    unseen = [(0, term) for term, frequency in frequencies.items() if not frequency]
    weights = {term: math.log(1 + (count - frequency + 0.5) / (frequency + 0.5)) for frequency, term in rarest + unseen}
    return Statistics(count, length / count if count else 0.0, weights)


def score(postings: Postings, mask: Mask, statistics: Statistics) -> NDArray[np.float32]:
    """BM25 of every chunk of a segment, shape (n,); 0 where none of the terms stands or the mask says no.

    Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), with k1 = 1.2 and b = 0.75.
    """
    scores: NDArray[Any] = np.zeros(len(postings.lengths), dtype=np.float32)
    if not statistics.count:
        return scores
    for term, weight in statistics.weights.items():
        positions, counts = postings.lookup(term)
        held = mask[positions]
        positions, frequency = positions[held], counts[held].astype(np.float32)
        norm = K1 * (1 - B + B * postings.lengths[positions] / max(statistics.mean_length, 1.0))
        scores[positions] += weight * frequency * (K1 + 1) / (frequency + norm)
    return scores
