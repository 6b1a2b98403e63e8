"""Filters: what they let through, what they refuse, and that a document is seen by them from its first moment."""

from __future__ import annotations

import pytest

from llmops.access.principals import parse_principal
from llmops.errors import InvalidInput
from llmops.types import Asker
from tests.vectorstore.filled import fill, new_version
from vectorstore.filters import compile_filter
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


@pytest.mark.parametrize(
    ("spec", "matches"),
    [({}, True), ({"$and": []}, True), ({"$or": []}, False), ({"year": 1}, True), ({"year": {"$lt": 1}}, False), ({"x": None}, False)],
)
def test_empty_filters(spec, matches):
    assert compile_filter(spec)({"year": 1}) is matches


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
