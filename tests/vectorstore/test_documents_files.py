"""Office files, mails and tables as other people's programs made them, and what a reader finds in them.

The files are public fixtures of other projects and no part of this one. `LLMOPS_DATA` names the folder that has them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vectorstore.test_load import assert_sound
from vectorstore.chunk import chunks
from vectorstore.load import Failed, Fields, Parsed, parse


@pytest.fixture
def documents(data_dir: Path):
    """Reads one of the files: the documents in it, each of which must be whole and fall into chunks."""

    def read(name: str, fields: Fields = Fields()) -> list[Parsed]:  # noqa: B008
        found = []
        for document in parse((data_dir / "docs/files" / name).read_bytes(), name, fields):
            assert isinstance(document, Parsed), document
            assert_sound(document)
            pieces = chunks(document)
            assert pieces
            assert "".join(document.text[piece.start : piece.end] for piece in pieces).replace(" ", "")
            found.append(document)
        return found

    return read


def in_order(text: str, *sentences: str) -> None:
    at = 0
    for sentence in sentences:
        found = text.find(sentence, at)
        assert found >= 0, f"{sentence!r} is not behind {text[max(at - 40, 0) : at]!r}"
        at = found + len(sentence)


def test_a_word_file_with_a_title_and_a_table(documents) -> None:
    (document,) = documents("sample_docx.docx")
    assert document.title == "Sample Docx File"
    assert document.metadata == {"author": "Saha, Anirban", "created": "2020-07-14T08:14:00Z", "modified": "2020-07-14T08:16:00Z"}
    assert {block.headings for block in document.blocks} == {("Sample Docx File",)}
    in_order(
        document.text,
        'The US has "passed the peak" on new coronavirus cases, President Donald Trump said and predicted that some states would reopen this month.',
        "The US has over 637,000 confirmed Covid-19 cases and over 30,826 deaths, the highest for any country in the world.",
        '"We\'ll be the comeback kids, all of us," he said.',
        "This | Is | Just a\n2020 | Random | Table",
        "Now we are in Page 2",
        "Page 3 was empty this is page 4",
    )
    assert [document.text[block.start : block.end] for block in document.blocks if block.kind == "table"] == [
        "This | Is | Just a\n2020 | Random | Table"
    ]


def test_a_word_file_without_headings(documents) -> None:
    (document,) = documents("sample_docx_3.docx")
    assert (document.title, document.metadata) == ("sample_docx_3", {})
    assert not any(block.headings for block in document.blocks)
    in_order(
        document.text,
        "Paragraph 1:\n\nArtificial intelligence (AI) has been transforming industries by improving efficiency",
        "Table: AI Use Cases in Different Industries\n\nIndustry | AI Use Case | Impact\n"
        "Healthcare | Predictive diagnostics | Improved patient outcomes\nFinance | Fraud detection and prevention | Reduced financial losses",
        "Paragraph 2:\n\nThe impact of AI on the workforce is another area of growing importance.",
    )


def test_a_word_file_with_links(documents) -> None:
    (document,) = documents("sample_docx_with_links.docx")
    assert document.title == "A sample PDF ﬁle"
    assert document.metadata["author"] == "maui diver"
    assert document.blocks[0].kind == "heading"
    in_order(
        document.text,
        "A sample PDF ﬁle\n\nHistory and standardization",
        "own PostScript format. PDF was a proprietary format controlled by Adobe",
        "Format (PDF) Adobe Systems made the PDF speciﬁcation before link of\n\ncharge after link in 1993.",
        "Page 3",
        "A disambiguation link with two words",
    )
    assert "http" not in document.text


def test_slides(documents) -> None:
    (document,) = documents("sample_pptx.pptx")
    assert (document.title, document.metadata) == ("Sample Title Slide", {"slides": 2})
    assert document.text == ("Sample Title Slide\n\nJane Doe\n\nTitle of First Slide\n\n- This is a bullet point\n- This is another bullet point")
    assert [(block.kind, block.page, block.headings) for block in document.blocks] == [
        ("heading", 1, ("Sample Title Slide",)),
        ("paragraph", 1, ("Sample Title Slide",)),
        ("heading", 2, ("Title of First Slide",)),
        ("item", 2, ("Title of First Slide",)),
        ("item", 2, ("Title of First Slide",)),
    ]
    assert [piece.page for piece in chunks(document)] == [1, 2]


def test_a_workbook_of_two_sheets(documents) -> None:
    (document,) = documents("basic_tables_two_sheets.xlsx")
    assert document.title == "basic_tables_two_sheets"
    assert document.text == "Basic Table\n\ncol_a: 1.5 | col_b: test\n\nTable Missing Value\n\ncol_c: TRUE"
    assert [block.headings for block in document.blocks] == [("Basic Table",)] * 2 + [("Table Missing Value",)] * 2


def test_a_workbook_by_its_rows(data_dir: Path) -> None:
    content = (data_dir / "docs/files/basic_tables_two_sheets.xlsx").read_bytes()
    document, other = parse(content, "book.xlsx", Fields(text="col_b"))
    assert isinstance(document, Parsed)
    assert (document.text, document.row, document.metadata) == ("test", 1, {"col_a": 1.5})
    assert other == Failed("no column 'col_b'; columns: col_c, col_d", part="sheet Table Missing Value")


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("sample_1.csv", ["Name: John Doe\nAge: 27", "Name: Jane Smith\nAge: 37", "Name: Mike Johnson\nAge: 47"]),
        ("sample_2.csv", ["Name: John Doe\nCity: New York", "Name: Jane Smith\nCity: Los Angeles", "Name: Mike Johnson\nCity: Chicago"]),
    ],
)
def test_tables_by_their_rows(documents, name: str, texts: list[str]) -> None:
    found = documents(name)
    assert [(document.text, document.row) for document in found] == [(text, row) for row, text in enumerate(texts, 1)]


def test_an_outlook_message_with_a_pdf(documents) -> None:
    message, attached = documents("sample.msg")
    assert message.title == "This is a Subject"
    assert message.metadata == {
        "subject": "This is a Subject",
        "from": "Sebastian Lee <outlook_A8F9F599CBC281A0@outlook.com>",
        "to": "Sebastian Lee <sebastian.lee@deepset.ai>",
        "cc": "sebastian.lee+cc@deepset.ai",
        "date": "2025-02-17T10:19:05+00:00",
        "message_id": "<BN8PR08MB58098CE77E4D13FBAB74083BB7FB2@BN8PR08MB5809.namprd08.prod.outlook.com>",
        "attachments": "sample_pdf_1.pdf",
    }
    assert message.text == (
        "Dear tester,\n\nThis is an example email with a body. Here is a hyperlink of deepset's website<https://www.deepset.ai/>.\n\nBest,\nSender"
    )
    assert (message.part, attached.part) == (None, "sample_pdf_1.pdf")
    in_order(attached.text, "A sample PDF file", "History and standardization", "Page 2 of Sample PDF", "Page 4 of Sample PDF")
    assert attached.blocks[-1].page == 4
