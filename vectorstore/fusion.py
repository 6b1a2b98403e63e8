"""Fusion of the legs' rankings. A leg that cannot read the query's language has no vote."""

from __future__ import annotations

from collections.abc import Mapping

from llmops.text import scripts

RRF = 60
"""Cormack, Clarke and Büttcher, Reciprocal Rank Fusion (SIGIR 2009)."""
READABLE = 0.5
"""The dense leg votes if the encoder reads at least this share of the query's letters."""


def voting_legs(query: str, readable: frozenset[str]) -> frozenset[str]:
    """The legs whose ranking counts for this query; `readable` are the scripts that the encoder reads."""
    shares = scripts(query)
    read = sum(share for script, share in shares.items() if script in readable)
    return frozenset({"dense", "lexical"}) if read >= READABLE else frozenset({"lexical"})


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
