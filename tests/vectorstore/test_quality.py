"""The quality report: what it counts, what changed since a run, and that it tells nobody of what they may not read. On both stores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, func, select, update

from llmops.errors import InvalidInput, UnknownName
from llmops.home import Home
from llmops.jobs.worker import finish
from llmops.types import Asker, Json
from tests.conftest import OWNER
from tests.vectorstore.filled import fill, new_version
from vectorstore import documents, drift, promotion, quality, sharing
from vectorstore.documents import Handed
from vectorstore.language import language
from vectorstore.profile import profile
from vectorstore.quality import of_collection
from vectorstore.rows import collections
from vectorstore.rows.documents import NewVersion
from vectorstore.tables import chunks, profiles, versions

_SHIPS = ("Amber", "Boreas", "Cedar", "Dune", "Ember", "Fjord", "Grove", "Heron", "Iris", "Juno", "Kestrel", "Linden")
LONG = "".join(f"The archive keeps what the harbour office wrote to the captain of the {ship} before she sailed north. " for ship in _SHIPS)
BOB = Asker("poc", frozenset({"user:bob", "workspace:poc"}), name="key:bob", role="data-engineer")
ALICE = Asker("poc", frozenset({"user:alice", "workspace:poc"}), name="key:alice", role="data-engineer")


def version(name: str, text: str, acl: list[str] | None = None, **metadata: Any) -> NewVersion:
    return replace(new_version(name, text, metadata, acl), profile=profile(text, language(text)))


def report(home: Home, asker: Asker = OWNER, **where: Any) -> Json:
    return home.store.read(lambda c: of_collection(c, asker, "docs", **where))


def hand_in(home: Home, asker: Asker, texts: dict[str, str], acl: list[str] | None = None) -> Json:
    handed = [Handed(name, name, text.encode(), acl=acl) for name, text in texts.items()]
    job = finish(home, asker.workspace, documents.accept(home, asker, "docs", handed))
    assert job.state == "done", job.error
    return dict(job.result or {})["quality"]["api"]


def names(found: Json) -> list[list[str]]:
    """The names in each group; which of them comes first depends on which was read first."""
    return [sorted(document["external_id"] for document in group) for group in found["largest"]]


def test_a_collection_is_told_by_what_its_documents_hold(quick: Home) -> None:
    texts = {
        "a.md": f"# Archive\n\n{LONG}Write to alice@example.com or bob@example.com.",
        "b.md": f"# Archive\n\n{LONG}Write to alice@example.com or bob@example.com.",
        "c.md": f"# Archive\n\n{LONG}Write to nobody at all, for nobody reads it.",
        "ja.md": "---\nyear: 1920\n---\n# 記録\n\n港の役所が書いた手紙はすべて記録館に残っています。",
        "short.txt": "Gone.",
        "empty.md": "",
        "bad.txt": "",
    }
    handed = [Handed(name, name, b"\x00\x01\x02\xff" * 90 if name == "bad.txt" else text.encode()) for name, text in texts.items()]
    finish(quick, "poc", documents.accept(quick, OWNER, "docs", handed))
    told = report(quick)
    assert told["documents"] == {"ready": 5, "failed": 2, "without_profile": 0}
    assert (told["empty"], told["too_short"], told["untitled"]) == (1, 1, 0)
    assert {failure["reason"]: failure["documents"] for failure in told["failures"]} == {"no text": 1, "not text in any known encoding": 1}
    assert told["languages"] == {"en": 3, "ja": 1, "und": 1}
    assert names(told["exact_duplicates"]) == [["a.md", "b.md"]] and told["exact_duplicates"]["documents"] == 2
    assert names(told["near_duplicates"]) == [["a.md", "c.md"]] and told["near_duplicates"]["threshold"] == 0.8
    assert told["pii"]["EMAIL_ADDRESS"] == {"documents": 2, "found": 4}
    assert told["missing_metadata"] == [{"source": "api", "field": "year", "have": 1, "lack": 3}]  # of Markdown files alone
    assert told["change"] == {"since": 0, "added": 5, "changed": 0, "withdrawn": 0, "drift": []}


def test_the_language_is_a_field_to_filter_by_unless_the_document_has_said_it(cli, tmp_path) -> None:
    (tmp_path / "ja.md").write_text("図書館は午前九時に開きます。日曜日は休みです。", encoding="utf-8")
    (tmp_path / "said.md").write_text("---\nlanguage: fr\n---\nThe library opens at nine and closes at five.")
    for ready, unchanged in ((2, 0), (0, 2)):
        ran = cli("ingest", ".", "--collection", "docs", "--json", "--include", "*.md").json
        assert (ran["ready"], ran["unchanged"]) == (ready, unchanged), "no document is made anew because its language was told"
    for code, name in (("ja", "ja.md"), ("fr", "said.md")):
        found = cli("search", "library 図書館", "--collection", "docs", "--json", "--filter", f'{{"language": "{code}"}}').json["hits"]
        assert [hit["external_id"] for hit in found] == [name]


def test_a_report_tells_nobody_of_what_they_may_not_read(quick: Home) -> None:
    secret = f"{LONG}The harbour master's number is 447-60-5371."
    hand_in(quick, BOB, {"secret.md": secret, "secret-empty.md": ""}, ["user:bob"])
    run = hand_in(quick, ALICE, {"mine.md": secret, "other.md": f"{LONG}It ends otherwise here."})
    assert (run["exact_duplicates"], run["documents"]["ready"], run["empty"]) == (0, 2, 0)
    theirs, own = report(quick, ALICE), report(quick, BOB)
    assert theirs["documents"] == {"ready": 2, "failed": 0, "without_profile": 0} and theirs["empty"] == 0 and theirs["failures"] == []
    assert theirs["exact_duplicates"] == {"groups": 0, "documents": 0, "largest": []} and "secret" not in str(theirs)
    assert names(theirs["near_duplicates"]) == [["mine.md", "other.md"]]
    assert theirs["pii"] == {"US_SSN": {"documents": 1, "found": 1}} and own["pii"] == {"US_SSN": {"documents": 2, "found": 2}}
    assert names(own["exact_duplicates"]) == [["mine.md", "secret.md"]]
    quick.store.write(lambda c: sharing.share_source(c, OWNER, "docs", "api", ["user:bob"]))
    gone = report(quick, ALICE)
    assert (gone["documents"]["ready"], gone["pii"], gone["change"]) == (0, {}, None), "rights are those of today"
    assert "secret" not in str(hand_in(quick, BOB, {"more.md": secret})), "a job's result names no document in its report"


def test_the_change_is_told_against_the_collection_before_the_run(quick: Home) -> None:
    fill(quick, "docs", [version(f"{n}.md", f"{LONG}Letter {n} of the first box.") for n in range(40)])
    same = report(quick, since=1)
    assert same["change"]["added"] == 0 and [one["drifted"] for one in same["change"]["drift"]] == [False] * 3
    assert [one["value"] for one in same["change"]["drift"]] == [0.0] * 3
    fill(quick, "docs", [version(f"{n}.md", "図書館は午前九時に開きます。" * (n % 7 + 1)) for n in range(20, 60)], ["0.md"])
    change = report(quick)["change"]
    assert {name: change[name] for name in ("since", "added", "changed", "withdrawn")} == {"since": 1, "added": 20, "changed": 20, "withdrawn": 1}
    assert {one["of"]: one["drifted"] for one in change["drift"]} == {"lengths": True, "languages": True, "vocabulary": True}
    assert report(quick, since=0)["change"]["added"] == 59 and report(quick, since=2)["change"]["added"] == 0
    with pytest.raises(InvalidInput):
        report(quick, since=3)
    with pytest.raises(UnknownName):
        quick.store.read(lambda c: of_collection(c, OWNER, "none"))


def test_a_run_tells_of_what_it_brought_alone(quick: Home) -> None:
    hand_in(quick, OWNER, {f"{n}.md": f"{LONG}Letter {n}." for n in range(3)})
    run = hand_in(quick, OWNER, {"0.md": f"{LONG}Letter 0.", "new.md": f"{LONG}Letter 1."})
    assert run["documents"]["ready"] == 1 and run["exact_duplicates"] == 1, "of the whole collection"
    assert {name: run["change"][name] for name in ("added", "changed", "withdrawn")} == {"added": 1, "changed": 0, "withdrawn": 0}
    assert {one["of"] for one in run["change"]["drift"]} == {"lengths", "languages", "vocabulary"}
    again = hand_in(quick, OWNER, {"0.md": f"{LONG}Letter 0."})
    assert again["documents"]["ready"] == 0 and again["change"]["drift"] == []


def test_a_large_run_is_told_from_a_part_of_it(quick: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "MOST_OF_A_RUN", 10)
    run = hand_in(quick, OWNER, {f"{n}.md": f"{LONG}Letter {n}." for n in range(60)})
    assert run["documents"]["ready"] == 60 and 2 <= run["sampled"] <= 25 and run["languages"] == {"en": run["sampled"]}


def test_what_a_run_brought_is_there_even_where_its_quality_cannot_be_told(quick: Home) -> None:
    hand_in(quick, OWNER, {"old.md": LONG})
    quick.store.write(lambda c: c.execute(update(profiles).values(vocabulary=b"odd")))
    job = finish(quick, "poc", documents.accept(quick, OWNER, "docs", [Handed("new.md", "new.md", LONG.encode())]))
    assert job.state == "done" and (job.result or {})["ready"] == 1 and (job.result or {})["quality"] == {}


def test_nothing_or_nothing_but_failures_is_a_report_too(quick: Home) -> None:
    quick.store.write(lambda c: collections.ensure(c, "poc", "docs", quick.encoder.identity))
    empty = report(quick)
    assert empty["documents"] == {"ready": 0, "failed": 0, "without_profile": 0} and empty["change"] is None
    run = hand_in(quick, OWNER, {"a.md": "", "b.md": ""})
    assert run["failures"] == [{"reason": "no text", "documents": 2}] and report(quick)["empty"] == 2


def test_documents_of_before_the_profiles_are_counted_and_break_nothing(quick: Home) -> None:
    fill(quick, "docs", [replace(version("old.md", LONG), profile=None), version("new.md", LONG), version("emoji.md", "🎉👍🏽 🎉")])
    told = report(quick)
    assert told["documents"] == {"ready": 3, "failed": 0, "without_profile": 1} and told["exact_duplicates"]["groups"] == 0
    fill(quick, "docs", [version("old.md", LONG)])
    told = report(quick)
    assert told["documents"]["without_profile"] == 0 and names(told["exact_duplicates"]) == [["new.md", "old.md"]]


def test_profiles_go_with_a_promotion_and_with_their_versions(quick: Home) -> None:
    fill(quick, "docs", [version("a.md", LONG), version("b.md", LONG)])
    finish(quick, "poc", promotion.order(quick, OWNER, "docs", "prod"))
    here, there = (quick.store.read(lambda c, w=w: of_collection(c, Asker(w, owner=True), "docs")) for w in ("poc", "prod"))
    for told in (here, there):
        for group in told["exact_duplicates"]["largest"]:
            for document in group:
                del document["document_id"]
    assert there == here

    def destroy(connection: Any) -> int:
        for table in (chunks, versions):
            connection.execute(delete(table))
        return int(connection.execute(select(func.count()).select_from(profiles)).scalar_one())

    assert quick.store.write(destroy) == 0


def test_many_tiny_documents_are_told_of_soon(quick: Home) -> None:
    texts = [f"record {n % 1_500}" for n in range(2_000)]
    fill(quick, "docs", [version(f"{n}", text) for n, text in enumerate(texts)])
    told = report(quick)
    assert told["exact_duplicates"]["documents"] == sum(texts.count(text) > 1 for text in texts)
    assert len(told["exact_duplicates"]["largest"]) == 20 and told["too_short"] == 2_000


def test_the_measures_of_drift_know_chance_from_change() -> None:
    draw = np.random.default_rng(0)
    one, other = (draw.lognormal(7, 1, 300).astype(int).tolist() for _ in range(2))
    assert not drift.lengths(one, other)["drifted"] and drift.lengths(one, [size * 3 for size in other])["drifted"]
    assert drift.lengths([100] * 300, [10] * 300)["drifted"] and drift.lengths([100] * 300, [100] * 300)["value"] == 0
    assert drift.lengths([5], [5])["value"] == 0 and not drift.lengths([1, 2, 3], [100, 200])["drifted"], "too few to tell"
    assert not drift.languages({"en": 90, "ja": 10}, {"en": 88, "ja": 12})["drifted"]
    apart = drift.languages({"en": 50}, {"ja": 50})
    assert apart["drifted"] and apart["value"] == 1.0
    assert drift.languages({}, {"ja": 1})["value"] == 1.0 and drift.languages({}, {})["value"] == 0.0
    counts = [draw.multinomial(5_000, draw.dirichlet(np.ones(1024))) for _ in range(2)]
    shares = counts[0] / counts[0].sum()
    assert not drift.vocabulary(counts[0], draw.multinomial(5_000, shares))["drifted"] and drift.vocabulary(*counts)["drifted"]


def test_the_report_on_the_command_line(cli, tmp_path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text(f"# Archive\n\n{LONG}Call (415) 555-0134.")
    ran = cli("ingest", ".", "--collection", "docs", "--include", "*.md")
    assert "languages: en 2" in ran.stdout and "look at: 2 exact duplicates" in ran.stdout and "2 PHONE_NUMBER in 2" in ran.stdout
    shown = cli("collections", "show", "docs", "--quality")
    assert shown.rc == 0 and "exact duplicates: 2 documents in 1 groups" in shown.stdout and "/a.md" in shown.stdout, shown.stderr
    told = cli("collections", "show", "docs", "--quality", "--since", "0", "--json").json
    assert told["exact_duplicates"]["groups"] == 1 and told["change"]["added"] == 2
    assert cli("collections", "show", "docs", "--quality", "--as", "user:nobody", "--json").json["documents"]["ready"] == 0
    for wrong in (["--since", "0"], ["--quality", "--since", "99"]):
        assert cli("collections", "show", "docs", *wrong).rc == 2


def test_gaps_are_told_between_documents_of_one_kind_of_file(quick: Home) -> None:
    def hand(names: list[str], metadata: dict[str, str]) -> list[Handed]:
        return [Handed(name, "text.md", f"What {name} says is said here.".encode(), metadata=metadata) for name in names]

    handed = (
        hand(["INV.2024.001", "INV.2024.002"], {"year": "2024"}) + hand(["INV.2024.003", "notes.pdf"], {}) + hand(["mail.eml#a.pdf"], {"author": "A"})
    )
    finish(quick, "poc", documents.accept(quick, OWNER, "docs", handed))
    assert report(quick)["missing_metadata"] == [
        {"source": "api", "field": "author", "have": 1, "lack": 1},
        {"source": "api", "field": "year", "have": 2, "lack": 1},
    ]
