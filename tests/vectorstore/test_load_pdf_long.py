"""A PDF file of which there is no time to read all as it is laid out: its words are read."""

from __future__ import annotations

import time
from itertools import count
from types import SimpleNamespace

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
        for place, line in enumerate([*LINES, f"There are {number} ships.", f"{1000 - number} are of wood.", f"{2000 - number} are of iron."]):
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
        "880 are of wood.",
        "1880 are of iron.",
    ]


def test_t55_words_without_layout_stand_under_the_bookmarks(late) -> None:
    document = load(book(bookmarks=True))
    under = {block.page: block.headings for block in document.blocks if block.kind == "paragraph"}
    assert (under[1], under[50], under[51], under[120]) == (("Part 1",), ("Part 1",), ("Part 51",), ("Part 101",))


def test_t55_a_busy_machine_is_not_the_files_fault(monkeypatch) -> None:
    clock = SimpleNamespace(monotonic=count(step=5).__next__, process_time=time.process_time)
    monkeypatch.setattr(pdf, "time", clock)
    assert "pages_without_layout" not in load(book(bookmarks=False)).metadata


def test_t55_a_page_of_very_many_lines_costs_no_more_than_its_length(late) -> None:
    def dense(canvas: Canvas) -> None:
        text = canvas.beginText(10, 830)
        text.setFont("Helvetica", 1, leading=0.1)
        for number in range(5000):
            text.textLine(f"Line {number} of a page.")
        canvas.drawText(text)

    began = time.process_time()
    document = load(pdf_files.drawn(dense, *[lambda canvas: canvas.drawString(72, 700, "A page.")] * PAGES))
    assert time.process_time() - began < 10  # it was a minute, in a way that grew with the square
    assert "Line 4321 of a page." in document.text


def test_a_long_file_with_time_is_read_as_it_is_laid_out() -> None:
    document = load(book(bookmarks=False))
    assert "pages_without_layout" not in document.metadata
    assert document.text.startswith("A book of the harbour\n") and document.text.count("A book of the harbour") == 1
    assert (document.blocks[1].kind, document.blocks[1].headings, document.title) == ("heading", ("The harbour",), "The harbour")
