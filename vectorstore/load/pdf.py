"""PDF to reading text: columns in their order, headings, tables, and no running lines.

PDFium reads the file; where each letter stands, how large and how heavy it is, says the rest.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import pypdfium2

from llmops.errors import InvalidInput
from vectorstore.load import ocr
from vectorstore.load.decode import clean
from vectorstore.load.limits import OverLimit, can_read_pictures, now
from vectorstore.load.parsed import NO_TEXT, Failed, Fields, Parsed, TextBuilder
from vectorstore.load.pdf_bounds import refuse_bombs, refuse_lost_pages
from vectorstore.load.pdf_glyphs import Sheet, sheet_of
from vectorstore.load.pdf_headings import first_large, mark_headings, running_lines, without
from vectorstore.load.pdf_layout import Part, parts_of

SHARE_OF_TIME = 0.8
"""Of the time of one file, for its pages: less than all of it, so that the reason can be told."""
_MOST_BOOKMARKS = 5000
_NO_TITLE = re.compile(r"untitled|microsoft word|powerpoint|\.(?:docx?|pdf|pptx?|tex|indd|qxd)$|^\W*$|^\w+_\w+$", re.IGNORECASE)
_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?")
_PASSWORD = 4
"""PDFium's code for a file that asks for one."""


def load(content: bytes, name: str, fields: Fields) -> list[Parsed | Failed]:
    """A PDF file as one document whose blocks know their page.

    Pages without text are recognised where Tesseract is installed; else they are counted in `pages_without_text`.
    """
    limits = now()
    deadline = time.monotonic() + limits.seconds * SHARE_OF_TIME
    refuse_bombs(content)
    document = _opened(content)
    try:
        count = len(document)
        if count > limits.pages:
            raise OverLimit(f"has {count:,} pages, {limits.pages:,} are read", hint="split it, or raise [parsing] max_pages in llmops.toml")
        refuse_lost_pages(content, count)
        sheets = _sheets(document, count, deadline)
        empty = [page for page, sheet in enumerate(sheets) if not sheet.runs]
        texts = ocr.recognised(document, empty, deadline) if empty else {}
        metadata = _metadata(document, count, len(empty) - len(texts))
        parts = _parts(sheets, texts, _outline(document), deadline)
        title = document.get_metadata_value("Title")
    finally:
        document.close()
    if not parts:
        raise _no_text(count)
    stem = PurePosixPath(name).stem
    large = next(first_large(parts), "")
    return [_built(parts).finish((large or stem) if _NO_TITLE.search(title) else title, metadata)]


def _opened(content: bytes) -> Any:
    if not content:
        raise InvalidInput("broken PDF: the file is empty", hint="copy it again")
    if content.find(b"%PDF", 0, 1024) < 0:
        raise InvalidInput("broken PDF: it does not begin as one", hint="is this another kind of file with the name of a PDF?")
    try:
        return pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        if error.err_code == _PASSWORD:
            raise InvalidInput("the PDF is encrypted", hint="remove its password first") from error
        raise InvalidInput("broken PDF: it cannot be opened", hint="save it again from a PDF reader, or copy it again") from error


def _sheets(document: Any, count: int, deadline: float) -> list[Sheet]:
    """What is written on each page. A page that cannot be read is an empty one, unless all of them are."""
    sheets: list[Sheet] = []
    broken = 0
    for number in range(1, count + 1):
        _look_at(deadline, number, count)
        try:
            page = document[number - 1]
        except pypdfium2.PdfiumError:
            broken += 1
            sheets.append(Sheet(0.0, 0.0, [], []))
            continue
        try:
            sheets.append(sheet_of(page, number))
        finally:
            page.close()
    if broken == count:
        raise InvalidInput("broken PDF: none of its pages can be read", hint="save it again from a PDF reader, or copy it again")
    return sheets


def _look_at(deadline: float, number: int, count: int) -> None:
    if time.monotonic() > deadline:
        reason = f"takes longer than {now().seconds * SHARE_OF_TIME:.0f} seconds: {number - 1:,} of {count:,} pages were read"
        raise OverLimit(reason, hint="split it, or raise [parsing] seconds in llmops.toml")


def _parts(sheets: Sequence[Sheet], texts: dict[int, list[str]], outline: dict[int, list[tuple[int, str]]], deadline: float) -> list[Part]:
    dropped = running_lines([(sheet.height, sheet.runs) for sheet in sheets])
    parts: list[Part] = []
    for index, sheet in enumerate(sheets):
        _look_at(deadline, index + 1, len(sheets))
        if index in texts:
            parts += [Part("paragraph", text, index + 1) for text in texts[index]]
        else:
            parts += parts_of(without(sheet, dropped[index]), index + 1)
    mark_headings(parts, outline)
    return parts


def _outline(document: Any) -> dict[int, list[tuple[int, str]]]:
    """The bookmarks by the page that they lead to, counted from 1: level and title."""
    found: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for number, bookmark in enumerate(document.get_toc(max_depth=6)):
        if number >= _MOST_BOOKMARKS:
            break
        goal = bookmark.get_dest()
        index = goal.get_index() if goal else None
        if index is not None:
            found[index + 1].append((bookmark.level + 1, bookmark.get_title()))
    return found


def _metadata(document: Any, count: int, without_text: int) -> dict[str, str | int]:
    metadata: dict[str, str | int] = {"pages": count}
    if without_text:
        metadata["pages_without_text"] = without_text
    if author := " ".join(clean(document.get_metadata_value("Author")).split()):
        metadata["author"] = author
    if date := _DATE.match(document.get_metadata_value("CreationDate")):
        metadata["created"] = "-".join(filter(None, date.groups()))
    return metadata


def _built(parts: Sequence[Part]) -> TextBuilder:
    builder = TextBuilder()
    item_before = False
    for part in parts:
        builder.page = part.page
        if part.level:
            builder.heading(part.level, part.text)
        else:
            builder.add(part.kind, part.text, tight=item_before and part.kind == "item")
        item_before = part.kind == "item"
    return builder


def _no_text(count: int) -> InvalidInput:
    pages = "its page is an image" if count == 1 else f"all {count:,} pages are images"
    return (InvalidInput if can_read_pictures() else OverLimit)(f"{NO_TEXT}: {pages}", hint=ocr.hint())
