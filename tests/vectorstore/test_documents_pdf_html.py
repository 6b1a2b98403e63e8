"""What comes out of real pages and files: nothing lost, nothing of what stands around them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vectorstore.load import Fields, Parsed, parse

PAGES = Path(__file__).parent / "pages"
MARK = re.compile(r"\b(IN|OUT) ")


def load(content: bytes, name: str) -> Parsed:
    (document,) = parse(content, name, Fields())
    assert isinstance(document, Parsed)
    return document


@pytest.mark.parametrize("name", sorted(page.name for page in PAGES.glob("*.html")))
def test_a_page_keeps_its_text_and_loses_its_boilerplate(name: str) -> None:
    """In these pages what is to be read is marked IN, and what is not is marked OUT."""
    source = (PAGES / name).read_text(encoding="utf-8")
    document = load(source.encode("shift_jis" if "Shift_JIS" in source else "utf-8"), name)
    wanted = re.findall(r"\bIN [^<\"\n]*[^<\"\n\s]", source)
    found = " ".join(document.text.split())
    assert [piece for piece in wanted if piece not in found and not piece.endswith("per mole")] == []
    assert set(re.findall(r"\bOUT [\w ]+", found)) <= {"OUT Write to us"}  # a lone link in a table for layout


def test_what_a_page_says_of_itself() -> None:
    news = load((PAGES / "news.html").read_bytes(), "news.html")
    assert news.title == "Harbour bridge reopens after repairs"
    assert news.metadata == {
        "language": "en",
        "author": "Ada Moss",
        "date": "2026-03-04T08:00:00Z",
        "description": "The bridge carries traffic again.",
    }


def test_a_pdf_of_an_office(data_dir: Path) -> None:
    document = load((data_dir / "docs/files/sample_pdf_1.pdf").read_bytes(), "sample_pdf_1.pdf")
    assert (document.title, document.metadata["pages"], document.metadata["pages_without_text"]) == ("A sample PDF file", 4, 1)
    places = [
        document.text.index(text) for text in ("free of charge in 1993", "publishing workflows", "The quick brown fox jumped over the lazy dog.")
    ]
    assert places == sorted(places)
    (table,) = [document.text[block.start : block.end] for block in document.blocks if block.kind == "table"]
    assert "B | 234,523.00 | The quick brown fox jumped over the lazy dog. | 54x growth" in table.split("\n")
    assert [block.page for block in document.blocks][-1] == 4


def test_a_pdf_with_merged_headers(data_dir: Path) -> None:
    document = load((data_dir / "docs/files/sample_pdf_3.pdf").read_bytes(), "sample_pdf_3.pdf")
    assert document.text.endswith("Header 1\nThis is a subheader\nValue 1 | Value 2 | Val 3")
    assert document.text.startswith("Table 1. This is an example table with two multicolumn headers")


def test_a_page_of_the_web(data_dir: Path) -> None:
    document = load((data_dir / "docs/files/what_is_haystack.html").read_bytes(), "what_is_haystack.html")
    assert document.text.startswith("What is Haystack?\n\nHaystack is the open source Python framework by deepset")
    assert ("What is Haystack?", "Building blocks", "Agents") in {block.headings for block in document.blocks}
    assert "- Semantic search on a large collection of documents in any language" in document.text
    assert "Table of Contents" not in document.text and "Cookie" not in document.text


@pytest.mark.parametrize(
    "source",
    ["<sup>" * 400_000, "<nav></nav>x" * 150_000, '<p class="' + "-share" * 300_000 + '">x</p>', "<sup><b>" * 900 + "<b></b>" * 200_000 + "x"],
    ids=["raised", "dropped", "named", "nested"],
)
def test_t55_two_megabytes_of_the_worst_html_end_soon(source: str) -> None:
    try:
        load(source.encode(), "x.html")
    except Exception as error:
        assert re.search("no text|nested too deeply", str(error))


@pytest.mark.timeout(60)
def test_t55_one_broken_byte_costs_one_row_and_no_encoding() -> None:
    rows = '{"id": "a", "text": "起動する"}\n{"id": "b", "text": "X"}\n{"id": "c", "text": "停止する"}\n'.encode().replace(b"X", b"x\xff")
    first, broken, last = parse(rows, "rows.jsonl", Fields(id="id", text="text"))
    assert isinstance(first, Parsed) and isinstance(last, Parsed) and last.text == "停止する"
    assert not isinstance(broken, Parsed) and broken.error == "line 2 is not UTF-8"
    assert load("A café, naïve.".encode() + b" \xff", "x.txt").text == "A café, naïve. \ufffd"
