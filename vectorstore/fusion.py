"""Fusion of the legs' scores. How much the dense leg counts depends on how well the encoder reads the query."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmops.text import scripts
from vectorstore.index.postings import K1, Statistics
from vectorstore.language import likelihood
from vectorstore.legs import Candidates, Scores, ranked

if TYPE_CHECKING:
    from llmops.types import Embedder

READABLE = 0.5
"""The encoder reads a query's script if its vocabulary has words in that of at least this share of the letters."""
LIKELY = 0.05
"""... and its language if no language that it does not read is more than twenty times as likely as those that it reads."""


class Reading(Enum):
    """How well an encoder reads a query; the value is the weight of the cosine beside BM25 (docs/decisions/014)."""

    LANGUAGE = 0.35
    SCRIPT = 0.15
    NOTHING = 0.0


def reading(query: str, encoder: Embedder) -> Reading:
    """Whether the encoder reads the query's language, its script alone, or neither."""
    if sum(share for script, share in scripts(query).items() if script in encoder.scripts) < READABLE:
        return Reading.NOTHING
    return Reading.LANGUAGE if likelihood(query, encoder.languages) >= LIKELY else Reading.SCRIPT


def bm25_ceiling(statistics: Statistics) -> float:
    """The most that BM25 can be: every term of the query, over and over again."""
    return sum(statistics.weights.values()) * (K1 + 1)


class Fused(NamedTuple):
    """Scores by chunk row, best first, and what the cosine weighed in them."""

    scores: Scores
    weight: float


def fuse(found: Candidates, statistics: Statistics, how: Reading) -> Fused:
    """`weight` x cosine + (1 - `weight`) x BM25 as a share of the most that the query's terms could give.

    A query that the encoder cannot read finds what shares a term with it; where nothing does, the cosine is better than nothing.
    """
    most = bm25_ceiling(statistics)
    share: NDArray[np.float64] = found.bm25.astype(np.float64) / most if most else np.zeros(len(found.rows))
    if how is Reading.NOTHING:
        shares = share > 0
        return Fused(ranked(found.rows[shares], share[shares]), 0.0) if shares.any() else Fused(ranked(found.rows, found.cosines), 1.0)
    return Fused(ranked(found.rows, how.value * found.cosines + (1 - how.value) * share), how.value)
