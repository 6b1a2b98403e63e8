"""Figures with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from llmops.errors import InvalidInput

RESAMPLES = 2000


class Interval(NamedTuple):
    """A mean and the ends of its interval."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float], seed: int = 0, level: float = 0.95) -> Interval:
    """The mean of `values` and its percentile bootstrap interval, from 2,000 resamples of whole cases with replacement.

    The same values and seed give the same interval. Source: Efron and Tibshirani, An Introduction to the Bootstrap
    (1993), chapter 13. Raises `InvalidInput` without values.
    """
    if not len(values):
        raise InvalidInput("a mean of no values", hint="give at least one case")
    sample = np.asarray(values, dtype=np.float64)
    generator = np.random.default_rng(seed)
    means = [sample[generator.integers(0, len(sample), len(sample))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(sample.mean()), float(low), float(high))
