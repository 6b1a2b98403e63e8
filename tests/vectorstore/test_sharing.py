"""Rights that change after the fact, and what is inherited: on both stores, for searches that are warm."""

from __future__ import annotations

from typing import Any

import pytest

from llmops.access import audit
from llmops.errors import Conflict, InvalidInput, NotPermitted, UnknownName
from llmops.home import Home
from llmops.settings import Settings
from llmops.testing import HashEncoder
from llmops.types import Asker
from tests.conftest import OWNER
from tests.vectorstore.filled import fill, new_version
from vectorstore import documents, sharing
from vectorstore.rows import collections, listing
from vectorstore.search import Searcher

ALICE, BOB = (Asker("poc", frozenset({f"user:{name}", "workspace:poc"}), name=name) for name in ("alice", "bob"))


@pytest.fixture
def searcher(quick: Home) -> Searcher:
    """Over a document that inherits, one that is Alice's and one that is nobody's."""
    versions = [("inherits", None), ("alices", ["user:alice"]), ("nobodys", [])]
    fill(quick, "docs", [new_version(name, f"record of {name}", acl=acl) for name, acl in versions])
    return Searcher(quick)


def names(searcher: Searcher, asker: Asker) -> list[str]:
    return sorted(hit.passage.external_id for hit in searcher.search("record", collection="docs", asker=asker, k=100).hits)


def run(home: Home, function: Any, *arguments: Any) -> Any:
    return home.store.write(lambda c: function(c, *arguments))


def id_of(home: Home, name: str) -> str:
    return next(row["document_id"] for row in home.store.read(lambda c: documents.listed(c, OWNER, "docs")) if row["external_id"] == name)


def test_t11_what_a_collection_says_holds_for_all_that_inherits_and_nothing_else(quick: Home, searcher: Searcher) -> None:
    assert (names(searcher, ALICE), names(searcher, BOB)) == (["alices", "inherits"], ["inherits"])
    run(quick, sharing.share_collection, OWNER, "docs", ["group:x", "user:bob"])
    assert (names(searcher, ALICE), names(searcher, BOB)) == (["alices"], ["inherits"])
    fill(quick, "docs", [new_version("new", "record of new"), new_version("alices", "record of alices, told anew")])
    assert (names(searcher, ALICE), names(searcher, BOB)) == (["alices"], ["inherits", "new"])
    run(quick, sharing.share, OWNER, id_of(quick, "alices"), None)
    assert (names(searcher, ALICE), names(searcher, BOB)) == ([], ["alices", "inherits", "new"])
    run(quick, sharing.share_collection, OWNER, "docs", [])
    assert (names(searcher, ALICE), names(searcher, BOB), len(names(searcher, OWNER))) == ([], [], 4)


def test_t11_a_change_counts_at_once_in_another_process_of_the_home(quick: Home, searcher: Searcher, store_settings: Settings) -> None:
    with Home(store_settings) as other:
        other._encoder = HashEncoder()
        there = Searcher(other)
        assert names(there, BOB) == ["inherits"]
        for acl, seen in ((["user:alice"], []), (["user:bob"], ["inherits"]), ([], []), (None, ["inherits"])):
            run(quick, sharing.share, OWNER, id_of(quick, "inherits"), acl)
            assert names(there, BOB) == seen
        run(quick, sharing.share_source, OWNER, "docs", "api", ["user:bob"])
        assert names(there, BOB) == ["alices", "inherits", "nobodys"] and names(there, ALICE) == []


def test_a_key_shares_what_it_may_read_and_nothing_else(quick: Home, searcher: Searcher) -> None:
    hidden = id_of(quick, "alices")
    for call in (lambda c: sharing.share(c, BOB, hidden, ["user:bob"]), lambda c: sharing.rights(c, BOB, hidden)):
        with pytest.raises(UnknownName):
            quick.store.write(call)
    run(quick, sharing.share, ALICE, hidden, ["user:bob", "user:alice"])
    assert run(quick, sharing.rights, BOB, hidden) == {"document_id": hidden, "acl": ["user:alice", "user:bob"], "inherited": False}
    run(quick, sharing.share_collection, OWNER, "docs", ["user:alice"])
    for function in (sharing.collection_rights, lambda c, asker, name: sharing.share_collection(c, asker, name, ["user:bob"])):
        with pytest.raises(NotPermitted):
            run(quick, function, BOB, "docs")
    with pytest.raises(NotPermitted):
        run(quick, sharing.share_source, ALICE, "docs", "api", [])
    with pytest.raises(UnknownName):
        run(quick, sharing.share_source, OWNER, "docs", "none", [])
    with pytest.raises(InvalidInput) as wrong:
        run(quick, sharing.share, ALICE, hidden, ["role:admin"])
    assert wrong.value.param == "acl"


def test_the_log_says_who_might_read_it_before_and_after(quick: Home, searcher: Searcher) -> None:
    shared = id_of(quick, "alices")
    run(quick, sharing.share, ALICE, shared, ["user:bob"])
    run(quick, sharing.share_collection, OWNER, "docs", ["group:x"])
    second, first = quick.store.read(lambda c: audit.entries(c, "poc", 2))
    assert (first.actor, first.action, first.object) == ("alice", "document.share", shared)
    assert (first.detail["before"]["acl"], first.detail["after"]["acl"]) == (["user:alice"], ["user:bob"])
    assert (second.detail["before"], second.detail["after"]) == ({"acl": ["workspace:poc"]}, {"acl": ["group:x"]})


def test_a_collection_is_made_with_what_its_documents_inherit(quick: Home) -> None:
    made = quick.store.write(lambda c: documents.create_collection(c, OWNER, "hr", "hash", ["group:hr"]))
    assert made["documents"] == {"ready": 0, "failed": 0}
    fill(quick, "hr", [new_version("a", "record")])
    found = quick.store.read(lambda c: collections.find(c, "poc", "hr"))
    row = quick.store.read(lambda c: listing.documents_of(c, found.row, OWNER))[0]["row"]
    assert quick.store.read(lambda c: listing.rights_of(c, row)) == {"acl": ["group:hr"], "inherited": True}
    with pytest.raises(Conflict):
        quick.store.write(lambda c: documents.create_collection(c, OWNER, "hr", "hash", ["group:all"]))


def test_rights_on_the_command_line(cli, tmp_path) -> None:
    (tmp_path / "a.md").write_text("The record of the archive.")
    cli("ingest", "a.md", "--collection", "docs")
    [document] = cli("documents", "list", "--collection", "docs", "--json").json["data"]
    name = document["document_id"]
    assert cli("access", "show", "--document", name, "--json").json == {"document_id": name, "acl": ["workspace:poc"], "inherited": True}
    assert cli("access", "set", "--document", name, "--acl", "user:alice", "--json").json["acl"] == ["user:alice"]
    assert cli("documents", "list", "--collection", "docs", "--as", "workspace:poc", "--json").json["data"] == []
    assert cli("access", "set", "--document", name, "--inherit", "--json").json == {"document_id": name, "acl": ["workspace:poc"], "inherited": True}
    assert cli("access", "set", "--collection", "docs", "--acl", "group:x", "--json").json["acl"] == ["group:x"]
    assert cli("access", "show", "--collection", "docs", "--json").json == {"collection": "docs", "acl": ["group:x"]}
    assert cli("access", "set", "--collection", "docs", "--source", "a.md", "--acl", "", "--json").json["acl"] == []
    assert cli("ingest", "a.md", "--collection", "docs", "--acl", "user:bob", "--json").json["unchanged"] == 1
    assert len(cli("documents", "list", "--collection", "docs", "--as", "user:bob", "--json").json["data"]) == 1
    for wrong in (["--document", name], ["--acl", "user:a"], ["--collection", "docs", "--inherit"], ["--document", name, "--acl", "a", "--inherit"]):
        refused = cli("access", "set", *wrong)
        assert refused.rc == 2 and "hint: " in refused.stderr, wrong
