"""How far the documents of a collection have moved from what they were: measures of two distributions, with thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from llmops.types import Json

PSI_THRESHOLD = 0.2
"""Above 0.1 a shift is small, above 0.25 large (Siddiqi, Credit Risk Scorecards, 2006); 0.2 is the usual line between."""
JS_THRESHOLD = 0.1
_BINS = 10
_PSEUDO_COUNT = 0.5  # so that an empty bin is no infinite shift
_NORMAL_95 = 1.6449


def lengths(before: Sequence[int], now: Sequence[int]) -> Json:
    """The population stability index of lengths, over the tenths of what was before.

    The sum of (p - q) ln(p / q). What chance alone would exceed in one of twenty cases is added to the threshold: a quantile of
    chi-square times (1/n + 1/m) (Yurdakul, Statistical properties of population stability index, 2018).
    """
    tenths = np.quantile(before, np.linspace(0, 1, _BINS + 1)[1:-1])
    tied = tenths[1:][tenths[1:] == tenths[:-1]]  # a length of many has a bin of its own, else what is shorter would be taken for it
    edges = np.unique(np.concatenate([tenths, np.nextafter(tied, -np.inf)]))
    p, q = (_shares(np.bincount(np.searchsorted(edges, sizes), minlength=len(edges) + 1)) for sizes in (before, now))
    value = float(((q - p) * np.log(q / p)).sum())
    chance = _chi_square(len(edges)) * (1 / len(before) + 1 / len(now))
    return _told("lengths", "population stability index", value, max(PSI_THRESHOLD, chance))


def languages(before: Mapping[str, int], now: Mapping[str, int]) -> Json:
    """The Jensen-Shannon distance of how many documents there are in each language."""
    names = sorted({*before, *now})
    counts = (np.array([side.get(name, 0) for name in names]) for side in (before, now))
    return _jensen_shannon("languages", *counts)


def vocabulary(before: NDArray[np.int64], now: NDArray[np.int64]) -> Json:
    """The Jensen-Shannon distance of how often the words of each bucket occur."""
    return _jensen_shannon("vocabulary", before, now)


def _jensen_shannon(of: str, before: NDArray[np.int64], now: NDArray[np.int64]) -> Json:
    """The square root of the Jensen-Shannon divergence in bits, from 0 for the same to 1 for nothing in common.

    Lin, Divergence measures based on the Shannon entropy, 1991; its root is a metric (Endres and Schindelin, A new metric for
    probability distributions, 2003). What chance alone would exceed in one of twenty cases counts as no drift: the divergence of
    two samples is about chi-square times (1/n + 1/m) / 8 nats.
    """
    if not before.sum() or not now.sum():
        return _told(of, "Jensen-Shannon distance", 0.0 if before.sum() == now.sum() else 1.0, JS_THRESHOLD)
    p, q = before / before.sum(), now / now.sum()
    middle = (p + q) / 2
    divergence = (_entropy(middle) - (_entropy(p) + _entropy(q)) / 2) / np.log(2)
    freedom = int(np.count_nonzero(middle)) - 1
    chance = _chi_square(freedom) * (1 / before.sum() + 1 / now.sum()) / 8 / np.log(2)
    return _told(of, "Jensen-Shannon distance", float(np.sqrt(max(0.0, divergence))), max(JS_THRESHOLD, float(np.sqrt(chance))))


def _entropy(shares: NDArray[np.float64]) -> float:
    held = shares[shares > 0]
    return float(-(held * np.log(held)).sum())


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    padded = counts + _PSEUDO_COUNT
    shares: NDArray[np.float64] = padded / padded.sum()
    return shares


def _chi_square(freedom: int) -> float:
    """The 95 % quantile of chi-square, by Wilson and Hilferty (1931): within 1 % of the true one from two degrees of freedom on."""
    if freedom < 1:
        return 0.0
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + _NORMAL_95 * np.sqrt(part)) ** 3)


def _told(of: str, measure: str, value: float, threshold: float) -> Json:
    return {"of": of, "measure": measure, "value": round(value, 4), "threshold": round(threshold, 4), "drifted": value > threshold}
