"""`search --explain` says how each score comes about, and nothing of what may not be read."""

from __future__ import annotations

import pytest

from llmops.home import Home
from llmops.types import Asker
from tests.conftest import OWNER
from tests.vectorstore.filled import fill, new_version
from vectorstore.explain import explained, lines
from vectorstore.search import Searcher

ALICE = Asker("poc", frozenset(["user:alice"]))


def records(home: Home) -> Home:
    texts = [(str(n), f"record {n} of the harbour", {"n": n}, ["user:alice"] if n < 3 else ["user:bob"]) for n in range(12)]
    fill(home, "docs", [new_version(*one) for one in texts])
    return home


@pytest.fixture
def filled(quick: Home) -> Home:
    return records(quick)


def test_each_score_is_the_sum_of_its_parts(filled: Home) -> None:
    found = Searcher(filled).search("record 7 of the harbour", collection="docs", asker=OWNER, k=5)
    told = explained(found)
    dense, lexical = told["legs"]["dense"], told["legs"]["lexical"]
    assert len(told["hits"]) == 5 and told["allowed"] == 12
    for hit in told["hits"]:
        assert hit["score"] == pytest.approx(dense["weight"] * hit["cosine"] + lexical["weight"] * hit["bm25"] / lexical["most"], abs=1e-6)


@pytest.mark.parametrize("query", ["Wo liegt der Hafen record 7", "記録はどこですか", "港 record 7"])
def test_each_score_is_that_sum_too_where_the_encoder_does_not_read_the_query(filled: Home, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    monkeypatch.setattr(type(filled.encoder), "scripts", frozenset({"latin"}))
    monkeypatch.setattr(type(filled.encoder), "languages", frozenset({"en"}))
    told = explained(Searcher(filled).search(query, collection="docs", asker=OWNER, k=5))
    weight, most = told["legs"]["dense"]["weight"], told["legs"]["lexical"]["most"]
    assert len(told["hits"]) == 5 and told["legs"]["lexical"]["weight"] == pytest.approx(1 - weight)
    for hit in told["hits"]:
        assert hit["score"] == pytest.approx(weight * hit["cosine"] + (1 - weight) * (hit["bm25"] / most if most else 0), abs=1e-6)
    assert lines(told)


def test_t10_an_explanation_counts_what_the_asker_may_read(filled: Home) -> None:
    searcher = Searcher(filled)
    before = explained(searcher.search("record", collection="docs", asker=ALICE))
    for n in range(10):  # the tail in memory is merged meanwhile
        fill(filled, "docs", [new_version(f"more {n}", f"record {n} more", acl=["user:bob"])])
    after = explained(searcher.search("record", collection="docs", asker=ALICE))
    assert before["allowed"] == 3
    assert {name: before[name] for name in before if name != "milliseconds"} == {name: after[name] for name in after if name != "milliseconds"}


def test_the_command_explains(home: Home, cli) -> None:
    records(home)
    ran = cli("search", "record 7", "--collection", "docs", "-k", "2", "--filter", '{"n": {"$gte": 4}}', "--explain")
    assert "index    exact: 8 chunks are live, may be read and pass the filter" in ran.stdout and "8 were compared in float32" in ran.stdout
    told = cli("search", "record 7", "--collection", "docs", "-k", "2", "--explain", "--json").json
    assert [hit["chunk_id"] for hit in told["explain"]["hits"]] == [hit["chunk_id"] for hit in told["hits"]]
    assert "explain" not in cli("search", "record 7", "--collection", "docs", "--json").json
    assert lines(told["explain"])[0].startswith("index")
