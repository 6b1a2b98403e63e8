"""The words of a PDF's pages as PDFium strings them together: for pages whose layout there is no time to read.

It is some ten times as fast as the layout, and knows neither columns nor headings nor tables.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from itertools import pairwise
from typing import Any

import pypdfium2

from vectorstore.load.decode import clean
from vectorstore.load.lines import goes_on, joined, width

_EDGE = 2
"""Lines above and below in which what runs on every page stands."""
_REPEATED = 3
_HYPHEN = re.compile(r"[\ufffe\x02](?:\r\n)?")
"""What PDFium makes of a hyphen at the end of a line; it may leave the end itself out."""
_PARTED = re.compile(r"(?<=[^\W\d_])-\n(?=[a-zà-öø-ÿ])")
_NUMBER = re.compile(r"[-–—\s]*\d{1,4}[-–—\s]*")


def plain_texts(document: Any, deadline: float) -> list[str]:
    """The text of each page, up to the deadline (of the monotonic clock): there may be fewer than there are pages."""
    pages: list[list[str]] = []
    for number in range(len(document)):
        if time.monotonic() > deadline:
            break
        pages.append(_lines(document, number))
    edges = Counter(line for lines in pages for line in set(lines[:_EDGE] + lines[-_EDGE:]))
    return [_paragraph(_without_running(lines, edges)) for lines in pages]


def _lines(document: Any, number: int) -> list[str]:
    try:
        page = document[number]
    except pypdfium2.PdfiumError:
        return []
    try:
        text = _HYPHEN.sub("-\n", page.get_textpage().get_text_range()).replace("\r\n", "\n")
    finally:
        page.close()
    return [line.strip() for line in clean(text).split("\n") if line.strip()]


def _without_running(lines: list[str], edges: Counter[str]) -> list[str]:
    def runs(line: str) -> bool:
        return edges[line] >= _REPEATED or _NUMBER.fullmatch(line) is not None

    inner = lines[_EDGE:-_EDGE] if len(lines) > 2 * _EDGE else []
    if not inner:
        return lines
    return [*(line for line in lines[:_EDGE] if not runs(line)), *inner, *(line for line in lines[-_EDGE:] if not runs(line))]


def _paragraph(lines: list[str]) -> str:
    limit = max(map(width, lines), default=0) - 10
    found = lines[:1]
    for line, after in pairwise(lines):
        if (line.endswith("-") and after[0].islower()) or goes_on(line, after, limit):
            found[-1] = joined(_PARTED.sub("", f"{found[-1]}\n{after}"))
        else:
            found.append(after)
    return "\n".join(found)
