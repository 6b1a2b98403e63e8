"""A PDF file of which there is no time to read all as it is laid out: its words are read."""

from __future__ import annotations

import pytest
from reportlab.pdfgen.canvas import Canvas

from tests.vectorstore import pdf_files
from vectorstore.load import Fields, Parsed, parse, pdf

LINES = ["The harbour of the town was dug in the year of the great flood, and its infra-", "structure was renewed after the war."]
PAGES = 120


def book(*, bookmarks: bool) -> bytes:
    def page(number: int, canvas: Canvas) -> None:
        if bookmarks and number % 50 == 1:
            canvas.bookmarkPage(f"b{number}")
            canvas.addOutlineEntry(f"Part {number}", f"b{number}", 0)
        canvas.setFont("Helvetica", 9)
        canvas.drawString(72, 810, "A book of the harbour")
        canvas.drawString(290, 30, str(number))
        canvas.setFont("Helvetica-Bold", 18)
        if number == 1:
            canvas.drawString(72, 760, "The harbour")
        canvas.setFont("Helvetica", 11)
        for place, line in enumerate([*LINES, f"There are {number} ships.", f"{number} are of wood.", f"{number} are of iron."]):
            canvas.drawString(72, 700 - 14 * place, line)

    return pdf_files.drawn(*(lambda canvas, number=number: page(number, canvas) for number in range(1, PAGES + 1)))


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "FOR_SHEETS", 0.0)


def load(content: bytes) -> Parsed:
    (document,) = parse(content, "book.pdf", Fields())
    assert isinstance(document, Parsed)
    return document


def test_t55_a_long_file_without_time_for_its_layout_has_its_words(late) -> None:
    document = load(book(bookmarks=False))
    assert (document.metadata["pages"], document.metadata["pages_without_layout"]) == (PAGES, PAGES)
    assert [block.page for block in document.blocks] == list(range(1, PAGES + 1))
    assert {block.headings for block in document.blocks} == {()}
    last = document.blocks[-1]
    assert document.text[last.start : last.end].split("\n") == [
        "The harbour of the town was dug in the year of the great flood, and its infrastructure was renewed after the war.",
        "There are 120 ships.",
        "120 are of wood.",
        "120 are of iron.",
    ]


def test_t55_words_without_layout_stand_under_the_bookmarks(late) -> None:
    document = load(book(bookmarks=True))
    under = {block.page: block.headings for block in document.blocks if block.kind == "paragraph"}
    assert (under[1], under[50], under[51], under[120]) == (("Part 1",), ("Part 1",), ("Part 51",), ("Part 101",))


def test_a_long_file_with_time_is_read_as_it_is_laid_out() -> None:
    document = load(book(bookmarks=False))
    assert "pages_without_layout" not in document.metadata
    assert (document.blocks[0].kind, document.blocks[0].headings, document.title) == ("heading", ("The harbour",), "The harbour")
