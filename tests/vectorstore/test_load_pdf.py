"""PDF files become paragraphs that know their page."""

from __future__ import annotations

import io

import pytest
from pypdf import PdfReader, PdfWriter

from llmops.errors import InvalidInput
from vectorstore.load import Fields, Parsed, parse


def pdf(*pages: list[str], title: str = "") -> bytes:
    """A PDF file with these lines on its pages."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    for n, lines in enumerate(pages):
        drawn = "BT /F1 12 Tf 14 TL 72 720 Td " + " ".join(f"({line}) Tj T*" for line in lines) + " ET"
        objects.append(f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents {5 + 2 * n} 0 R/Resources<</Font<</F1 3 0 R>>>>>>")
        objects.append(f"<</Length {len(drawn)}>>stream\n{drawn}\nendstream")
    objects.append(f"<</Title({title})>>")
    body, offsets = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = f"<</Size {len(objects) + 1}/Root 1 0 R/Info {len(objects)} 0 R>>"
    return f"{body}xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n{trailer}\nstartxref\n{len(body)}\n%%EOF".encode("latin-1")


def load(content: bytes) -> Parsed:
    (document,) = parse(content, "folder/report.pdf", Fields())
    assert isinstance(document, Parsed)
    return document


def test_pages_are_counted_from_one_and_may_be_empty() -> None:
    document = load(pdf(["First page."], [], ["Third page."], title="The report"))
    assert document.text == "First page.\n\nThird page."
    assert [block.page for block in document.blocks] == [1, 3]
    assert (document.title, document.metadata) == ("The report", {"pages": 3, "pages_without_text": 1})


@pytest.mark.parametrize("title", ["", "Microsoft Word - a.doc", "untitled", "report.tex", "report_final"])
def test_a_title_that_is_none_gives_way_to_the_stem(title: str) -> None:
    assert load(pdf(["x"], title=title)).title == "report"


def test_an_encrypted_file_says_so() -> None:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(["secret"]))))
    writer.encrypt("password", algorithm="AES-256")
    file = io.BytesIO()
    writer.write(file)
    with pytest.raises(InvalidInput, match="the PDF is encrypted"):
        load(file.getvalue())


def test_a_file_encrypted_without_a_password_is_read() -> None:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(["open"]))))
    writer.encrypt("", owner_password="owner", algorithm="AES-256")
    file = io.BytesIO()
    writer.write(file)
    assert load(file.getvalue()).text == "open"


@pytest.mark.parametrize("content", [b"", b"%PDF-1.4", b"not a PDF", pdf(["x"])[:300], bytes(1000)])
def test_a_broken_file_says_so_and_nothing_on_stderr(content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInput, match=r"broken PDF|no text"):
        load(content)
    assert capfd.readouterr() == ("", "")
