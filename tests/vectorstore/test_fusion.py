"""Which legs have a vote, and how their rankings become one."""

from __future__ import annotations

import pytest

from llmops.testing import HashEncoder
from vectorstore.fusion import LIKELY, fuse, voting_legs
from vectorstore.language import likelihood

BOTH, LEXICAL = frozenset({"dense", "lexical"}), frozenset({"lexical"})


class English(HashEncoder):
    scripts = frozenset({"latin"})
    languages = frozenset({"en"})


@pytest.mark.parametrize(
    ("query", "voting"),
    [
        ("How many points did the defense of the Panthers give up?", BOTH),
        ("0-dimensional biomaterials lack inductive properties.", BOTH),
        ("kubectl timeout", BOTH),
        ("Berlin", BOTH),
        ("laser pointers", BOTH),
        ("reset password", BOTH),
        ("¿Cuántos puntos cedió la defensa de los Panthers?", LEXICAL),
        ("Wie viele Punkte hat die Verteidigung der Panthers abgegeben?", LEXICAL),
        ("サーバーを停止するには？", LEXICAL),
        ("サーバー (server) を停止する", LEXICAL),
        ("Сколько очков?", LEXICAL),
        ("🙂🙂", LEXICAL),
        ("42", LEXICAL),
    ],
)
def test_a_leg_that_cannot_read_the_query_has_no_vote(query: str, voting: frozenset[str]) -> None:
    assert voting_legs(query, English()) == voting


def test_an_encoder_of_which_no_language_is_told_reads_all_that_its_scripts_write() -> None:
    encoder = English()
    encoder.languages = frozenset()
    assert voting_legs("¿Cuántos puntos cedió la defensa de los Panthers?", encoder) == BOTH
    encoder.languages = frozenset({"en", "es"})
    assert voting_legs("¿Cuántos puntos cedió la defensa de los Panthers?", encoder) == BOTH


def test_a_few_words_say_little_against_a_language() -> None:
    assert likelihood("The library opens at nine and closes at five.", {"en"}) == 1.0
    assert likelihood("laser pointers", {"en"}) > 0.5 and likelihood("", {"en"}) > LIKELY
    assert likelihood("Die Bibliothek öffnet um neun Uhr und schließt um fünf.", {"en"}) < 0.001
    assert likelihood("The library opens at nine.", {"fil", "de"}) == likelihood("Die Bibliothek öffnet um neun.", ()) == 1.0, "nobody can tell"


def test_ranks_are_summed_over_the_legs_that_vote() -> None:
    legs = {"dense": {1: 0.9, 2: 0.8}, "lexical": {2: 7.0, 3: 6.0}}
    assert list(fuse(legs, BOTH)) == [2, 1, 3]
    assert list(fuse(legs, LEXICAL)) == [2, 3]
    assert list(fuse({"dense": {1: 0.9}, "lexical": {}}, LEXICAL)) == [1], "where no voting leg found anything, another is better than nothing"
    assert fuse({"dense": {}, "lexical": {}}, BOTH) == {}
