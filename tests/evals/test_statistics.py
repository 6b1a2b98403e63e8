"""Means and their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from evals.statistics import mean_interval
from llmops.errors import InvalidInput


def test_the_interval_holds_the_mean_and_is_repeatable() -> None:
    values = [1.0] * 80 + [0.0] * 20
    mean, low, high = mean_interval(values, seed=1)
    assert mean == pytest.approx(0.8) and mean_interval(values, seed=1) == (mean, low, high)
    # The normal approximation: 0.8 ± 1.96 √(0.8 · 0.2 / 100).
    assert low == pytest.approx(0.722, abs=0.015) and high == pytest.approx(0.878, abs=0.015)
    assert mean_interval(values, level=0.5).low > low


def test_it_covers_the_truth_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    intervals = [mean_interval(list(draw.binomial(1, 0.7, 60).astype(float)), seed=seed) for seed in range(50)]
    assert sum(low <= 0.7 <= high for _, low, high in intervals) >= 43


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_one_value_or_equal_ones_have_no_width(value: float) -> None:
    assert mean_interval([value]) == pytest.approx((value, value, value))
    assert mean_interval([value] * 5) == pytest.approx((value, value, value))


def test_no_values_have_no_mean() -> None:
    with pytest.raises(InvalidInput):
        mean_interval([])
