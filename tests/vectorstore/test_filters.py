"""Filters: what they let through, what they refuse, and that a document is seen by them from its first moment."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.access.principals import parse_principal
from llmops.errors import InvalidInput
from llmops.types import Asker
from tests.vectorstore.filled import fill, new_version
from vectorstore.filters import compile_filter
from vectorstore.index.columns import Columns
from vectorstore.index.view import View
from vectorstore.rows import collections
from vectorstore.rows.acls import parse_acl
from vectorstore.search import FORMER_TURN, Searcher

OWNER = Asker("poc", owner=True, role="admin")


def names(searcher, **options):
    return {hit.passage.external_id for hit in searcher.search("record", collection="docs", asker=OWNER, **options).hits}


@pytest.mark.parametrize("broken", [[1], "a", 5, [], 0, "", False, {1: 2}, {"year": {}}, {"$or": [[]]}])
def test_only_objects_are_filters(store_home, broken):
    fill(store_home, "docs", [new_version("a", "record one")])
    with pytest.raises(InvalidInput) as refused:
        names(Searcher(store_home), filter=broken)
    assert refused.value.param == "filter"


@pytest.mark.parametrize("broken", ["[1]", '"a"', "5", "[]", "null", "0", '""', "{", "[" * 5000])
def test_the_option_takes_only_objects(broken):
    from vectorstore.commands import parse_filter

    with pytest.raises(InvalidInput, match="--filter"):
        parse_filter(broken)


def test_the_command_refuses_a_filter_that_is_none(cli):
    assert cli("collections", "create", "docs").rc == 0
    ran = cli("search", "x", "--collection", "docs", "--filter", "null")
    assert ran.rc == 2 and "--filter" in ran.stderr


def let_through(spec: Any, *metadata: dict[str, Any]) -> list[bool]:
    """Which of these documents a filter lets through, whether their metadata come at once or one after the other."""
    matches = compile_filter(spec)
    columns = Columns()
    for number, one in enumerate(metadata):
        columns = columns.with_versions({(number, 1): one})
    told = matches(columns).tolist()
    assert told == matches(Columns().with_versions({(number, 1): one for number, one in enumerate(metadata)})).tolist()
    return told


@pytest.mark.parametrize(
    ("spec", "matches"),
    [({}, True), ({"$and": []}, True), ({"$or": []}, False), ({"year": 1}, True), ({"year": {"$lt": 1}}, False), ({"x": None}, False)],
)
def test_empty_filters(spec, matches):
    assert let_through(spec, {"year": 1}) == [matches]


def expected(spec: Any, metadata: dict[str, Any]) -> bool:
    """What the documented meaning says of one document, condition by condition."""
    if "$and" in spec or "$or" in spec:
        return all(expected(part, metadata) for part in spec["$and"]) if "$and" in spec else any(expected(part, metadata) for part in spec["$or"])
    ((name, conditions),) = spec.items()
    return name in metadata and all(holds(metadata[name], key, option) for key, option in conditions.items())


def holds(value: Any, key: str, option: Any) -> bool:
    def same(option: Any) -> bool:
        return isinstance(value, bool) == isinstance(option, bool) and bool(value == option)

    if key in ("$eq", "$ne"):
        return same(option) == (key == "$eq")
    if key in ("$in", "$nin"):
        return any(map(same, option)) == (key == "$in")
    if value is None or option is None or isinstance(value, str) != isinstance(option, str):
        return False
    return {"$gt": value > option, "$gte": value >= option, "$lt": value < option, "$lte": value <= option}[key]


VALUES = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, -0.0, 2.0**60, 2**60 + 1, 10**30]), st.sampled_from("ab"))
CONDITIONS = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), VALUES),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(VALUES, max_size=3)),
)
FIELDS = st.dictionaries(st.sampled_from("xy"), st.lists(CONDITIONS, min_size=1, max_size=2).map(dict), min_size=1, max_size=1)
SPECS = st.recursive(FIELDS, lambda inner: st.dictionaries(st.sampled_from(["$and", "$or"]), st.lists(inner, max_size=3), min_size=1, max_size=1))


@given(spec=SPECS, metadata=st.lists(st.dictionaries(st.sampled_from("xyz"), VALUES), max_size=6))
def test_a_filter_lets_through_what_each_of_its_conditions_says(spec: Any, metadata: list[dict[str, Any]]) -> None:
    assert let_through(spec, *metadata) == [expected(spec, one) for one in metadata]


@pytest.mark.parametrize(
    "spec", [{"x": [1]}, {"x": {"$gt": [1]}}, {"x": {"$lt": float("nan")}}, {"x": {"$gte": float("nan")}}, {"x": {"$in": [[1], {}]}}]
)
def test_options_that_no_value_can_be_let_nothing_through(spec: Any) -> None:
    assert let_through(spec, {"x": 1}, {"x": "a"}, {"x": [1]}, {}) == [False] * 4


def test_a_document_s_own_fields_go_before_those_that_all_have(store_home):
    own = {"title": "Mine", "source": "archive", "external_id": "X"}
    fill(store_home, "docs", [new_version("a", "record one", own), new_version("b", "record two")])
    searcher = Searcher(store_home)
    for field, value in own.items():
        assert names(searcher, filter={field: value}) == {"a"}
    assert names(searcher, filter={"title": "Page b", "source": "api", "external_id": "b"}) == {"b"}


def test_a_reader_that_lags_behind_hides_nothing_from_filters(store_home):
    """A slow reader's connection sees less than the moment that a faster one brought: its reading must not pass for the newer one."""
    home = store_home
    first = fill(home, "docs", [new_version("a", "record one", {"year": 2024})])
    view = View(home, first)
    matches = compile_filter({"year": 2024})

    def search(connection):
        now = collections.find(connection, "poc", "docs")
        return now, view.refresh(connection, now), connection

    def slow(connection):
        now = collections.find(connection, "poc", "docs")
        fill(home, "docs", [new_version("b", "record two", {"year": 2024})])
        newer = home.store.read(lambda c: search(c)[1])
        moment = view.refresh(connection, now)
        assert moment is newer and moment.seq > now.seq
        return view.matching(connection, now, moment, matches).tolist()

    def fast(connection):
        now, moment, _ = search(connection)
        return view.matching(connection, now, moment, matches).tolist()

    assert home.store.read(slow) == [True, False]
    assert home.store.read(fast) == [True, True]


def test_a_query_may_be_as_long_as_a_question_and_the_turn_before_it(home):
    fill(home, "docs", [new_version("a", "record one")])
    searcher = Searcher(home)
    most = home.settings.server.max_question_chars + FORMER_TURN
    assert searcher.search("word " * (most // 5), collection="docs", asker=OWNER).hits
    with pytest.raises(InvalidInput, match="characters"):
        searcher.search("x" * (most + 1), collection="docs", asker=OWNER)


def test_an_access_list_is_read_as_principals_are_everywhere():
    assert parse_acl(["group: hr", " user:alice ", "user:alice"], "poc") == [parse_principal("group:hr"), "user:alice"]
    for wrong in ("alice", "role:admin", "user:", "user:a*", "user:a:b", "group:a\nb"):
        with pytest.raises(InvalidInput) as refused:
            parse_acl([wrong], "poc")
        assert refused.value.param == "acl"
