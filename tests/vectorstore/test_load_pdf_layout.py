"""PDF files as offices make them: columns, headings, tables, running lines, Japanese, scans."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from reportlab.pdfgen.canvas import Canvas

from llmops.errors import InvalidInput
from tests.vectorstore import pdf_files as pdf
from vectorstore.load import Fields, Parsed, parse
from vectorstore.load import pdf as loader
from vectorstore.load.limits import can_read_pictures

SENTENCE = "The committee considered every proposal that members had sent before the end of the period, one after the other."
needs_ocr = pytest.mark.skipif(not can_read_pictures(), reason="the program tesseract is not installed")


def load(content: bytes) -> Parsed:
    (document,) = parse(content, "folder/report.pdf", Fields())
    assert isinstance(document, Parsed)
    return document


def texts(document: Parsed, kind: str) -> list[str]:
    return [document.text[block.start : block.end] for block in document.blocks if block.kind == kind]


def report(columns: int) -> bytes:
    cities = [["City", "People", "Area"], ["Berlin", "3,700,000", "891"], ["Paris", "2,100,000", "105"], ["Rome", "2,800,000", "1,285"]]
    return pdf.story(
        pdf.paragraph("Annual Review", pdf.BIG),
        pdf.paragraph("1. Introduction", pdf.SECTION),
        *(pdf.paragraph(f"Paragraph {number} begins. " + " ".join([SENTENCE] * 5)) for number in range(9)),
        pdf.paragraph("1.1 Scope", pdf.SUB),
        *(pdf.paragraph(f"Paragraph {number} begins. " + " ".join([SENTENCE] * 5)) for number in range(9, 18)),
        pdf.paragraph("2. Results", pdf.SECTION),
        pdf.table([["Name", "Count"], ["Apples", "12"], ["Pears", "18"]]),
        pdf.paragraph("Between the tables."),
        pdf.table(cities, ruled=False, widths=[48, 58, 36]),
        pdf.paragraph("After the tables."),
        columns=columns,
        header="Annual Review 2026, confidential",
        footer="- {page} -",
        title="Annual Review",
        author="A. Author",
    )


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_columns_headings_tables_and_running_lines(columns: int) -> None:
    document = load(report(columns))
    assert (document.title, document.metadata["author"]) == ("Annual Review", "A. Author")
    assert texts(document, "heading") == ["Annual Review", "1. Introduction", "1.1 Scope", "2. Results"]
    assert document.blocks[-1].headings == ("Annual Review", "2. Results")
    assert ("Annual Review", "1. Introduction", "1.1 Scope") in {block.headings for block in document.blocks}
    places = [document.text.index(f"Paragraph {number} begins") for number in range(18)]
    assert places == sorted(places)
    # A paragraph that goes on in the next column is one; over a page, or where a column ends with a sentence, it is two.
    whole = " ".join([SENTENCE] * 5)
    assert sum(paragraph.endswith(whole) for paragraph in texts(document, "paragraph")) >= 12
    assert texts(document, "table") == [
        "Name | Count\nApples | 12\nPears | 18",
        "City | People | Area\nBerlin | 3,700,000 | 891\nParis | 2,100,000 | 105\nRome | 2,800,000 | 1,285",
    ]
    assert document.text.index("Between the tables") < document.text.index("Berlin") < document.text.index("After the tables")
    assert document.text.count("confidential") == 1 and "- 1 -" not in document.text
    pages = [block.page for block in document.blocks]
    assert pages == sorted(pages) and pages[0] == 1 and pages[-1] == document.metadata["pages"]


def test_merged_and_wrapped_cells() -> None:
    rows = [["A header over both", ""], ["one", pdf.paragraph("a cell whose text is wrapped into several lines")]]
    spanned = pdf.table(rows, widths=[80, 90])
    spanned.setStyle([("SPAN", (0, 0), (1, 0))])
    assert texts(load(pdf.story(spanned)), "table") == ["A header over both\none | a cell whose text is wrapped into several lines"]


def test_hyphens_lists_and_code() -> None:
    def page(canvas: Canvas) -> None:
        for number, (font, line) in enumerate(
            [
                ("Helvetica", "The first paragraph goes on over the line end because it is hyphen-"),
                ("Helvetica", "ated and its lines are full, so that they are joined to one line, which"),
                ("Helvetica", "ends here."),
                ("Helvetica", "• an item"),
                ("Helvetica", "• another item"),
                ("Courier", "def start():"),
                ("Courier", "    return 10"),
            ]
        ):
            canvas.setFont(font, 11)
            canvas.drawString(72, 700 - 14 * number, line)

    document = load(pdf.drawn(page))
    assert texts(document, "paragraph") == [
        "The first paragraph goes on over the line end because it is hyphenated and its lines are full, so that they are joined to one line,"
        " which ends here."
    ]
    assert "- an item\n- another item" in document.text
    assert texts(document, "code") == ["def start():\n    return 10"]


def test_bookmarks_say_what_a_heading_is() -> None:
    def page(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        for number, line in enumerate(["First things", SENTENCE[:70], "", "Second things", SENTENCE[:70]]):
            canvas.drawString(72, 700 - 14 * number, line)
        for level, title in enumerate(["First things", "Second things"]):
            canvas.bookmarkPage(title)
            canvas.addOutlineEntry(title, title, level)

    assert load(pdf.drawn(page)).blocks[-1].headings == ("First things", "Second things")


def test_japanese_in_both_directions() -> None:
    font, upright = pdf.japanese(), pdf.japanese(vertical=True)
    level = ["サーバーを起動するには、次のコマンドを実行してください。このコマンドは設定を読", "み込み、必要な部品を起動します。"]
    lines = [
        "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつ",
        "かぬ。何でも薄暗いじめじめした所でニャーニャー泣いていた事だ",
        "けは記憶している。",
    ]

    def first(canvas: Canvas) -> None:
        canvas.setFont(font, 20)
        canvas.drawString(60, 770, "第1章 概要")
        canvas.setFont(font, 10.5)
        for number, line in enumerate(level):
            canvas.drawString(60, 740 - 15 * number, line)

    def second(canvas: Canvas) -> None:
        canvas.setFont(upright, 12)
        for number, line in enumerate(lines):
            canvas.drawString(500 - 20 * number, 780, line)

    document = load(pdf.drawn(first, second))
    assert document.title == "第1章 概要"
    assert texts(document, "paragraph") == ["".join(level), "".join(lines)]


def test_text_that_stands_across_is_left_out() -> None:
    def page(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 12)
        canvas.drawString(72, 700, "Upright text is read.")
        for angle, text in ((45, "DRAFT"), (90, "a label")):
            canvas.saveState()
            canvas.translate(300, 300)
            canvas.rotate(angle)
            canvas.drawString(0, 0, text)
            canvas.restoreState()

    assert load(pdf.drawn(page)).text == "Upright text is read."


@pytest.fixture
def no_ocr(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PATH", "/nowhere")
    yield


def test_pages_without_text_are_said(no_ocr: None) -> None:
    with pytest.raises(InvalidInput, match=r"^no text: its page is an image$") as refused:
        load(pdf.scanned("A scanned page."))
    assert "tesseract" in str(refused.value.hint)


STAMP = "Case 1:20-cv-01234  Filed 03/04/25  Page {page} of 3"
SCANS = [f"The harbour bridge number {n} was reopened." for n in range(1, 4)]


def test_a_scan_under_a_stamp_has_no_text_of_its_own(no_ocr: None) -> None:
    document = load(pdf.scanned(*SCANS, stamp=STAMP))
    assert document.metadata["pages_without_text"] == 3 and "Page 1 of 3" in document.text


@needs_ocr
def test_a_scan_under_a_stamp_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds in (1.0, 0.0):  # by its layout, and by its words alone
        monkeypatch.setattr(loader, "FOR_SHEETS", seconds)
        monkeypatch.setattr(loader, "_SHORT", int(100 * seconds))
        document = load(pdf.scanned(*SCANS, stamp=STAMP))
        assert "pages_without_text" not in document.metadata and all(text in document.text for text in SCANS)


@needs_ocr
def test_scans_are_recognised() -> None:
    document = load(pdf.scanned("The harbour bridge was reopened on Monday."))
    assert document.text == "The harbour bridge was reopened on Monday."
    assert (document.blocks[0].page, document.metadata["pages"]) == (1, 1)
    assert "pages_without_text" not in document.metadata


def swollen() -> bytes:
    return pdf.bomb(300_000_000, 3)


def glyphs() -> bytes:
    """A page with a million letters."""
    lines = b" ".join(b"(%s) Tj 0 -7 Td" % (b"abcdefghij" * 10) for _ in range(10_000))
    return pdf.one_page(b"BT /F1 6 Tf 10 70000 Td " + lines + b" ET").replace(b"[0 0 612 792]", b"[0 0 9999 99999]")


def cyclic() -> bytes:
    return pdf.objects(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 2/Kids[2 0 R 3 0 R]>>", b"<</Type/Pages/Count 1/Kids[2 0 R]>>")


HOSTILE = {
    "inflates to more than 96 MB": swollen,
    "has 1,0.*,... characters, 200,000 are read": glyphs,
    "none of its pages can be read": cyclic,
    "the file is empty": bytes,
    "has 5,000 pages, 2,000 are read": lambda: pdf.empty_pages(5000),
    "says that it has 3 pages, and holds 30": lambda: pdf.empty_pages(30, claimed=3),
    "it cannot be opened": lambda: report(1)[:2000],
    "does not begin as one": lambda: b"PK\x03\x04" + bytes(2_000_000),
}


@pytest.mark.parametrize("reason", HOSTILE)
def test_t55_a_hostile_pdf_says_why_and_what_to_do(reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as refused:
        load(HOSTILE[reason]())
    assert refused.value.hint


def test_t55_a_page_of_nothing_but_lines_is_no_table() -> None:
    drawing = b" ".join(b"%d %d m %d %d l S" % (n % 600, n % 790, n % 600 + 10, n % 790) for n in range(50_000))
    assert load(pdf.one_page(drawing + b" BT /F1 9 Tf 10 700 Td (A caption.) Tj ET")).text == "A caption."
