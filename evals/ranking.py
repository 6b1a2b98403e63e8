"""How good a ranking is, given what is relevant. Relevance is binary; every figure lies in [0, 1], and higher is better."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Sequence

from llmops.errors import InvalidInput


def ndcg(ranked: Sequence[Hashable], relevant: Collection[Hashable], k: int = 10) -> float:
    """Normalised discounted cumulative gain of the first `k`: a hit at rank r gains 1 / log2(r + 1), of what the best ranking would gain.

    Source: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques (TOIS 2002), as in trec_eval.
    Raises `InvalidInput` where nothing is relevant, as all here do.
    """
    best = sum(_discount(rank) for rank in range(1, min(len(set(_some(relevant))), k) + 1))
    return sum(_discount(rank) for rank, item in enumerate(_first(ranked, k), 1) if item in relevant) / best


def recall(ranked: Sequence[Hashable], relevant: Collection[Hashable], k: int = 10) -> float:
    """The share of what is relevant that is among the first `k`."""
    return len(set(_first(ranked, k)) & set(_some(relevant))) / len(set(relevant))


def hit(ranked: Sequence[Hashable], relevant: Collection[Hashable], k: int = 1) -> float:
    """1 if something relevant is among the first `k`, else 0."""
    return float(not set(_some(relevant)).isdisjoint(_first(ranked, k)))


def reciprocal_rank(ranked: Sequence[Hashable], relevant: Collection[Hashable], k: int = 10) -> float:
    """One over the rank of the first that is relevant, 0 where none of the first `k` is. Its mean over questions is the MRR."""
    _some(relevant)
    return next((1 / rank for rank, item in enumerate(_first(ranked, k), 1) if item in relevant), 0.0)


def _discount(rank: int) -> float:
    return 1 / math.log2(rank + 1)


def _first(ranked: Sequence[Hashable], k: int) -> list[Hashable]:
    """The first `k`, each once: what comes again gains nothing and takes no rank."""
    if k < 1:
        raise InvalidInput(f"k is {k}", hint="look at the first one at least", param="k")
    return list(dict.fromkeys(ranked))[:k]


def _some(relevant: Collection[Hashable]) -> Collection[Hashable]:
    if not relevant:
        raise InvalidInput("nothing is relevant to this case", hint="leave cases out that nothing answers, and measure abstention on them")
    return relevant
