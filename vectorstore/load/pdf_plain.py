"""The words of a PDF's pages as PDFium strings them together: for pages whose layout there is no time to read.

It is some ten times as fast as the layout, and knows neither columns nor headings nor tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, takewhile
from typing import Any

import pypdfium2

from vectorstore.load.decode import clean
from vectorstore.load.lines import goes_on, joined, width
from vectorstore.load.pdf_glyphs import MOST_GLYPHS, too_many_glyphs
from vectorstore.load.pdf_numbers import Place
from vectorstore.load.pdf_running import Line, Pages, line_of

_EDGE = 2
"""Lines above and below in which what runs on every page stands."""
_HYPHEN = re.compile(r"[\ufffe\x02](?:\r\n)?")
"""What PDFium makes of a hyphen at the end of a line; it may leave the end itself out."""


def plain_texts(document: Any, places: Sequence[Place], is_over: Callable[[], bool]) -> list[str]:
    """The text of each page until the time is over: there may be fewer than there are pages."""
    read: list[tuple[list[str], dict[int, Line]]] = []
    pages = Pages()
    for place in places:
        if is_over():
            break
        lines = _lines(document, place.number - 1)
        read.append((lines, edges := _edges(lines, place)))
        for line in edges.values():
            pages.note(line, place.number)
    found: list[str] = []
    for place, (lines, edges) in zip(places, read, strict=False):
        if is_over():
            break
        found.append(_paragraph(_without_running(lines, edges, pages, place)))
    return found


def _lines(document: Any, number: int) -> list[str]:
    try:
        page = document[number]
    except pypdfium2.PdfiumError:
        return []
    try:
        text = _HYPHEN.sub("-\n", _text_of(page, number)).replace("\r\n", "\n")
    finally:
        page.close()
    return [line.strip() for line in clean(text).split("\n") if line.strip()]


def _text_of(page: Any, number: int) -> str:
    text = page.get_textpage()
    if (count := text.count_chars()) > MOST_GLYPHS:
        raise too_many_glyphs(number + 1, count)
    return str(text.get_text_range())


def _edges(lines: Sequence[str], place: Place) -> dict[int, Line]:
    """The outermost lines by their index, below from -1 down; none of a page that has no others."""
    if len(lines) <= 2 * _EDGE:
        return {}
    return {index: line_of([lines[index]], place, [index]) for index in range(-_EDGE, _EDGE)}


def _without_running(lines: list[str], edges: Mapping[int, Line], pages: Pages, place: Place) -> list[str]:
    """The lines without the page's number, and without headers and footers that a page before has. What may be a text of its own stays."""
    above = list(takewhile(lambda index: pages.runs(edges[index]), range(_EDGE))) if edges else []
    below = list(takewhile(lambda index: pages.runs(edges[index]), range(-1, -_EDGE - 1, -1))) if edges else []
    said = {index % len(lines) for index in [*above, *below] if pages.is_said(edges[index], place.number)}
    return [line for index, line in enumerate(lines) if index not in said]


def _paragraph(lines: list[str]) -> str:
    limit = max(map(width, lines), default=0) - 10
    parts = lines[:1]
    for line, after in pairwise(lines):
        if line.endswith("-") and len(line) > 1 and line[-2].isalpha() and after[0].islower():
            parts[-1] = parts[-1].removesuffix("-")
        elif goes_on(line, after, limit):
            parts.append("" if joined(f"{line[-1]}\n{after[0]}") == line[-1] + after[0] else " ")
        else:
            parts.append("\n")
        parts.append(after)
    return "".join(parts)
