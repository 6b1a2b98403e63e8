"""What runs on every page of a PDF: headers, footers, page numbers.

Content must not be taken for it. So only the outermost lines of a page can run; a line runs where the same one stands at the
edge of other pages, but for the page's number; and what runs is still said once, where it first stands, unless it is
nothing but the page's number.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from vectorstore.load.pdf_glyphs import Run, Sheet

MARGIN = 0.12
"""The share of a page's height, above and below, in which running lines stand."""
_LONGEST = 160
_WORD = r"(?:\b(?:page|seite|pagina|página|pág\.|p\.)|ページ|頁)\s*"
_PAGE_NUMBER = re.compile(
    rf"[-–—\s]*(?P<word>{_WORD}|第(?=\s*\d+\s*[ペ頁])\s*)?(?P<number>\d{{1,4}})(?:\s*(?:/|of|von|sur|de)\s*\d{{1,4}})?\s*(?:ページ|頁)?[-–—\s]*",
    re.IGNORECASE,
)
_INNER_NUMBER = re.compile(
    "|".join(
        (
            rf"{_WORD}(\d{{1,4}})(?=\s*(?:$|[|•·–—,-]|(?:/|of|von|sur|de)\s*\d))",
            r"(?<!\d)(\d{1,4})(?=\s*(?:ページ|頁))",
            r"^(\d{1,4})(?=\s*[|•·]|\s+[–—]\s|\s{2})",
            r"(?<=[|•·–—\s])\s(\d{1,4})$",
        )
    ),
    re.IGNORECASE,
)
"""A number within a line that may be the page's: beside a word for it, or set off at either end."""


def is_page_number(text: str, page: int) -> bool:
    """Whether a line is nothing but the number of this page, counted from 1, or says itself that it is a page's number."""
    number = _PAGE_NUMBER.fullmatch(text)
    return number is not None and bool(number["word"] or int(number["number"]) == page)


def keys(text: str, page: int) -> Iterator[str]:
    """What a line is known by on every page that it runs on: its text, and its text but for the page's number.

    A number is the page's if it goes along with the pages, so it is known by its distance from them: those of invoices,
    dates and prices do not.
    """
    if bare := _PAGE_NUMBER.fullmatch(text):
        yield f"#{int(bare['number']) - page}"
        return
    yield text
    for found in _INNER_NUMBER.finditer(text):
        place = found.lastindex or 0
        yield f"{text[: found.start(place)]}#{int(found[place]) - page}{text[found.end(place) :]}"


def enough(pages: int) -> int:
    """On how many of a file's pages a line must stand to be one that runs."""
    return 2 if pages < 6 else 3


class Running(NamedTuple):
    """What runs on a page: the places in its runs, and the lines that no page before it had."""

    dropped: set[int]
    said: list[str]


def running_lines(sheets: Sequence[Sheet]) -> list[Running]:
    """For each page its headers, footers and page numbers."""
    outer = [[*_lines(sheet, top=True), *_lines(sheet, top=False)] for sheet in sheets]
    seen: dict[tuple[str, int], set[int]] = defaultdict(set)
    for page, lines in enumerate(outer, 1):
        for run in (run for line in lines for _, run in line):
            for known in _known(run, page):
                seen[known].add(page)
    found = []
    for page, sheet in enumerate(sheets, 1):
        dropped: set[int] = set()
        said: list[str] = []
        for top in (True, False):
            for line in _lines(sheet, top=top):
                if not all(_runs(run, page, seen, len(sheets)) for _, run in line):
                    break  # what stands within is the page's own
                dropped.update(index for index, _ in line)
                said += [run.text for _, run in line if _is_first(run, page, seen)]
        found.append(Running(dropped, said) if len(dropped) < len(sheet.runs) else Running(set(), []))
    return found


def without(sheet: Sheet, dropped: Collection[int]) -> Sheet:
    return sheet._replace(runs=[run for index, run in enumerate(sheet.runs) if index not in dropped]) if dropped else sheet


def _lines(sheet: Sheet, *, top: bool) -> list[list[tuple[int, Run]]]:
    """The runs of one margin and their places, line by line, the outermost first."""
    inside = (run.y1 < MARGIN * sheet.height if top else run.y0 > (1 - MARGIN) * sheet.height for run in sheet.runs)
    placed = [(index, run) for (index, run), is_inside in zip(enumerate(sheet.runs), inside, strict=True) if is_inside]
    placed.sort(key=lambda one: one[1].y0 if top else -one[1].y1)
    lines: list[list[tuple[int, Run]]] = []
    for index, run in placed:
        if lines and _overlap(lines[-1][0][1], run):
            lines[-1].append((index, run))
        else:
            lines.append([(index, run)])
    return lines


def _overlap(one: Run, other: Run) -> bool:
    """Whether two runs stand on one line."""
    shared = min(one.y1, other.y1) - max(one.y0, other.y0)
    return shared > min(one.y1 - one.y0, other.y1 - other.y0) / 2


def _known(run: Run, page: int) -> Iterator[tuple[str, int]]:
    """Its keys at its height; heights that are about equal have one of two in common."""
    if len(run.text) < _LONGEST:
        for key in keys(run.text, page):
            yield key, int(run.y1 / 6) * 2
            yield key, int((run.y1 + 3) / 6) * 2 + 1


def _runs(run: Run, page: int, seen: Mapping[tuple[str, int], set[int]], pages: int) -> bool:
    return is_page_number(run.text, page) or any(len(seen[known]) >= enough(pages) for known in _known(run, page))


def _is_first(run: Run, page: int, seen: Mapping[tuple[str, int], set[int]]) -> bool:
    """Whether no page before has this line; no page has its bare number first."""
    return not _PAGE_NUMBER.fullmatch(run.text) and all(min(seen[known]) == page for known in _known(run, page))
