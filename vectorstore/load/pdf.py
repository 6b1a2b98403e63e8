"""PDF to reading text: columns in their order, headings, tables, and what runs on every page said once.

PDFium reads the file; where each letter stands, how large and how heavy it is, says the rest.
"""

from __future__ import annotations

import ctypes
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import pypdfium2
from pypdfium2 import raw

from llmops.errors import InvalidInput
from vectorstore.load import ocr
from vectorstore.load.decode import clean
from vectorstore.load.limits import OverLimit, can_read_pictures, now
from vectorstore.load.parsed import NO_TEXT, PLAIN_PAGES, UNREAD_PAGES, Failed, Fields, Parsed, TextBuilder
from vectorstore.load.pdf_bounds import refuse_bombs, refuse_lost_pages
from vectorstore.load.pdf_glyphs import Sheet, sheet_of
from vectorstore.load.pdf_headings import bare, first_large, mark_headings
from vectorstore.load.pdf_labels import page_labels
from vectorstore.load.pdf_layout import Part, parts_of
from vectorstore.load.pdf_numbers import Place
from vectorstore.load.pdf_plain import plain_texts
from vectorstore.load.pdf_running import left_of, running_lines, within_margins

_SHORT = 100
"""Pages of a file whose layout is read in any case."""
FOR_SHEETS, _FOR_PARTS, _FOR_ALL = 0.6, 0.7, 0.8
"""By when, as a share of a file's time, its pages are read: less than all of it, so that the reason can be told."""
_MOST_BOOKMARKS = 5000
_LONGEST_PROPERTY = 1000
_STAMPED, _STAMP = 3, 200
"""Lines and characters that a page may have besides a picture: where of its words it is not known where they stand."""
_NO_TITLE = re.compile(r"untitled|microsoft word|powerpoint|\.(?:docx?|pdf|pptx?|tex|indd|qxd)$|^\W*$|^\w+_\w+$", re.IGNORECASE)
_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?")
_PASSWORD = 4
"""PDFium's code for a file that asks for one."""


def load(content: bytes, name: str, fields: Fields) -> list[Parsed | Failed]:
    """A PDF file as one document whose blocks know their page.

    Pages without text are recognised where Tesseract is installed; else they are counted in `pages_without_text`. Of a
    long file the pages for whose layout there is no time have their words alone, counted in `pages_without_layout`.
    """
    limits = now()
    clock = _Clock(limits.seconds)
    refuse_bombs(content)
    document = _opened(content)
    try:
        count = len(document)
        if count > limits.pages:
            raise OverLimit(f"has {count:,} pages, {limits.pages:,} are read", hint="split it, or raise [parsing] max_pages in llmops.toml")
        refuse_lost_pages(content, count)
        places = [Place(index + 1, count, clean(label)) for index, label in enumerate(page_labels(content, count))]
        plain = _plain(document, places, clock)
        for_sheets, for_parts = (FOR_SHEETS, _FOR_PARTS) if plain else (_FOR_ALL, _FOR_ALL)
        sheets = _sheets(document, count, lambda: clock.is_past(for_sheets))
        _check_whole(plain or sheets, count)
        outline = _outline(document)
        laid_out = _laid_out(sheets, places, outline, lambda: clock.is_past(for_parts))
        _check_whole(plain or laid_out, count)
        empty = [page for page in range(count) if _is_picture(document, page, sheets[page] if page < len(laid_out) else plain[page])]
        recognised = ocr.recognised(document, empty, clock.deadline(_FOR_ALL)) if empty else {}
        texts = _beyond(recognised, {page: _read(sheets[page] if page < len(laid_out) else plain[page]) for page in recognised})
        metadata = _metadata(document, count, len(empty) - len(texts), count - len(laid_out))
        title = _property(document, "Title")
    finally:
        document.close()
    parts = [part for page, found in enumerate(laid_out) for part in [*found, *_recognised(texts.get(page, ()), page)]]
    mark_headings(parts, outline)
    large = next(first_large(parts), "")
    builder = _built(parts)
    for page in range(len(laid_out), count):
        _add_plainly(builder, page + 1, [*filter(None, [plain[page]]), *texts.get(page, ())], outline)
    if builder.is_empty:
        raise _no_text(count)
    stem = PurePosixPath(name).stem
    return [builder.finish((large or stem) if _NO_TITLE.search(title) else title, metadata)]


class _Clock:
    """The time of one file. Where the machine has less than half a processor for it, it is not up: the parent ends us, and has it read again."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._began, self._computed = seconds, time.monotonic(), time.process_time()

    def is_past(self, share: float) -> bool:
        passed, computed = time.monotonic() - self._began, time.process_time() - self._computed
        return passed > share * self._seconds and computed > share * self._seconds / 2

    def deadline(self, share: float) -> float:
        """Of the monotonic clock, for other programs."""
        return self._began + share * self._seconds


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


def _plain(document: Any, places: Sequence[Place], clock: _Clock) -> list[str]:
    """The words of each page of a file that may be too long to have its layout read; nothing of others."""
    if len(places) <= _SHORT:
        return []
    found = plain_texts(document, places, lambda: clock.is_past(_FOR_ALL))
    _check_whole(found, len(places))
    return found


def _sheets(document: Any, count: int, is_over: Callable[[], bool]) -> list[Sheet]:
    """What is written on each page until the time is over. A page that cannot be read is an empty one, unless all of them are."""
    sheets: list[Sheet] = []
    broken = 0
    for number in range(1, count + 1):
        if is_over():
            break
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


def _laid_out(
    sheets: Sequence[Sheet], places: Sequence[Place], outline: Mapping[int, Sequence[tuple[int, str]]], is_over: Callable[[], bool]
) -> list[list[Part]]:
    """What stands on each page, in the order in which it is read, until the time is over."""
    running = running_lines(sheets, places[: len(sheets)], outline)
    pages: list[list[Part]] = []
    for index, sheet in enumerate(sheets):
        if is_over():
            break
        above, below = ([Part("running", text, index + 1) for text in said] for said in (running[index].above, running[index].below))
        pages.append([*above, *parts_of(left_of(sheet, running[index]), index + 1), *below])
    return pages


def _check_whole(read: Sequence[object], count: int) -> None:
    """Refuse a file of which there was no time for every page."""
    if len(read) < count:
        reason = f"takes longer than {now().seconds * _FOR_ALL:.0f} seconds: {len(read):,} of {count:,} pages were read"
        raise OverLimit(reason, hint="split it, or raise [parsing] seconds in llmops.toml")


def _is_picture(document: Any, page: int, read: Sheet | str) -> bool:
    """Whether a page has no text of its own, or a stamp, a header or a number alone above a picture that fills it."""
    if not isinstance(read, str):
        return not read.runs or (within_margins(read) and ocr.is_filled(document, page))
    return not read or (read.count("\n") < _STAMPED and len(read) < _STAMP and ocr.is_filled(document, page))


def _beyond(recognised: Mapping[int, Sequence[str]], read: Mapping[int, Sequence[str]]) -> dict[int, list[str]]:
    """What was recognised on pages besides the lines that could be read there: a stamp is in the picture too."""
    known = {page: {bare(line) for line in lines} | {bare("".join(lines))} for page, lines in read.items()}
    new = {page: [text for text in texts if bare(text) not in known[page]] for page, texts in recognised.items()}
    return {page: texts for page, texts in new.items() if texts}


def _read(page: Sheet | str) -> list[str]:
    return page.split("\n") if isinstance(page, str) else [run.text for run in page.runs]


def _recognised(paragraphs: Sequence[str], page: int) -> list[Part]:
    return [Part("paragraph", text, page + 1) for text in paragraphs]


def _outline(document: Any) -> dict[int, list[tuple[int, str]]]:
    """The bookmarks by the page that they lead to, counted from 1: level and title."""
    found: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for number, bookmark in enumerate(document.get_toc(max_depth=6)):
        if number >= _MOST_BOOKMARKS:
            break
        goal = bookmark.get_dest()
        index = goal.get_index() if goal else None
        if index is not None:
            found[index + 1].append((bookmark.level + 1, clean(_spelled(partial(raw.FPDFBookmark_GetTitle, bookmark)))))
    return found


def _metadata(document: Any, count: int, unread: int, plain: int) -> dict[str, str | int]:
    metadata: dict[str, str | int] = {"pages": count}
    if unread:
        metadata[UNREAD_PAGES] = unread
    if plain:
        metadata[PLAIN_PAGES] = plain
    if author := " ".join(clean(_property(document, "Author")).split()):
        metadata["author"] = author
    if date := _DATE.match(_property(document, "CreationDate")):
        metadata["created"] = "-".join(filter(None, date.groups()))
    return metadata


def _property(document: Any, name: str) -> str:
    return _spelled(partial(raw.FPDF_GetMetaText, document, name.encode() + b"\0"))[:_LONGEST_PROPERTY]


def _spelled(write: Callable[[Any, int], int]) -> str:
    """What PDFium writes into a buffer of so many bytes. A file may cut its text in the middle of a character."""
    buffer = ctypes.create_string_buffer(size := write(None, 0))
    write(buffer, size)
    return buffer.raw.decode("utf-16-le", "replace").rstrip("\0")


def _built(parts: Sequence[Part]) -> TextBuilder:
    builder = TextBuilder()
    item_before = False
    for part in parts:
        builder.page = part.page
        if part.level:
            builder.heading(part.level, part.text)
        else:
            builder.add("paragraph" if part.kind == "running" else part.kind, part.text, tight=item_before and part.kind == "item")
        item_before = part.kind == "item"
    return builder


def _add_plainly(builder: TextBuilder, page: int, paragraphs: Sequence[str], outline: Mapping[int, Sequence[tuple[int, str]]]) -> None:
    """Add a page's words, under the bookmarks that lead there; without any bookmarks nobody knows under which heading it stands."""
    builder.page = page
    if not outline:
        builder.leave(1)
    for level, title in outline.get(page, ()):
        builder.heading(level, title)
    for text in paragraphs:
        builder.add("paragraph", text)


def _no_text(count: int) -> InvalidInput:
    pages = "its page is an image" if count == 1 else f"all {count:,} pages are images"
    return (InvalidInput if can_read_pictures() else OverLimit)(f"{NO_TEXT}: {pages}", hint=ocr.hint())
