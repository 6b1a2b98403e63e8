"""Workbooks: a section for each sheet, or a document for each row."""

from __future__ import annotations

import pytest

from llmops.errors import InvalidInput
from tests.vectorstore.office import A, relations, rows, xlsx, xlsx_parts
from tests.vectorstore.office import archive as zipped
from vectorstore.load import Failed, Fields, Parsed, parse

STYLES = """<numFmts><numFmt numFmtId="164" formatCode="[$-409]yyyy\\-mm\\-dd\\ hh:mm"/>
<numFmt numFmtId="165" formatCode="0.00 &quot;days&quot;"/></numFmts>
<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="10"/><xf numFmtId="20"/><xf numFmtId="165"/></cellXfs>"""


def load(content: bytes, fields: Fields = Fields()) -> list[Parsed | Failed]:  # noqa: B008
    return list(parse(content, "folder/book.xlsx", fields))


def text(sheet: str, **options: object) -> str:
    (document,) = load(xlsx({"S": sheet}, **options))
    assert isinstance(document, Parsed)
    return document.text.removeprefix("S\n\n")


def test_a_table_says_its_columns_in_every_row() -> None:
    (document,) = load(xlsx({"Sales": rows(["Region", "Sold"], ["East", 5], ["West", None], ["North", 0.1 + 0.2])}))
    assert isinstance(document, Parsed)
    assert document.text == "Sales\n\nRegion: East | Sold: 5\nRegion: West\nRegion: North | Sold: 0.3"
    assert [(block.kind, block.headings) for block in document.blocks] == [("heading", ("Sales",)), ("table", ("Sales",))]
    assert document.title == "book"


def test_what_is_no_table_with_a_header_keeps_its_form() -> None:
    sheet = rows(["Report of May"], ["Total", 5], ["Open", 2, None, "late"], [], ["A note."], ["Name", "Age"], ["Ann", 30])
    assert text(sheet) == "Report of May\n\nTotal | 5\nOpen | 2 |  | late\n\nA note.\n\nName: Ann | Age: 30"


def test_values_as_they_are_shown() -> None:
    sheet = rows(
        [
            "<c s='1'><v>45413</v></c>",
            "<c s='2'><v>45413.5625</v></c>",
            "<c s='3'><v>0.125</v></c>",
            "<c s='4'><v>0.75</v></c>",
            "<c s='5'><v>2</v></c>",
        ],
        [
            "<c t='b'><v>1</v></c>",
            "<c t='e'><v>#DIV/0!</v></c>",
            "<c><f>A1*2</f><v>12</v></c>",
            "<c t='str'><f>x</f><v>kept</v></c>",
            "<c><f>never()</f></c>",
        ],
        ["<c t='s'><v>0</v></c>", "<c t='s'><v>1</v></c>", "<c t='s'><v>99</v></c>", 1e20, "<c s='1'><v>1</v></c>"],
    )
    strings = ["<r><t>rich </t></r><r><t>text</t></r>", "<t>東京</t><rPh><t>トウキョウ</t></rPh>"]
    assert text(sheet, strings=strings, styles=STYLES) == (
        "2024-05-01 | 2024-05-01 13:30 | 12.5% | 18:00 | 2\nTRUE | #DIV/0! | 12 | kept\nrich text | 東京 |  | 1e+20 | 1900-01-01"
    )


def test_merged_cells_say_their_value_in_each_row() -> None:
    sheet = rows(["Report", None, None], ["East", "a", 1], [None, "b", 2], [None, "c", 3]) + (
        '<mergeCells><mergeCell ref="A1:C1"/><mergeCell ref="A2:A4"/></mergeCells>'
    )
    assert text(sheet) == "Report\n\nEast | a | 1\nEast | b | 2\nEast | c | 3"


def test_hidden_sheets_are_named_and_not_read() -> None:
    (document,) = load(xlsx({"Open": rows(["a"]), "hidden:Salaries": rows(["secret"]), "veryHidden:Lists": rows(["x"])}))
    assert isinstance(document, Parsed)
    assert (document.text, document.metadata) == ("Open\n\na", {"hidden_sheets": "Salaries, Lists"})


def test_text_boxes_on_a_sheet() -> None:
    parts = xlsx_parts({"S": rows(["a"])})
    parts["xl/worksheets/_rels/sheet0.xml.rels"] = relations({"d": ("drawing", "../drawings/drawing1.xml")})
    box = "<twoCellAnchor><sp><txBody><a:p><a:r><a:t>Mind the gap</a:t></a:r></a:p></txBody></sp></twoCellAnchor>"
    parts["xl/drawings/drawing1.xml"] = f'<wsDr xmlns:a="{A}">{box}</wsDr>'
    (document,) = load(zipped(parts))
    assert isinstance(document, Parsed)
    assert document.text == "S\n\na\n\nMind the gap"


def test_rows_become_documents_where_fields_are_named() -> None:
    first = rows(["id", "text", "year"], ["a", "One.", 2024], ["a", "Again.", 2024], [None, "No id.", 1], ["c", "Three.", 2.5, "more"])
    found = load(xlsx({"A": first, "B": rows(["other"], ["x"]), "C": rows(["text", "id"], ["Four.", 4])}), Fields(id="id", text="text"))
    assert [(one.id, one.row, one.part, one.error if isinstance(one, Failed) else (one.text, one.metadata)) for one in found] == [
        ("a", 1, None, ("One.", {"year": 2024})),
        (None, 2, None, "row 2: the id 'a' is that of row 1 too"),
        (None, 3, None, "no id in the field 'id'"),
        (None, 4, None, "row 4 has 4 values for 3 columns"),
        ("4", 5, None, ("Four.", {})),
        (None, None, "sheet B", "no column 'id'; columns: other"),
    ]


def test_a_column_that_is_nowhere() -> None:
    with pytest.raises(InvalidInput, match="no column 'q'") as caught:
        load(xlsx({"A": rows(["id", "text"], ["a", "One."])}), Fields(text="q"))
    assert caught.value.hint == "columns: id, text"


@pytest.mark.parametrize("fields", [Fields(), Fields(text="text")])
def test_an_empty_workbook_is_no_text(fields: Fields) -> None:
    with pytest.raises(InvalidInput, match=r"^no text$"):
        load(xlsx({"A": "<sheetData/>"}), fields)
