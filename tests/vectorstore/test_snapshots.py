"""A point of a collection's sequence is a snapshot: what was live there, and what changed between two, as the asker may read it today."""

from __future__ import annotations

import json
import time

import pytest

from llmops.errors import InvalidInput, UnknownName
from llmops.home import Home
from llmops.types import Asker
from tests.conftest import OWNER
from tests.vectorstore.filled import fill, new_version
from vectorstore import sharing
from vectorstore.search import Searcher
from vectorstore.snapshots import diff, snapshot, text_changes

ALICE, MEMBER = (Asker("poc", frozenset(names)) for names in (["user:alice"], ["workspace:poc"]))


@pytest.fixture
def changed(quick: Home) -> Home:
    """`a` is told anew, `b` (which Alice alone may read) withdrawn, `c` stays, `d` comes; `e` goes and comes back as it was."""
    texts = [("a", "record a\nsecond line", None), ("b", "record b", ["user:alice"]), ("c", "record c", None), ("e", "record e", None)]
    fill(quick, "docs", [new_version(name, text, acl=acl) for name, text, acl in texts])
    fill(quick, "docs", [new_version("a", "record a\nanother line\nand a third"), new_version("d", "record d")], ["b", "e"])
    fill(quick, "docs", [new_version("e", "record e")])
    return quick


def kinds(home: Home, asker: Asker, since: int, until: int | None = None) -> dict[str, str]:
    return {row["external_id"]: row["change"] for row in home.store.read(lambda c: diff(c, asker, "docs", since, until))["data"]}


def test_what_changed_between_two_points_is_told_by_document(changed: Home) -> None:
    assert kinds(changed, OWNER, 1) == {"a": "changed", "b": "withdrawn", "d": "added"}
    assert kinds(changed, OWNER, 1, 2) == {"a": "changed", "b": "withdrawn", "d": "added", "e": "withdrawn"}
    assert kinds(changed, OWNER, 3, 1) == {"a": "changed", "b": "added", "d": "withdrawn"}, "backwards, as it would be undone"
    assert kinds(changed, OWNER, 0, 1) == dict.fromkeys("abce", "added")
    assert kinds(changed, OWNER, 3) == {}
    row = next(row for row in changed.store.read(lambda c: diff(c, OWNER, "docs", 1))["data"] if row["external_id"] == "a")
    assert (row["from_version"], row["to_version"], row["from_characters"], row["to_characters"]) == (1, 2, 20, 33)


def test_the_lines_that_changed_can_be_seen(changed: Home) -> None:
    lines = changed.store.read(lambda c: [line for row in diff(c, OWNER, "docs", 1)["data"] for line in text_changes(c, row)])
    assert "-second line" in lines and "+another line" in lines and "-record b" in lines and "+record d" in lines
    assert not any("record c" in line for line in lines)


def test_lines_that_repeat_themselves_are_not_compared_for_ever(quick: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vectorstore.snapshots.SECONDS", 0.2)
    fill(quick, "docs", [new_version("a", "\n".join(str(n % 55) for n in range(2500)))])
    fill(quick, "docs", [new_version("a", "\n".join(f"{n % 55}\nnew {n}" for n in range(2500)))])
    began = time.process_time()
    lines = quick.store.read(lambda c: list(text_changes(c, diff(c, OWNER, "docs", 1)["data"][0])))
    assert lines == ["api/a: takes too long to be compared line by line"] and time.process_time() - began < 3


def test_t10_a_snapshot_and_a_difference_hold_what_the_asker_may_read_today(changed: Home) -> None:
    assert kinds(changed, ALICE, 1) == {"b": "withdrawn"} and kinds(changed, MEMBER, 1) == {"a": "changed", "d": "added"}
    counted = {asker: changed.store.read(lambda c, asker=asker: snapshot(c, asker, "docs", 1))["documents"] for asker in (OWNER, ALICE, MEMBER)}
    assert counted == {OWNER: 4, ALICE: 1, MEMBER: 3}
    changed.store.write(lambda c: sharing.share_source(c, OWNER, "docs", "api", ["user:alice"]))
    assert kinds(changed, MEMBER, 1) == {} and kinds(changed, ALICE, 1) == kinds(changed, OWNER, 1)


def test_a_snapshot_counts_what_a_search_as_of_it_finds(changed: Home) -> None:
    for at in range(4):
        found = changed.store.read(lambda c, at=at: snapshot(c, OWNER, "docs", at))
        hits = Searcher(changed).search("record", collection="docs", asker=OWNER, at=at, k=100).hits
        assert (found["seq"], found["chunks"]) == (at, len(hits))
        assert found["documents"] == len({hit.passage.document_id for hit in hits})
    assert changed.store.read(lambda c: snapshot(c, OWNER, "docs"))["seq"] == 3


def test_pages_of_a_difference_follow_each_other(changed: Home) -> None:
    first = changed.store.read(lambda c: diff(c, OWNER, "docs", 1, limit=2))["data"]
    second = changed.store.read(lambda c: diff(c, OWNER, "docs", 1, after=first[-1]["row"], limit=2))["data"]
    assert [row["external_id"] for row in [*first, *second]] == ["a", "b", "d"]


def test_points_that_are_not_there_are_refused(changed: Home) -> None:
    for wrong, param in (((4, None), "from"), ((1, 4), "to"), ((-1, None), "from")):
        with pytest.raises(InvalidInput, match="no sequence") as refused:
            changed.store.read(lambda c, wrong=wrong: diff(c, OWNER, "docs", *wrong))
        assert refused.value.param == param
    with pytest.raises(UnknownName, match="dosc"):
        changed.store.read(lambda c: snapshot(c, OWNER, "dosc"))


def test_on_the_command_line(changed: Home, cli) -> None:
    assert cli("collections", "snapshot", "docs").stdout == "docs at sequence 3: 4 documents, 4 chunks\n"
    assert cli("collections", "snapshot", "docs", "--at", "1", "--json").json["documents"] == 4
    ran = cli("collections", "diff", "docs", "1", "--text")
    assert ran.stdout.startswith("docs from sequence 1 to 3: 1 added, 1 changed, 1 withdrawn\n")
    assert "  changed    api/a  version 1 to 2, 20 to 33 characters\n" in ran.stdout and "+and a third" in ran.stdout
    told = json.loads(cli("collections", "diff", "docs", "1", "3", "--json").stdout)
    assert {row["external_id"] for row in told["data"]} == {"a", "b", "d"} and "row" not in told["data"][0]
    refused = cli("collections", "diff", "docs", "9")
    assert refused.rc == 2 and "no sequence 9" in refused.stderr and "it is at 3" in refused.stderr
