"""PDF files that tests need: made by reportlab as an office would, or by hand where they are to be broken."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pypdfium2
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Paragraph, Table

BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=10, leading=12.5, spaceAfter=6)
BIG = ParagraphStyle("big", BODY, fontName="Helvetica-Bold", fontSize=20, leading=26)
SECTION = ParagraphStyle("section", BODY, fontName="Helvetica-Bold", fontSize=13, leading=18)
SUB = ParagraphStyle("sub", BODY, fontName="Helvetica-Bold")
CODE = ParagraphStyle("code", BODY, fontName="Courier")
RULED = [("GRID", (0, 0), (-1, -1), 0.5, colors.black), ("FONTSIZE", (0, 0), (-1, -1), 9)]
PLAIN = [("FONTSIZE", (0, 0), (-1, -1), 9)]


def story(*flowables: Flowable, columns: int = 1, header: str = "", footer: str = "", title: str = "", author: str = "") -> bytes:
    """A document of A4 pages. `header` and `footer` stand on every page, with `{page}` as its number."""
    file = io.BytesIO()

    def furniture(canvas: Canvas, _: Any) -> None:
        canvas.setFont("Helvetica", 8)
        canvas.drawString(60, 810, header.format(page=canvas.getPageNumber()))
        canvas.drawCentredString(297, 25, footer.format(page=canvas.getPageNumber()))

    document = BaseDocTemplate(file, pagesize=A4, title=title, author=author)
    width = (475 - 20 * (columns - 1)) / columns
    frames = [Frame(60 + n * (width + 20), 60, width, 720, leftPadding=0, rightPadding=0) for n in range(columns)]
    document.addPageTemplates(PageTemplate(frames=frames, onPage=furniture))
    document.build(list(flowables))
    return file.getvalue()


def drawn(*pages: Callable[[Canvas], None], title: str = "") -> bytes:
    """A document whose pages are drawn by these functions."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4)
    canvas.setTitle(title)
    for page in pages:
        page(canvas)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def scanned(*texts: str, first: str = "", stamp: str = "") -> bytes:
    """A document whose pages are pictures of these texts, after one page of real text where there is a `first`, each under a `stamp`."""

    def written(canvas: Canvas, text: str) -> None:
        canvas.setFont("Helvetica", 16)
        canvas.drawString(72, 700, text)

    pages: list[Callable[[Canvas], None]] = [partial(written, text=first)] if first else []
    for text in texts:
        document = pypdfium2.PdfDocument(drawn(partial(written, text=text)))
        picture = ImageReader(document[0].render(scale=200 / 72).to_pil())
        document.close()
        pages.append(partial(_show, picture=picture, stamp=stamp))
    return drawn(*pages)


def _show(canvas: Canvas, picture: ImageReader, stamp: str) -> None:
    canvas.drawImage(picture, 0, 0, 595, 842)
    canvas.setFont("Helvetica", 9)
    canvas.drawString(72, 815, stamp.format(page=canvas.getPageNumber()))


def paragraph(text: str, style: ParagraphStyle = BODY) -> Flowable:
    return Paragraph(text, style)


def table(rows: Sequence[Sequence[object]], *, ruled: bool = True, widths: Sequence[float] | None = None) -> Flowable:
    return Table([list(row) for row in rows], style=RULED if ruled else PLAIN, colWidths=widths, hAlign="LEFT")


def japanese(name: str = "HeiseiMin-W3", *, vertical: bool = False) -> str:
    """The name of a Japanese font, to be set with."""
    font = UnicodeCIDFont(name, isVertical=vertical)
    if vertical:
        font.fontName = font.name = f"{name}-V"
    pdfmetrics.registerFont(font)
    return str(font.fontName)


def objects(*bodies: bytes, trailer: str = "") -> bytes:
    """A PDF of these objects, numbered from 1, the first being its catalogue."""
    content, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n".encode()
    end = f"trailer\n<</Size {len(bodies) + 1}/Root 1 0 R{trailer}>>\nstartxref\n{len(content)}\n%%EOF".encode()
    return bytes(content) + head + table + end


FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


def one_page(contents: bytes, filters: bytes = b"") -> bytes:
    """A PDF of one page with these contents, filtered as said."""
    kept = b"<</Length %d%s>>stream\n%s\nendstream" % (len(contents), filters, contents)
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 5 0 R/Resources<</Font<</F1 4 0 R>>>>>>"
    return objects(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[3 0 R]>>", page, FONT, kept)


def empty_pages(count: int, claimed: int | None = None) -> bytes:
    """A PDF of so many pages with one line each, whose page tree claims another number."""
    kids = b" ".join(b"%d 0 R" % (number + 5) for number in range(count))
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 3 0 R>>>>>>"
    line = b"BT /F1 12 Tf 72 700 Td (One line.) Tj ET"
    tree = b"<</Type/Pages/Count %d/Kids[%s]>>" % (count if claimed is None else claimed, kids)
    contents = b"<</Length %d>>stream\n%s\nendstream" % (len(line), line)
    return objects(b"<</Type/Catalog/Pages 2 0 R>>", tree, FONT, contents, *[page] * count)


def bomb(size: int, layers: int) -> bytes:
    """A page whose contents inflate to `size` bytes, deflated so many times over."""
    contents = b" " * size
    for _ in range(layers):
        contents = zlib.compress(contents, 9)
    return one_page(contents, b"/Filter[" + b"/FlateDecode" * layers + b"]")
