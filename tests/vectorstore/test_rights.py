"""T10 and T11: whatever is filtered and as of whenever, a search is one over the readable documents alone, and what is gone is gone."""

from __future__ import annotations

import operator
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops.home import Home
from llmops.settings import Settings
from llmops.testing import HashEncoder
from llmops.types import Asker
from tests.vectorstore.filled import fill, new_version, random_vectors
from vectorstore.index import scan
from vectorstore.index.segments import write_segments
from vectorstore.index.view import Moment, View
from vectorstore.rows import collections, documents
from vectorstore.rows.documents import NewVersion
from vectorstore.search import Found, Searcher

PRINCIPALS = ["user:alice", "user:bob", "group:hr", "workspace:poc"]
OWNER = Asker("poc", owner=True, role="admin")
ALICE, BOB = (Asker("poc", frozenset({f"user:{name}"}), name=name) for name in ("alice", "bob"))
NAMES = [f"d{n}" for n in range(8)]
_numbers = count(1)


# --- What a search should find, kept beside the store -----------------------------------------------------------------


@dataclass
class Model:
    """A collection as it should be: each document's versions with where they begin and end, and who may read it today."""

    home: Home
    name: str
    seq: int = 0
    versions: list[tuple[int, float, NewVersion]] = field(default_factory=list)
    acls: dict[str, list[str]] = field(default_factory=dict)

    def publish(self, new: list[NewVersion], gone: list[str]) -> None:
        fill(self.home, self.name, new, gone)
        self.seq += 1
        ended = {version.external_id for version in new} | set(gone)
        self.versions = [(first, self.seq if end > self.seq and v.external_id in ended else end, v) for first, end, v in self.versions]
        self.versions += [(self.seq, float("inf"), version) for version in new]
        for version in new:
            if version.acl is not None or version.external_id not in self.acls:
                self.acls[version.external_id] = ["workspace:poc"] if version.acl is None else version.acl

    def set_rights(self, external_id: str, acl: list[str]) -> None:
        set_rights(self.home, self.name, external_id, acl)
        self.acls[external_id] = acl

    def live(self) -> list[str]:
        return [version.external_id for version in self.readable(OWNER)]

    def readable(self, asker: Asker, at: int | None = None, filter: Mapping[str, Any] | None = None) -> list[NewVersion]:
        """In the order of their rows."""
        when = self.seq if at is None else at
        live = [version for first, end, version in self.versions if first <= when < end]
        mine = [version for version in live if asker.owner or asker.principals & set(self.acls[version.external_id])]
        return [one for one in mine if holds(filter or {}, {"title": one.title, "source": "api", "external_id": one.external_id, **one.metadata})]


def set_rights(home: Home, name: str, external_id: str, acl: list[str]) -> None:
    def run(connection: Any) -> None:
        collection = collections.find(connection, "poc", name)
        row = documents.states_of(connection, collection.row, "api", [external_id])[external_id].row
        documents.set_rights(connection, collection, [row], acl)

    home.store.write(run)


def collection_of(home: Home) -> collections.Collection:
    return home.store.read(lambda c: collections.find(c, "poc", "docs"))


COMPARE = {"$eq": operator.eq, "$ne": operator.ne, "$gte": operator.ge, "$lt": operator.lt}


def holds(spec: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """What docs/search.md says of filters, told a second time."""
    for name, value in spec.items():
        if name in ("$and", "$or"):
            parts = [holds(part, metadata) for part in value]
            right = all(parts) if name == "$and" else any(parts)
        elif name not in metadata:
            right = False
        else:
            (sign, option), mine = next(iter((value if isinstance(value, dict) else {"$eq": value}).items())), metadata[name]
            right = (mine in option) == (sign == "$in") if sign in ("$in", "$nin") else COMPARE[sign](mine, option)
        if not right:
            return False
    return True


def check(model: Model, searchers: list[Searcher], query: str, asker: Asker, k: int, **where: Any) -> None:
    """All find the same: what a search over a collection that holds only the readable documents finds, with the same scores."""
    readable = model.readable(asker, **where)
    expected: dict[tuple[str, int], tuple[float, ...]] = {}
    if readable:
        alone = f"alone-{next(_numbers)}"
        fill(model.home, alone, readable)
        expected = scores(Searcher(model.home).search(query, collection=alone, asker=OWNER, k=k))
    total = sum(len(version.chunks) for version in readable)
    for searcher in searchers:
        found = searcher.search(query, collection=model.name, asker=asker, k=k, **where)
        got = scores(found)
        allowed = {version.external_id: version.text for version in readable}
        assert all(allowed.get(hit.passage.external_id, "")[hit.passage.start : hit.passage.end] == hit.passage.text != "" for hit in found.hits)
        assert len(got) == len(found.hits) == min(k, total), "none is missing and none comes twice"
        assert got.keys() == expected.keys()
        for key, values in got.items():
            assert values == pytest.approx(expected[key], abs=1e-5), key


def scores(found: Found) -> dict[tuple[str, int], tuple[float, ...]]:
    """Of each hit: its score, and those of its legs."""
    return {(h.passage.external_id, h.passage.start): (h.score, h.legs.get("dense", -1), h.legs.get("lexical", -1)) for h in found.hits}


# --- T10 --------------------------------------------------------------------------------------------------------------

WORDS = st.lists(st.sampled_from(["river", "harbour", "garden", "winter", "bridge"]), min_size=1, max_size=6).map(" ".join)
ACLS = st.none() | st.lists(st.sampled_from(PRINCIPALS), unique=True, max_size=3)
METADATA = st.fixed_dictionaries({}, optional={"year": st.integers(0, 3), "tag": st.sampled_from(["a", "b", ""])})
VERSIONS = st.builds(
    lambda name, parts, metadata, acl: new_version(name, "\n\n".join(f"record {part} of {name}" for part in parts), metadata, acl),
    *(st.sampled_from(NAMES), st.lists(WORDS, min_size=1, max_size=2, unique=True), METADATA, ACLS),
)
BATCHES = st.lists(
    st.tuples(
        st.lists(VERSIONS, max_size=5, unique_by=lambda version: version.external_id), st.lists(st.sampled_from(NAMES), max_size=2, unique=True)
    ),
    min_size=1,
    max_size=12,
)
MANY = [f"none-{n}" for n in range(992)]
IDS = st.lists(st.sampled_from(NAMES), max_size=8, unique=True)
FIELDS = st.one_of(
    st.just({}),
    st.integers(0, 3).map(lambda year: {"year": year}),
    st.tuples(st.sampled_from(["$gte", "$lt", "$ne"]), st.integers(0, 3)).map(lambda one: {"year": {one[0]: one[1]}}),
    st.sampled_from(["a", "b", ""]).map(lambda tag: {"tag": {"$ne": tag}}),
    st.tuples(st.sampled_from(["$in", "$nin"]), IDS).map(lambda one: {"external_id": {one[0]: one[1]}}),
    st.tuples(st.sampled_from(["$in", "$nin"]), IDS).map(lambda one: {"external_id": {one[0]: [*MANY, *one[1]]}}),  # a thousand ids
    st.sampled_from(["$in", "$nin"]).map(lambda sign: {"tag": {sign: []}}),
    st.just({"source": "api"}),
)
FILTERS = st.recursive(
    FIELDS,
    lambda parts: (
        st.tuples(st.sampled_from(["$or", "$and"]), st.lists(parts, max_size=3)).map(lambda one: {one[0]: one[1]})
        | st.tuples(st.integers(0, 3), st.lists(parts, max_size=2)).map(lambda one: {"year": one[0], "$or": one[1]})
    ),
    max_leaves=6,
)
ASKERS = st.sets(st.sampled_from(PRINCIPALS), max_size=3).map(lambda names: Asker("poc", frozenset(names), name="somebody")) | st.just(OWNER)
QUESTIONS = st.lists(
    st.fixed_dictionaries(
        {
            "query": st.sampled_from(["record", "river garden", "the bridge of d3 in winter"]),
            "asker": ASKERS,
            "k": st.sampled_from([1, 3, 1000]),
            "at": st.none() | st.integers(0, 12),
            "filter": st.none() | FILTERS,
        }
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(batches=BATCHES, rights=st.lists(st.tuples(st.sampled_from(NAMES), ACLS), max_size=3), questions=QUESTIONS)
def test_t10_a_search_is_one_over_what_may_be_read_and_nothing_else(
    quick: Home, batches: list[Any], rights: list[Any], questions: list[dict[str, Any]]
) -> None:
    model = Model(quick, f"docs-{next(_numbers)}")
    warm = Searcher(quick)
    for new, gone in batches:
        model.publish(new, [name for name in gone if name in model.live() and name not in [version.external_id for version in new]])
        warm.search("record", collection=model.name, asker=OWNER)
    for name, acl in rights:
        if name in model.acls and acl is not None:
            model.set_rights(name, acl)
    for question in questions:
        at = None if question["at"] is None else min(question["at"], model.seq)
        check(model, [warm, Searcher(quick)], **{**question, "at": at})


def test_t10_a_scan_in_int8_over_a_segment_and_a_tail_finds_what_may_be_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """More chunks than are compared one by one, and the nearest of all are among those that may not be read."""
    home._encoder = HashEncoder()
    model, query = Model(home, "docs"), "the records of a garden"
    new = [new_version(f"d{n}", "\n\n".join(f"record {part} of {n} in the garden" for part in range(15)), {"year": n % 4}) for n in range(120)]
    hidden = nearest_documents(home, new, query, 15)
    new = [new_version(v.external_id, v.text, v.metadata, ["user:bob"] if v.external_id in hidden else ["user:alice"]) for v in new]
    model.publish(new, [])
    write_segments(home, collection_of(home))
    warm = Searcher(home)
    warm.search(query, collection="docs", asker=ALICE)
    scans: list[int] = []
    real = scan._scan
    monkeypatch.setattr(scan, "_scan", lambda *arguments: scans.append(1) or real(*arguments))

    check(model, [warm, Searcher(home)], query, ALICE, 10)
    assert len(scans) == 3, "each of them scans, and so does the search over the readable ones alone"
    check(model, [warm, Searcher(home)], query, ALICE, 10, filter={"year": {"$lt": 3}})
    assert len(scans) > 3

    # A tail, and rights and ends that came after the segment.
    more = [new_version(f"e{n}", f"late record {n} of the garden", {"year": 0}, ["user:alice"] if n % 2 else ["user:bob"]) for n in range(40)]
    model.publish([*more, new_version("d1", "record 1 is told anew", acl=["user:bob"])], ["d2", "d3"])
    model.set_rights("d4", ["user:bob"])
    model.set_rights(sorted(hidden)[0], ["user:alice", "user:bob"])
    for question in ({"asker": ALICE}, {"asker": ALICE, "at": 1}, {"asker": BOB}, {"asker": OWNER}, {"asker": OWNER, "at": 1}):
        check(model, [warm, Searcher(home)], query, k=10, **question)


def nearest_documents(home: Home, new: list[NewVersion], query: str, many: int) -> set[str]:
    """Those that hold the chunks nearest to the query."""
    vectors, [asked] = random_vectors(home, new), home.encoder.embed([query], "query")
    places = [(float(vectors[chunk.text_hash] @ asked), version.external_id) for version in new for chunk in version.chunks]
    return {name for _, name in sorted(places, reverse=True)[:many]}


def test_t10_rows_are_asked_again_so_that_a_slip_of_the_index_is_no_leak(quick: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(quick, "docs")
    model.publish([new_version(f"d{n}", f"record {n}", acl=["user:alice" if n % 3 else "user:bob"]) for n in range(30)], [])
    model.publish([], ["d1"])
    monkeypatch.setattr(View, "allowed", lambda view, connection, now, moment, asker: np.ones(len(moment.slots), dtype=np.bool_))
    monkeypatch.setattr(Moment, "masks", lambda moment, at, slots: [slots[part.slots] for part in moment.parts])
    for asker in (ALICE, BOB, OWNER):
        assert names(Searcher(quick), asker) == sorted(version.external_id for version in model.readable(asker))


# --- T11 --------------------------------------------------------------------------------------------------------------


def test_t11_what_one_home_takes_away_is_gone_at_the_next_search_of_another(quick: Home, store_settings: Settings) -> None:
    """Rights, withdrawals and new versions, of chunks in a written segment and of newer ones, under a searcher that is warm."""
    model, draw = Model(quick, "docs"), random.Random(11)
    model.publish([new_version(f"d{n}", f"record {n} of the archive", acl=["user:alice"]) for n in range(300)], [])
    write_segments(quick, collection_of(quick))
    with Home(store_settings) as other:
        other._encoder = HashEncoder()
        there = Searcher(other)
        assert set(names(there, ALICE)) == set(model.live()) and names(there, BOB) == []
        for step in range(40):
            kind, name = draw.choice(["hide", "give", "nobody", "withdraw", "replace", "add", "gone-and-new"]), draw.choice(model.live())
            if kind in ("hide", "give", "nobody"):
                model.set_rights(name, {"hide": ["user:bob"], "give": ["user:alice", "user:bob"], "nobody": []}[kind])
            elif kind == "withdraw":
                model.publish([], [name])
            elif kind == "replace":
                model.publish([new_version(name, f"record of {name} as of step {step}", acl=["user:bob"])], [])
            elif kind == "add":
                model.publish([new_version(f"new-{step}", f"record of step {step}", acl=["user:alice"])], [])
            else:
                model.publish([new_version(f"new-{step}", f"record of step {step}", acl=["user:alice"])], [name])
            if step == 20:
                write_segments(quick, collection_of(quick))
            for asker in (ALICE, BOB, OWNER):
                assert names(there, asker) == sorted(version.external_id for version in model.readable(asker)), (step, kind, name)
        assert names(there, ALICE, at=1) == sorted(v.external_id for v in model.readable(ALICE, at=1)), "rights are those of today"


def names(searcher: Searcher, asker: Asker, **where: Any) -> list[str]:
    return sorted(hit.passage.external_id for hit in searcher.search("record", collection="docs", asker=asker, k=1000, **where).hits)
