"""How much each leg counts, and how their scores become one."""

from __future__ import annotations

import numpy as np
import pytest

from llmops.testing import HashEncoder
from vectorstore.fusion import LIKELY, Reading, fuse, reading
from vectorstore.index.postings import K1, Statistics
from vectorstore.language import likelihood
from vectorstore.legs import Candidates


class English(HashEncoder):
    scripts = frozenset({"latin"})
    languages = frozenset({"en"})


@pytest.mark.parametrize(
    ("query", "how"),
    [
        ("How many points did the defense of the Panthers give up?", Reading.LANGUAGE),
        ("0-dimensional biomaterials lack inductive properties.", Reading.LANGUAGE),
        ("kubectl timeout", Reading.LANGUAGE),
        ("Berlin", Reading.LANGUAGE),
        ("laser pointers", Reading.LANGUAGE),
        ("reset password", Reading.LANGUAGE),
        ("¿Cuántos puntos cedió la defensa de los Panthers?", Reading.SCRIPT),
        ("Wie viele Punkte hat die Verteidigung der Panthers abgegeben?", Reading.SCRIPT),
        ("サーバーを停止するには？", Reading.NOTHING),
        ("サーバー (server) を停止する", Reading.NOTHING),
        ("Сколько очков?", Reading.NOTHING),
        ("🙂🙂", Reading.NOTHING),
        ("42", Reading.NOTHING),
    ],
)
def test_a_leg_that_cannot_read_the_query_loses_its_vote(query: str, how: Reading) -> None:
    assert reading(query, English()) is how


def test_an_encoder_of_which_no_language_is_told_reads_all_that_its_scripts_write() -> None:
    encoder = English()
    encoder.languages = frozenset()
    assert reading("¿Cuántos puntos cedió la defensa de los Panthers?", encoder) is Reading.LANGUAGE
    encoder.languages = frozenset({"en", "es"})
    assert reading("¿Cuántos puntos cedió la defensa de los Panthers?", encoder) is Reading.LANGUAGE


def test_a_few_words_say_little_against_a_language() -> None:
    assert likelihood("The library opens at nine and closes at five.", {"en"}) == 1.0
    assert likelihood("laser pointers", {"en"}) > 0.5 and likelihood("", {"en"}) > LIKELY
    assert likelihood("Die Bibliothek öffnet um neun Uhr und schließt um fünf.", {"en"}) < 0.001
    assert likelihood("The library opens at nine.", {"fil", "de"}) == likelihood("Die Bibliothek öffnet um neun.", ()) == 1.0, "nobody can tell"


FOUND = Candidates(np.array([1, 2, 3, 4]), np.array([0.9, 0.8, 0.1, -0.2], np.float32), np.array([0, 7, 11, 1], np.float32))
TERMS = Statistics(10, 20.0, {1: 4.0, 2: 6.0})


def test_the_fused_score_is_a_mean_of_the_cosine_and_of_the_share_of_the_most_that_bm25_could_be() -> None:
    most = 10.0 * (K1 + 1)
    fused = fuse(FOUND, TERMS, Reading.LANGUAGE).scores
    assert list(fused) == [2, 3, 1, 4]
    assert fused[2] == pytest.approx(0.35 * 0.8 + 0.65 * 7 / most)
    assert list(fuse(FOUND, TERMS, Reading.SCRIPT).scores) == [3, 2, 1, 4]


def test_an_encoder_that_reads_nothing_of_the_query_says_nothing() -> None:
    assert fuse(FOUND, TERMS, Reading.NOTHING).scores == pytest.approx({3: 11 / 22, 2: 7 / 22, 4: 1 / 22})
    nothing_shared = Candidates(FOUND.rows, FOUND.cosines, np.zeros(4, np.float32))
    assert list(fuse(nothing_shared, TERMS, Reading.NOTHING).scores) == [1, 2, 3, 4], "where no term is shared, the nearest are better than nothing"
    assert fuse(Candidates(*(one[:0] for one in (FOUND.rows, FOUND.cosines, FOUND.bm25))), Statistics(0, 0.0, {}), Reading.LANGUAGE).scores == {}


def test_equal_scores_stand_in_the_order_of_their_rows() -> None:
    same = Candidates(np.array([5, 6, 7]), np.full(3, 0.5, np.float32), np.full(3, 2.0, np.float32))
    assert list(fuse(same, TERMS, Reading.LANGUAGE).scores) == [5, 6, 7]
    assert list(same.legs()["dense"]) == list(same.legs()["lexical"]) == [5, 6, 7]


def test_the_lexical_leg_ranks_only_what_shares_a_term() -> None:
    assert list(FOUND.legs()["lexical"]) == [3, 2, 4] and list(FOUND.legs()["dense"]) == [1, 2, 3, 4]
