"""Figures of rankings, against values worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from evals.ranking import hit, ndcg, recall, reciprocal_rank
from llmops.errors import InvalidInput

RANKED = ["a", "b", "c", "d"]


def test_a_perfect_ranking_has_one_everywhere() -> None:
    assert ndcg(RANKED, {"a", "b"}) == recall(RANKED, {"a", "b"}) == hit(RANKED, {"a", "b"}) == reciprocal_rank(RANKED, {"a", "b"}) == 1


def test_a_hit_counts_less_the_later_it_comes() -> None:
    assert ndcg(RANKED, {"c"}) == pytest.approx(1 / math.log2(4))
    assert ndcg(RANKED, {"a", "d"}) == pytest.approx((1 + 1 / math.log2(5)) / (1 + 1 / math.log2(3)))
    assert reciprocal_rank(RANKED, {"c", "d"}) == pytest.approx(1 / 3)
    assert recall(RANKED, {"a", "d", "x"}, 3) == pytest.approx(1 / 3)


def test_what_comes_after_k_or_is_missing_counts_nothing() -> None:
    assert ndcg(RANKED, {"d"}, 3) == recall(RANKED, {"d"}, 3) == hit(RANKED, {"d"}, 3) == reciprocal_rank(RANKED, {"d"}, 3) == 0
    assert ndcg([], {"d"}) == 0


def test_more_that_is_relevant_than_k_can_still_be_perfect() -> None:
    assert ndcg(RANKED, {"a", "b", "x", "y"}, 2) == 1


def test_what_comes_twice_counts_once_and_takes_one_rank() -> None:
    assert ndcg(["a", "a", "b"], {"a", "b"}) == 1
    assert recall(["a", "a"], ["a", "a", "b"]) == 0.5


@pytest.mark.parametrize("figure", [ndcg, recall, hit, reciprocal_rank])
def test_a_case_that_nothing_answers_is_refused(figure: Callable[..., float]) -> None:
    with pytest.raises(InvalidInput, match="nothing is relevant"):
        figure(RANKED, set())
    with pytest.raises(InvalidInput, match="k is 0"):
        figure(RANKED, {"a"}, 0)
