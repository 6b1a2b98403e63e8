"""A collection comes from one workspace into another by promotion: whole, in one step, with its rights, and on record."""

from __future__ import annotations

import pytest

from llmops.access import audit
from llmops.errors import Conflict, InvalidInput, NotPermitted, UnknownName
from llmops.home import Home
from llmops.jobs.worker import finish
from llmops.testing import HashEncoder
from llmops.types import Asker, Json
from tests.conftest import OWNER
from tests.vectorstore.filled import fill, new_version
from tests.vectorstore.invariants import check_collection
from vectorstore import promotion, sharing
from vectorstore.rows import collections
from vectorstore.search import Searcher

PROD = Asker("prod", owner=True)
ALICE, MEMBER = (Asker("prod", frozenset(names)) for names in (["user:alice"], ["workspace:prod"]))


@pytest.fixture
def quick(store_home: Home) -> Home:
    store_home._encoder = HashEncoder()
    texts = [("a", "record a\n\nand more of a", None), ("b", "record b", ["user:alice"]), ("c", "record c", ["user:alice", "workspace:poc"])]
    fill(store_home, "docs", [new_version(name, text, {"n": name}, acl) for name, text, acl in texts])
    return store_home


def promote(home: Home, to: str = "prod", at: int | None = None, by: Asker = OWNER) -> Json:
    job = finish(home, by.workspace, promotion.order(home, by, "docs", to, at))
    assert job.state == "done", job.error
    return dict(job.result or {})


def names(home: Home, asker: Asker, **where: int) -> list[str]:
    found = Searcher(home).search("record", collection="docs", asker=asker, k=100, **where)
    return sorted({hit.passage.external_id for hit in found.hits})


def test_what_is_promoted_is_found_there_by_those_it_is_for(quick: Home) -> None:
    told = promote(quick)
    assert {name: told[name] for name in ("documents", "copied", "withdrawn", "refused")} == {
        "documents": 3,
        "copied": 3,
        "withdrawn": 0,
        "refused": 0,
    }
    assert (names(quick, PROD), names(quick, ALICE), names(quick, MEMBER)) == (["a", "b", "c"], ["b", "c"], ["a", "c"])
    hits = {h.passage.external_id: h.passage for h in Searcher(quick).search("record", collection="docs", asker=PROD, k=9).hits}
    assert hits["b"].text == "record b" and hits["b"].title == "Page b"
    assert names(quick, OWNER) == ["a", "b", "c"], "the source stays as it is"
    check_collection(quick, "docs", ["record of b"], "prod")


def test_a_second_promotion_brings_what_changed_and_takes_what_is_gone(quick: Home) -> None:
    first = promote(quick)["to"]["seq"]
    assert promote(quick) | {"copied": 0} == promote(quick), "nothing changed: nothing is done"
    fill(quick, "docs", [new_version("a", "record a, told anew"), new_version("d", "record d")], ["b"])
    told = promote(quick)
    assert (told["documents"], told["copied"], told["withdrawn"], told["to"]["seq"]) == (3, 2, 1, first + 1)
    assert names(quick, PROD) == ["a", "c", "d"]
    assert names(quick, PROD, at=first) == ["a", "b", "c"], "what it held before can still be asked for"
    fill(quick, "docs", [new_version("b", "record b")])
    promote(quick)
    assert names(quick, PROD) == ["a", "b", "c", "d"], "what was withdrawn comes back"
    check_collection(quick, "docs", ["record of b"], "prod")


def test_a_promotion_as_of_a_sequence_brings_what_was_live_then_with_the_rights_of_today(quick: Home) -> None:
    fill(quick, "docs", [new_version("a", "record a, told anew")], ["c"])
    quick.store.write(lambda c: sharing.share_source(c, OWNER, "docs", "api", ["user:alice"]))
    assert promote(quick, at=1)["from"] == {"workspace": "poc", "seq": 1}
    assert (names(quick, PROD), names(quick, ALICE), names(quick, MEMBER)) == (["a", "b", "c"], ["a", "b", "c"], [])
    promote(quick)
    assert names(quick, PROD) == ["a", "b"]


def test_rights_that_changed_come_with_the_next_promotion(quick: Home) -> None:
    promote(quick)
    quick.store.write(lambda c: sharing.share_collection(c, OWNER, "docs", ["user:alice"]))
    seq = promote(quick)["to"]["seq"]
    assert (names(quick, ALICE), names(quick, MEMBER), seq) == (["a", "b", "c"], ["c"], 1)


def test_both_logs_have_it(quick: Home) -> None:
    promote(quick)
    sent, received = (quick.store.read(lambda c, w=w: audit.entries(c, w, 1))[0] for w in ("poc", "prod"))
    assert (sent.action, received.action) == ("collection.promote", "collection.receive")
    assert sent.detail == received.detail and sent.detail["copied"] == 3 and sent.detail["to"]["workspace"] == "prod"


def test_what_cannot_be_promoted(quick: Home) -> None:
    engineer = Asker("poc", role="data-engineer", name="key:engineer")
    for by, to, at, error in (
        (OWNER, "poc", None, InvalidInput),
        (OWNER, "nowhere", None, UnknownName),
        (OWNER, "prod", 99, InvalidInput),
        (engineer, "prod", None, NotPermitted),
    ):
        with pytest.raises(error) as refused:
            promotion.order(quick, by, "docs", to, at)
        assert refused.value.hint
    with pytest.raises(UnknownName):
        promotion.order(quick, OWNER, "none", "prod")
    quick.store.write(lambda c: collections.ensure(c, "prod", "docs", "another encoder"))
    with pytest.raises(Conflict):
        promotion.order(quick, OWNER, "docs", "prod")


def test_promotion_on_the_command_line(cli, tmp_path) -> None:
    (tmp_path / "a.md").write_text("The record of the archive.")
    cli("ingest", "a.md", "--collection", "docs")
    done = cli("collections", "copy", "docs", "--to", "prod")
    assert done.rc == 0 and "docs is in workspace prod, there at sequence 1, as it was here at 1: 1 documents, 1 new" in done.stdout
    assert cli("search", "archive", "--collection", "docs", "--workspace", "prod", "--json").json["hits"][0]["external_id"] == "a.md"
    assert cli("collections", "copy", "none", "--to", "prod").rc == 2
