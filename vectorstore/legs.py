"""The two legs of a search: which chunks are nearest, which share the query's terms, and what each leg thinks of either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmops.types import Vectors
from vectorstore.index.postings import Mask, Statistics, score
from vectorstore.index.scan import cosines, nearest, top
from vectorstore.index.view import Part

Scores = dict[int, float]
"""Scores by chunk row, best first."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The chunks that some leg found, in the order of their rows, with the score that each leg gives: arrays of one length.

    `cosines` lie in [-1, 1]; `bm25` is 0 where a chunk holds none of the terms.
    """

    rows: NDArray[np.int64]
    cosines: NDArray[np.float32]
    bm25: NDArray[np.float32]

    def legs(self) -> dict[str, Scores]:
        """Each leg's own ranking. The lexical one has only what shares a term with the query."""
        shares = self.bm25 > 0
        return {"dense": ranked(self.rows, self.cosines), "lexical": ranked(self.rows[shares], self.bm25[shares])}


def candidates(parts: Sequence[Part], masks: Sequence[Mask], vector: Vectors, statistics: Statistics, depth: int) -> Candidates:
    """The best `depth` chunks of each leg among those that the masks let through, scored by both."""
    if not parts:
        return Candidates(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32))
    starts = np.cumsum([0, *(len(mask) for mask in masks)])
    bm25 = np.concatenate([score(part.segment.postings, mask, statistics) for part, mask in zip(parts, masks, strict=True)])
    places = np.union1d(_nearest(parts, masks, starts, vector, depth), _matching(bm25, depth))
    rows, near = [], []
    for part, first, end in zip(parts, starts, starts[1:], strict=False):
        inside = places[(first <= places) & (places < end)] - first
        rows.append(part.segment.rows[inside])
        near.append(cosines(part.segment.vectors[inside], vector))
    return Candidates(np.concatenate(rows), np.concatenate(near), bm25[places])


def ranked(rows: NDArray[np.int64], scores: NDArray[Any]) -> Scores:
    """Rows and their scores, best first; equal scores in the order they stand."""
    order = np.argsort(-scores, kind="stable")
    return dict(zip(rows[order].tolist(), scores[order].tolist(), strict=True))


def _nearest(parts: Sequence[Part], masks: Sequence[Mask], starts: NDArray[Any], vector: Vectors, depth: int) -> NDArray[np.int64]:
    """Places of the nearest chunks, counted through all parts."""
    found = [nearest(part.segment, mask, vector, depth) for part, mask in zip(parts, masks, strict=True)]
    places = np.concatenate([positions + first for (positions, _), first in zip(found, starts, strict=False)])
    return places[top(np.concatenate([values for _, values in found]), depth)]


def _matching(bm25: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """Places of the chunks of the best BM25; only those that share a term."""
    places = np.flatnonzero(bm25)
    return places[top(bm25[places], depth)]
