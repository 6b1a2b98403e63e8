"""JSON: rows where it is an array of objects, else one document; each oddity has one outcome."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmops.errors import InvalidInput
from vectorstore.load import Failed, Fields, Parsed, parse


def load(source: Any, fields: Fields = Fields()) -> list[Parsed | Failed]:  # noqa: B008
    return list(parse((source if isinstance(source, str) else json.dumps(source, ensure_ascii=False)).encode(), "folder/facts.json", fields))


def one(source: Any) -> Parsed:
    (document,) = load(source)
    assert isinstance(document, Parsed)
    return document


def test_an_array_of_objects_is_rows() -> None:
    source = '[{"id": "a", "text": "One."}, 5, {"id": "b", "text": NaN}, {"id": "c", "id": "d"}, {"n": %s}, {"id": "e", "text": "Five."}]' % (
        "9" * 5000
    )
    assert [
        (found.id, found.row, found.error if isinstance(found, Failed) else found.text) for found in load(source, Fields(id="id", text="text"))
    ] == [
        ("a", 1, "One."),
        (None, 2, "element 2 is not a JSON object"),
        (None, 3, "element 3 is not JSON that can be kept: NaN is no JSON number"),
        (None, 4, "element 4 is not JSON that can be kept: the name 'id' stands twice in one object"),
        (None, 5, "element 5 is not JSON that can be kept: a number of 5,000 digits"),
        ("e", 6, "Five."),
    ]


def test_another_value_is_one_document_with_its_names() -> None:
    source = {
        "title": "Facts",
        "count": 2,
        "tags": ["a", "b"],
        "office": {"city": "Kyoto", "open": {"from": 9, "to": None}, "rooms": [{"no": 1}, {"no": 2}]},
        "note": "First.\n\nSecond.",
    }
    document = one(source)
    assert document.text == (
        "title: Facts\ncount: 2\ntags: a, b\n\noffice\ncity: Kyoto\nopen.from: 9\nrooms[1].no: 1\nrooms[2].no: 2\n\nnote:\n\nFirst.\n\nSecond."
    )
    assert [block.headings for block in document.blocks][3:6] == [("office",)] * 3
    assert document.blocks[-1].headings == ()
    assert (document.title, document.metadata) == ("Facts", {"title": "Facts", "count": 2, "note": "First.\n\nSecond."})


@pytest.mark.parametrize(
    ("source", "text"),
    [('"Just a text."', "Just a text."), ("42", "42"), ("true", "true"), ('["a", "b"]', "a, b"), ("[[1, 2], [3]]", "1: 1, 2\n2: 3")],
)
def test_values_that_are_no_objects(source: str, text: str) -> None:
    assert one(source).text == text


@pytest.mark.parametrize("source", ["null", '""', "[]", "{}", "", " \n", '{"a": null}'])
def test_nothing_in_it(source: str) -> None:
    with pytest.raises(InvalidInput, match=r"^no text$"):
        load(source)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('{"a": 1', r"not JSON: Expecting ',' delimiter at line 1, column 8"),
        ('{"a": 1}\n5 5', r"^line 2 is not JSON"),
        ('[{"a": 1}, {"b": ]', r"not JSON: Expecting value at line 1, column 18"),
        ('[{"a": 1}] x', r"not JSON: there is more behind the array at line 1, column 11"),
        ("{\n} {", r"not JSON: there is more behind the value at line 2, column 2"),
        ('{"a": Infinity}', r"not JSON that can be kept: Infinity is no JSON number"),
        ('{"a": 1, "a": 2}', r"the name 'a' stands twice in one object"),
        ('{"a": %s}' % ("1" * 4301), r"a number of 4,301 digits"),
        ("[" * 10_000 + "]" * 10_000, r"nested too deeply to be read"),
        ('[{"a":' * 10_000 + "1" + "}]" * 10_000, r"nested too deeply to be read"),
        ("[" * 100_000, r"nested too deeply to be read"),
    ],
)
def test_what_is_no_json_says_where(source: str, reason: str) -> None:
    if "line 2 is not JSON" in reason:
        found = load(source)
        assert isinstance(found[1], Failed)
        assert found[1].error.startswith("line 2 is not JSON")
        return
    with pytest.raises(InvalidInput, match=reason):
        load(source)


def test_json_lines_of_this_name_are_read_as_such() -> None:
    found = load('{"id": "a", "text": "One."}\n{"id": "b", "text": "Two."}\n', Fields(id="id", text="text"))
    assert [(one.id, one.text) for one in found if isinstance(one, Parsed)] == [("a", "One."), ("b", "Two.")]


def test_one_object_is_a_row_where_fields_are_named() -> None:
    (document,) = load({"id": 7, "text": "One."}, Fields(id="id", text="text"))
    assert isinstance(document, Parsed)
    assert (document.id, document.text) == ("7", "One.")
