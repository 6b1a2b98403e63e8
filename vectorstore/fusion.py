"""Fusion of the legs' rankings. A leg that cannot read the query's language has no vote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from llmops.text import scripts
from vectorstore.language import likelihood

if TYPE_CHECKING:
    from llmops.types import Embedder

RRF = 60
"""Cormack, Clarke and Büttcher, Reciprocal Rank Fusion (SIGIR 2009)."""
READABLE = 0.5
"""The dense leg votes if the encoder reads at least this share of the query's letters."""
LIKELY = 0.05
"""... and if no language that it does not read is more than twenty times as likely as those that it reads."""


def voting_legs(query: str, encoder: Embedder) -> frozenset[str]:
    """The legs whose ranking counts for this query: the dense one where the encoder reads its script and its language."""
    read = sum(share for script, share in scripts(query).items() if script in encoder.scripts)
    if read < READABLE or likelihood(query, encoder.languages) < LIKELY:
        return frozenset({"lexical"})
    return frozenset({"dense", "lexical"})


def fuse(legs: Mapping[str, Mapping[int, float]], voting: frozenset[str]) -> dict[int, float]:
    """Reciprocal ranks, summed over the voting legs: scores by chunk row, best first.

    Where none of the voting legs found anything, the others are better than nothing.
    """
    heard = [scores for leg, scores in legs.items() if leg in voting and scores] or [scores for scores in legs.values() if scores]
    fused: dict[int, float] = {}
    for scores in heard:
        for rank, row in enumerate(scores, 1):
            fused[row] = fused.get(row, 0.0) + 1 / (RRF + rank)
    return dict(sorted(fused.items(), key=lambda item: -item[1]))
