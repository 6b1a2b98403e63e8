"""What runs on every page of a PDF, and what only looks so: no line of content may be lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from reportlab.pdfgen.canvas import Canvas

from tests.vectorstore import pdf_files
from vectorstore.load import Fields, Parsed, parse, pdf

Lines = Sequence[Sequence[tuple[float, str]] | str]


@pytest.fixture(params=["layout", "words"])
def read(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Parsed]:
    """How a file is read: by its layout, or its words alone as where there is no time for that."""
    if request.param == "words":
        monkeypatch.setattr(pdf, "_SHORT", 0)
        monkeypatch.setattr(pdf, "FOR_SHEETS", 0.0)

    def read(*pages: Lines) -> Parsed:
        (document,) = parse(pdf_files.drawn(*(drawn(lines) for lines in pages)), "file.pdf", Fields())
        assert isinstance(document, Parsed)
        return document

    return read


def drawn(lines: Lines) -> Callable[[Canvas], None]:
    """A page with these lines from its upper edge on. A line is a text, or several at places of their own."""

    def page(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        for number, line in enumerate(lines):
            for x, text in [(72.0, line)] if isinstance(line, str) else line:
                canvas.drawString(x, 800 - 14 * number, text)

    return page


BODY = ["", "", "", "", "", "", "", "", *(f"Line {n} of what the page is about, and it is long enough." for n in range(9))]


def test_numbers_that_are_no_pages_number_stay(read) -> None:
    """An invoice on each page: what the first lines say differs in digits alone."""
    pages = [
        [
            f"Invoice number {2000 + 7 * n}",
            f"Date: {n + 3} March 2025",
            [(72, "Total due:"), (300, f"{231 + 11 * n}.00 EUR")],
            "Dear customer,",
            *BODY,
        ]
        for n in range(6)
    ]
    text = read(*pages).text
    for n in range(6):
        for said in (f"Invoice number {2000 + 7 * n}", f"Date: {n + 3} March 2025", f"{231 + 11 * n}.00 EUR"):
            assert said in text, said
    assert text.count("Total due:") == text.count("Dear customer,") == 6


def test_numbers_that_go_along_with_the_pages_stay_too_where_nothing_says_that_they_are_the_pages(read) -> None:
    pages = [[f"Certificate {n}", f"2025-03-{n:02}", f"第{n}回 議事録", *BODY] for n in range(1, 7)]
    text = read(*pages).text
    for n in range(1, 7):
        assert f"Certificate {n}" in text and f"2025-03-{n:02}" in text


def test_rows_of_a_table_that_goes_over_pages_stay(read) -> None:
    pages = [[f"Article {100 * page + row}   {row}.50 EUR" for row in range(40)] for page in range(1, 6)]
    text = " ".join(read(*pages).text.split())
    for page in range(1, 6):
        for row in range(40):
            assert f"Article {100 * page + row}" in text


@pytest.mark.parametrize("footer", ["Page {n} of 6", "Handbook | {n}", "{n} | Handbook", "Handbook, page {n}", "- {n} -"])
def test_headers_and_footers_are_said_once(read, footer) -> None:
    pages = [["Handbook of the harbour, confidential", footer.format(n=n), *BODY[2:], f"What page {n} ends with."] for n in range(1, 7)]
    text = read(*pages).text
    assert text.count("confidential") == 1
    for n in range(1, 7):
        assert f"What page {n} ends with." in text
    for n in range(2, 7):
        assert footer.format(n=n) not in text


def test_a_line_below_one_that_does_not_run_stays(read) -> None:
    """Two letters in one file."""
    pages = [[f"To {name}", "Dear customer,", *BODY] for name in ("Ada", "Grace")]
    assert read(*pages).text.count("Dear customer,") == 2


def test_a_running_line_is_no_heading_of_what_follows() -> None:
    def page(number: int) -> Callable[[Canvas], None]:
        def draw(canvas: Canvas) -> None:
            canvas.setFont("Helvetica-Bold", 11)
            canvas.drawString(72, 810, "The harbour's handbook")
            drawn(BODY)(canvas)
            if number == 1:
                canvas.setFont("Helvetica-Bold", 18)
                canvas.drawString(72, 720, "Ships")

        return draw

    (document,) = parse(pdf_files.drawn(*map(page, range(1, 5))), "file.pdf", Fields())
    assert isinstance(document, Parsed)
    assert {block.headings for block in document.blocks if block.page and block.page > 1} == {("Ships",)}
    assert document.text.count("The harbour's handbook") == 1
