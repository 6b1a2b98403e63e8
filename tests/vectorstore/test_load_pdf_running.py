"""What runs on every page of a PDF, and what only looks so: no line of content may be lost."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Sequence

import pypdf
import pytest
from reportlab.pdfgen.canvas import Canvas

from tests.vectorstore import pdf_files
from vectorstore.load import Fields, Parsed, parse, pdf
from vectorstore.load.pdf_glyphs import Run, Sheet
from vectorstore.load.pdf_numbers import Place, is_number, marks
from vectorstore.load.pdf_running import running_lines

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
    pages = [[f"Certificate {n}", f"2025-03-{n:02}", *BODY] for n in range(1, 7)]
    text = read(*pages).text
    for n in range(1, 7):
        assert f"Certificate {n}" in text and f"2025-03-{n:02}" in text


@pytest.mark.parametrize(
    ("before", "value"),
    [
        ("", "0{n}/2025"),
        ("", "{2018 + n}"),
        ("Payslip for", "0{n}/2025"),
        ("Invoice no.", "{1000 + n}"),
        ("Week", "{10 + n}"),
        ("Score", "{n} of 10"),
        ("", "Certificate | {1000 + n}"),
        ("", "Page count: {40 + n}"),
    ],
)
def test_a_value_that_only_looks_like_a_pages_number_stays(read, before, value) -> None:
    """On each of seven pages, the outermost line."""
    values = [re.sub(r"\{([^}]*)\}", lambda found, n=n: str(eval(found[1], {"n": n})), value) for n in range(1, 8)]
    text = " ".join(read(*([[(72.0, before), (200.0, said)] if before else said, *BODY] for said in values)).text.split())
    assert all(said in text for said in values)
    assert text.count(before) >= 7 if before else True


def test_what_the_file_itself_calls_a_page_is_its_number() -> None:
    """Its pages are counted from 41."""
    first = pdf_files.drawn(*(drawn([*BODY, *[""] * 36, f"{40 + n}"]) for n in range(1, 7)))
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(first))
    writer.set_page_label(0, 5, style="/D", start=41)
    labelled = io.BytesIO()
    writer.write(labelled)
    for content, kept in ((first, True), (labelled.getvalue(), False)):
        (document,) = parse(content, "file.pdf", Fields())
        assert isinstance(document, Parsed)
        assert ("43" in document.text.split()) is kept


def test_a_large_line_or_a_bookmark_is_a_heading_on_every_page_that_it_stands_on() -> None:
    """Slides: three of them go on under one title."""

    def slide(number: int, title: str) -> Callable[[Canvas], None]:
        def draw(canvas: Canvas) -> None:
            canvas.bookmarkPage(f"s{number}")
            canvas.addOutlineEntry(title, f"s{number}", 0)
            canvas.setFont("Helvetica-Bold", 28 if number % 2 else 11)
            canvas.drawString(72, 790, title)
            canvas.setFont("Helvetica", 11)
            canvas.drawString(72, 600, f"What slide {number} says is said here, in a whole sentence.")

        return draw

    titles = ["Method", "Results", "Results", "Results", "Outlook", "Outlook"]
    (document,) = parse(pdf_files.drawn(*(slide(n, title) for n, title in enumerate(titles, 1))), "slides.pdf", Fields())
    assert isinstance(document, Parsed)
    assert [block.headings for block in document.blocks if block.kind == "paragraph"] == [(title,) for title in titles]


def test_what_runs_stands_where_it_stood() -> None:
    pages = [["Dear customer,", *BODY, *[""] * 34, "ACME Ltd, 5 Main Street"] for _ in range(3)]
    (document,) = parse(pdf_files.drawn(*(drawn(lines) for lines in pages)), "file.pdf", Fields())
    assert isinstance(document, Parsed)
    first = "".join(document.text[block.start : block.end] for block in document.blocks if block.page == 1)
    assert first.startswith("Dear customer,") and first.endswith("ACME Ltd, 5 Main Street")
    assert document.text.count("Dear customer,") == document.text.count("ACME Ltd") == 1


@pytest.mark.parametrize("text", ["1" + "\u3000" * 100_000 + "x", "- " * 50_000 + "x", "1 of " * 30_000, "第" * 100_000 + "1", "page 1 " * 20_000])
def test_t55_a_long_line_costs_no_more_than_its_length(text: str) -> None:
    began = time.process_time()
    assert not is_number(text, Place(2, 9)) and not marks(text, Place(2, 9))
    assert time.process_time() - began < 2


def test_t55_many_pages_of_running_lines_take_time_linear_in_them() -> None:
    """2,000 pages of a hundred lines each, all of them in the margin."""
    runs = [Run(72.0, float(n % 50), 90.0, float(n % 50) + 5, f"line {n}", 9.0) for n in range(100)]
    sheets = [Sheet(595.0, 842.0, [*runs, Run(72.0, 400.0, 90.0, 410.0, "body", 9.0)], [])] * 2000
    began = time.process_time()
    found = running_lines(sheets, [Place(n, 2000) for n in range(1, 2001)])
    assert time.process_time() - began < 8 and len(found[-1].dropped) == 100 and not found[-1].above


def test_rows_of_a_table_that_goes_over_pages_stay(read) -> None:
    pages = [[f"Article {100 * page + row}   {row}.50 EUR" for row in range(40)] for page in range(1, 6)]
    text = " ".join(read(*pages).text.split())
    for page in range(1, 6):
        for row in range(40):
            assert f"Article {100 * page + row}" in text


@pytest.mark.parametrize(
    "footer", ["Page {n} of 6", "Handbook | {n}", "{n} | Handbook", "Handbook, page {n}", "- {n} -", "{n} | Handbook | {n}", "Handbook - {n}/6"]
)
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


def test_rows_at_the_edge_of_a_page_stay_whole_though_each_of_their_cells_was_there_before(read) -> None:
    rows = [(hall, state) for hall in ("Hall A", "Hall B", "Hall C") for state in ("open", "closed", "dry")]
    text = " ".join(read(*([[(72.0, hall), (250.0, state)], *BODY] for hall, state in rows)).text.split())
    assert text.count("Hall") == len(rows) and sum(map(text.count, ("open", "closed", "dry"))) == len(rows)


def test_what_stands_at_the_edge_of_a_few_of_many_pages_stays(read) -> None:
    """A deposition: some answers are short, and some of those begin a page."""
    pages = [["A. Yes." if n % 7 == 3 else f"Q. And what of day {n}, when", *BODY] for n in range(1, 41)]
    assert read(*pages).text.count("A. Yes.") == sum(n % 7 == 3 for n in range(1, 41))


@pytest.mark.parametrize("values", [[4, 2, 7], [1], [3, 2, 9, 1]])
def test_a_value_that_is_the_pages_number_by_chance_stays(read, values: list[int]) -> None:
    text = " ".join(read(*([[(72.0, "Parcels:"), (200.0, str(value))], *BODY] for value in values)).text.split())
    assert all(f"Parcels: {value}" in text for value in values)


@pytest.mark.parametrize("cells", [("Station", "{n}", "North"), ("Widget", "{n}", "9.50"), ("Grade", "{roman}", "passed"), ("12", "{n}", "2024")])
def test_a_number_in_the_middle_of_a_line_stays(read, cells: tuple[str, ...]) -> None:
    lines = [[cell.format(n=n, roman="I" * n) for cell in cells] for n in range(1, 4)]
    text = " ".join(read(*([[(72.0 + 120 * x, cell) for x, cell in enumerate(line)], *BODY] for line in lines)).text.split())
    assert all(" ".join(line) in text.replace(" | ", " ") for line in lines)


@pytest.mark.parametrize("said", ["P{n}", "Str. {n}", "Side {n}", "{n}/2", "{n} of 2"])
def test_what_might_be_something_else_stays_where_it_is_not_repeated(read, said: str) -> None:
    text = read(*([said.format(n=n), *BODY] for n in (1, 2))).text
    assert all(said.format(n=n) in text for n in (1, 2))


def test_t55_a_line_of_many_cells_costs_no_more_than_its_length() -> None:
    runs = [Run(0.1 * n, 800.0, 0.1 * n + 0.05, 810.0, f"p{n}", 9.0) for n in range(5000)]
    marks_ = Run(72.0, 20.0, 90.0, 30.0, "a" + "\u0301\u0316" * 50_000, 9.0)
    began = time.process_time()
    running_lines([Sheet(595.0, 842.0, [*runs, marks_, Run(72.0, 400.0, 90.0, 410.0, "body", 9.0)], [])] * 3, [Place(n, 3) for n in range(1, 4)])
    assert time.process_time() - began < 2


def test_the_first_row_of_a_table_of_numbers_stays(read) -> None:
    text = read([[(72.0, "1"), (200.0, "1")], [(72.0, "2"), (200.0, "4")], [(72.0, "3"), (200.0, "9")], *BODY]).text
    assert re.sub(r"\W", "", text).startswith("112439")


@pytest.mark.parametrize("said", ["1 Ibid., p. {}", "Ibid., page {}", "See page {}", "vgl. Seite {}", "Page {}"])
def test_pages_of_other_texts_that_a_line_names_stay(read, said: str) -> None:
    numbers = [45, 78, 112, 30, 8]
    text = read(*([said.format(number), *BODY] for number in numbers)).text
    assert all(said.format(number) in text for number in numbers)


NUMBERS = """{n}; Page: {n}; Page No. {n} of 6; Pg. {n}; [Page {n}]; (Page {n}); ({n}); {n} of 6 pages; Seite: {n}; Blatt {n}; S. {n};
Pagina {n} di 6; Pagina {n} van 6; Sida {n} av 6; Strona {n} z 6; {roman}; - {roman} -; Page {roman}"""


@pytest.mark.parametrize("number", re.split(r";\s", NUMBERS))
def test_a_pages_number_is_said_in_many_ways(read, number: str) -> None:
    romans = ["", "i", "ii", "iii", "iv", "v", "vi"]
    pages = [["The harbour, confidential", number.format(n=n, roman=romans[n]), *BODY[2:], f"What page {n} ends with."] for n in range(1, 7)]
    text = read(*pages).text
    assert text.count("confidential") == 1
    assert all(number.format(n=n, roman=romans[n]) not in text.split("\n") for n in range(2, 7))
    assert all(f"What page {n} ends with." in text for n in range(1, 7))


@pytest.mark.parametrize(
    "number", ["３／６", "３／６ページ", "－３－", "― 3 ―", "ー 3 ー", "（3）", "【3】", "P3", "ページ：3", "第3页", "第3ページ／全6ページ", "3頁"]
)
def test_a_pages_number_is_known_in_japanese_and_chinese(number: str) -> None:
    """On a page: PDFium and the fonts at hand are not what is tried here."""
    lines = [Run(270.0, 800.0, 330.0, 810.0, number.replace("3", str(n)).replace("３", "０１２３４５６"[n]), 9.0) for n in range(1, 7)]
    body = Run(72.0, 400.0, 90.0, 410.0, "本文", 9.0)
    found = running_lines([Sheet(595.0, 842.0, [line, body], []) for line in lines], [Place(n, 6) for n in range(1, 7)])
    assert [running.dropped for running in found] == [{0}] * 6


def test_a_title_a_little_larger_than_the_text_is_a_heading_on_every_page() -> None:
    def slide(number: int, title: str) -> Callable[[Canvas], None]:
        def draw(canvas: Canvas) -> None:
            canvas.setFont("Helvetica", 24)
            canvas.drawString(72, 790, title)
            canvas.setFont("Helvetica", 20)
            canvas.drawString(72, 600, f"What slide {number} says is said here, in a sentence.")

        return draw

    titles = ["Method", "Results", "Results", "Outlook", "Results"]
    (document,) = parse(pdf_files.drawn(*(slide(n, title) for n, title in enumerate(titles, 1))), "slides.pdf", Fields())
    assert isinstance(document, Parsed)
    assert [block.headings for block in document.blocks if block.kind == "paragraph"] == [(title,) for title in titles]


def test_a_header_runs_though_it_is_a_bookmark_of_the_page_where_its_chapter_begins() -> None:
    def page(number: int) -> Callable[[Canvas], None]:
        def draw(canvas: Canvas) -> None:
            if number == 1:
                canvas.bookmarkPage("a")
                canvas.addOutlineEntry("Introduction", "a", 0)
            drawn(["Introduction", "Harbour Ltd, confidential", *BODY])(canvas)

        return draw

    (document,) = parse(pdf_files.drawn(*map(page, range(1, 9))), "report.pdf", Fields())
    assert isinstance(document, Parsed)
    assert document.text.count("Introduction") <= 2 and document.text.count("confidential") <= 2
    assert all(
        block.headings == ("Introduction",) for block in document.blocks if block.kind == "paragraph" and "Line" in document.text[block.start :]
    )


def test_a_long_footer_and_one_of_several_cells_are_said_once_in_their_order() -> None:
    legal = "This document holds what is confidential of ACME Ltd and its affiliates; use or copying by others than its reader is forbidden." * 2
    sheets = [
        Sheet(
            595.0,
            842.0,
            [
                Run(72.0, 400.0, 90.0, 410.0, "body " * 100, 9.0),
                Run(30.0, 800.0, 560.0, 806.0, legal, 6.0),
                Run(400.0, 816.0, 500.0, 825.0, "Bank 999", 9.0),
                Run(30.0, 816.0, 100.0, 825.0, "ACME Ltd", 9.0),
                Run(200.0, 815.0, 300.0, 825.0, "VAT 123", 9.0),
            ],
            [],
        )
    ] * 4
    found = running_lines(sheets, [Place(n, 4) for n in range(1, 5)])
    assert found[0].below == [legal, "ACME Ltd  VAT 123  Bank 999"] and not found[0].above
    assert all(running.dropped == {1, 2, 3, 4} and not running.below for running in found[1:])


LABELS = {
    "a tree that leads back to itself": (b"6 0 R", b"<</Kids[6 0 R]>>"),
    "two that lead to each other": (b"6 0 R", b"<</Kids[7 0 R]/Limits[0 9]>>", b"<</Kids[6 0 R]/Limits[0 9]>>"),
    "a number of two thousand million letters": (b"<</Nums[0<</S/a/St 2147483647>>]>>",),
    "half a character": (b"<</Nums[0<</P<FEFFD800>/S/D>>]>>",),
    "a long prefix": (b"<</Nums[0<</P(%s)/S/D>>]>>" % (b"A" * 2_000_000),),
    "no tree": (b"7",),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_t55_labels_of_pages_that_lie_keep_no_page_from_being_read(labels: tuple[bytes, ...]) -> None:
    """PDFium's own reading of the first four ends the process, or does not end."""
    text = b"BT /F1 12 Tf 72 700 Td (One line.) Tj ET"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 3 0 R>>>>>>"
    catalog = b"<</Type/Catalog/Pages 2 0 R/PageLabels %s>>" % labels[0]
    content = pdf_files.objects(
        catalog,
        b"<</Type/Pages/Count 1/Kids[5 0 R]>>",
        pdf_files.FONT,
        b"<</Length %d>>stream\n%s\nendstream" % (len(text), text),
        page,
        *labels[1:],
    )
    (document,) = parse(content, "file.pdf", Fields())
    assert isinstance(document, Parsed) and document.text == "One line."


def test_t55_a_title_cut_in_the_middle_of_a_character_is_read() -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf_files.drawn(drawn(BODY))))
    cut = pypdf.generic.ByteStringObject("A ship \ud83d".encode("utf-16-be", "surrogatepass"))
    cut = pypdf.generic.ByteStringObject(b"\xfe\xff" + bytes(cut))
    assert writer._info is not None
    writer._info[pypdf.generic.NameObject("/Title")] = writer._info[pypdf.generic.NameObject("/Author")] = cut
    file = io.BytesIO()
    writer.write(file)
    (document,) = parse(file.getvalue(), "file.pdf", Fields())
    assert isinstance(document, Parsed) and document.title.startswith("A ship") and "Line 3" in document.text
