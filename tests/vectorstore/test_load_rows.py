"""JSONL and CSV: each row a document, with its fields mapped to id, text, title and metadata."""

from __future__ import annotations

import json

import pytest

from llmops.errors import InvalidInput
from vectorstore.load import Failed, Fields, Parsed, parse


def jsonl(*rows: object, fields: Fields = Fields()) -> list[Parsed | Failed]:  # noqa: B008
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    return list(parse("\n".join(lines).encode(), "folder/faq.jsonl", fields))


def csv(source: str, fields: Fields = Fields(), name: str = "faq.csv") -> list[Parsed | Failed]:  # noqa: B008
    return list(parse(source.encode(), name, fields))


def name_of(document: Parsed | Failed) -> str:
    return f"#{document.row}" if document.id is None else document.id


def test_fields_are_mapped() -> None:
    row = {"id": 7, "q": "Start?", "a": "Run it.\n\nThen wait.", "year": 2024, "tags": ["x"], "ok": True, "none": None}
    (document,) = jsonl(row, fields=Fields(id="id", text="a", title="q"))
    assert isinstance(document, Parsed)
    assert (name_of(document), document.title, document.text) == ("7", "Start?", "Run it.\n\nThen wait.")
    assert document.metadata == {"year": 2024, "ok": True}
    assert [document.text[block.start : block.end] for block in document.blocks] == ["Run it.", "Then wait."]


def test_without_a_text_field_all_fields_are_the_text() -> None:
    (document,) = jsonl({"name": "Ann", "age": 3, "tags": ["x", "ö"], "gone": None, "empty": ""})
    assert isinstance(document, Parsed)
    assert document.text == 'name: Ann\nage: 3\ntags: ["x", "ö"]'
    assert document.metadata == {"name": "Ann", "age": 3, "empty": ""}
    assert (name_of(document), document.title) == ("#1", "faq")


def test_a_field_called_title_is_the_title() -> None:
    (document,) = jsonl({"title": "T", "text": "x"}, fields=Fields(text="text"))
    assert isinstance(document, Parsed)
    assert (document.title, document.metadata) == ("T", {"title": "T"})


def test_bad_rows_fail_by_number_and_the_others_go_on() -> None:
    found = jsonl(
        {"id": "a", "text": "good"},
        '{"id": "b", "text": ',
        "[1]",
        "",
        {"text": "no id"},
        {"id": "c"},
        {"id": "d", "text": "  "},
        {"id": "a", "text": "again"},
        {"id": True, "text": "x"},
        {"id": "e", "text": {"a": 1}},
        '{"id": "f", "text": "x", "n": NaN}',
        '{"id": "g", "n": ' + "9" * 5000 + "}",
        '{"id": ' + "[" * 100000,
        {"id": "x" * 901, "text": "x"},
        {"id": "h", "text": "last"},
        fields=Fields(id="id", text="text"),
    )
    assert [(name_of(one), one.error if isinstance(one, Failed) else one.text) for one in found] == [
        ("a", "good"),
        ("#2", "line 2 is not JSON: Expecting value at column 21"),
        ("#3", "line 3 is not a JSON object"),
        ("#5", "no id in the field 'id'"),
        ("c", "no text in the field 'text'"),
        ("d", "no text"),
        ("#8", "row 8: the id 'a' is that of row 1 too"),
        ("#9", "no id in the field 'id'"),
        ("e", "no text in the field 'text'"),
        ("#11", "line 11 is not JSON that can be kept: NaN is no JSON number"),
        ("#12", "line 12 is not JSON that can be kept: Exceeds the limit (4300 digits) for integer string conversion: value has 5000 digits"),
        ("#13", "line 13 is not JSON that can be kept: maximum recursion depth exceeded while decoding a JSON array from a unicode string"),
        ("#14", "the id in the field 'id' is longer than 900 characters or 1800 bytes"),
        ("h", "last"),
    ]


def test_what_no_store_can_hold_is_cleaned() -> None:
    (document,) = jsonl(
        '{"id": "a\\u0000b", "text": "x\\u0000y\\ud800 z\\u2028w", "k\\u0000": "v\\ud800", "big": 1e999}', fields=Fields(id="id", text="text")
    )
    assert isinstance(document, Parsed)
    assert (name_of(document), document.text, document.metadata) == ("ab", "xy\ufffd z\nw", {"k": "v\ufffd"})


def test_a_line_separator_inside_a_string_ends_no_line() -> None:
    (document,) = jsonl('{"text": "a\u2028b"}', fields=Fields(text="text"))
    assert isinstance(document, Parsed)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_in_every_dialect(delimiter: str) -> None:
    source = 'id,name,note\n1,Ann,"a; b, c|d"\n2,Bob,"two\nlines ""quoted"""\n'
    if delimiter != ",":
        source = 'id,name,note\n1,Ann,"a; b, c|d"\n2,Bob,"two\nlines ""quoted"""\n'.replace("1,Ann,", f"1{delimiter}Ann{delimiter}")
        source = source.replace("2,Bob,", f"2{delimiter}Bob{delimiter}").replace("id,name,note", delimiter.join(("id", "name", "note")))
    found = csv("\ufeff" + source.replace("\n", "\r\n"), Fields(id="id", text="note"))
    assert [(name_of(one), one.text, one.metadata) for one in found if isinstance(one, Parsed)] == [
        ("1", "a; b, c|d", {"name": "Ann"}),
        ("2", 'two\nlines "quoted"', {"name": "Bob"}),
    ]


def test_a_row_of_csv_without_a_text_field() -> None:
    found = csv("Name,Age\nAnn,27\nBob,\n")
    assert [(name_of(one), one.text, one.metadata) for one in found if isinstance(one, Parsed)] == [
        ("#1", "Name: Ann\nAge: 27", {"Name": "Ann", "Age": 27}),
        ("#2", "Name: Bob", {"Name": "Bob"}),
    ]


def test_numbers_are_numbers_by_column() -> None:
    (document, _) = csv("year,zip,price,mixed\n2024,00123,1.50,1\n2025,12345,2,x\n")
    assert isinstance(document, Parsed)
    assert document.metadata == {"year": 2024, "zip": "00123", "price": 1.5, "mixed": "1"}
    assert "price: 1.50" in document.text


def test_ragged_rows() -> None:
    found = csv("a,b\n1,2,3\n1,2,,\n1\n\n,\n")
    assert [one.error if isinstance(one, Failed) else one.text for one in found] == ["row 1 has 3 values for 2 columns", "a: 1\nb: 2", "a: 1"]


def test_a_quote_never_closed_is_named() -> None:
    found = csv('a,b\n1,2\n3,"4\n5,6\n7,8')
    assert isinstance(found[1], Failed)
    assert found[1].error == "row 2: the quote that line 3 opens is never closed"


def test_a_long_field_and_odd_columns() -> None:
    (document,) = csv("a,a,\n" + "x" * 300_000 + ",2,3")
    assert isinstance(document, Parsed)
    assert list(document.metadata) == ["a", "a 2", "column 3"]


@pytest.mark.parametrize("fields", [Fields(id="no"), Fields(text="no"), Fields(title="no")])
def test_a_column_that_is_not_there(fields: Fields) -> None:
    with pytest.raises(InvalidInput, match="no column 'no'") as caught:
        csv("a,b\n1,2\n", fields)
    assert caught.value.hint == "columns: a, b"


@pytest.mark.parametrize(("source", "name"), [("", "a.csv"), ("\n\n", "a.csv"), ("a,b\n", "a.csv"), ("", "a.jsonl"), ("\n", "a.tsv")])
def test_an_empty_file_is_no_text(source: str, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"^no text$"):
        csv(source, name=name)
