"""What runs on every page of a PDF: headers, footers, page numbers.

Content must not be taken for it. So only the outermost lines of a page can run, and none that is set as large as a heading or
is a bookmark; a line runs where the same one stands at the edge of other pages, but for the page's number; and what runs is still said
once, where it first stands, unless it is nothing but the page's number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from vectorstore.load.pdf_glyphs import Run, Sheet

MARGIN = 0.12
"""The share of a page's height, above and below, in which running lines stand."""
_LARGE = 1.3
"""Times the size of most of the text: what is larger is a heading."""
_LONGEST = 160
_WORD = r"(?:\b(?:page|seite|pagina|página|pág\.|p\.)|ページ|頁)\s*+"
_TOTAL = r"\s*+(?:/|of|von|sur|de)\s*+(?P<total>\d{1,5})"
_PAGE_NUMBER = re.compile(
    rf"[-–—\s]*+(?P<word>{_WORD}|第(?=\s*+\d+\s*+[ペ頁])\s*+)?(?P<number>\d{{1,5}})(?:{_TOTAL})?+\s*+(?:ページ|頁)?+[-–—\s]*+", re.IGNORECASE
)
_SAID = re.compile(rf"({_WORD})\d{{1,5}}(?=\s*(?:$|[|•·–—,/-]|(?:of|von|sur|de)\s*\d))|(?<!\d)\d{{1,5}}(?=\s*(?:ページ|頁))", re.IGNORECASE)
"""A number within a line beside a word that says what it is."""
_SET_OFF = re.compile(rf"^(\d{{1,5}})(?=\s*[|•·]|\s+[–—]\s|\s{{2}})|(?<=[|•·–—\s-])\s(\d{{1,5}})(?:{_TOTAL})?$", re.IGNORECASE)
"""A number that is set off at either end of a line."""


class Place(NamedTuple):
    """Where a page stands in its file: its number, counted from 1, of how many, and what the file itself calls it."""

    number: int
    of: int
    label: str = ""

    def is_its(self, number: str, total: str | None = None) -> bool:
        """Whether a number may be this page's, and `total` the last one's. Those of invoices, dates and prices are not."""
        return (int(number) == self.number or number == self.label) and (total is None or int(total) == self.of)


def is_page_number(text: str, place: Place) -> bool:
    """Whether a line is nothing but the number of this page, or says itself that it is a page's number."""
    found = _PAGE_NUMBER.fullmatch(text) if len(text) < _LONGEST else None
    return found is not None and bool(found["word"] or place.is_its(found["number"], found["total"]))


def key(text: str, place: Place) -> str:
    """What a line is known by on every page that it runs on: its text but for the page's number."""
    if len(text) >= _LONGEST:
        return text
    text = _SAID.sub(lambda found: f"{found[1] or ''}#", text)
    return _SET_OFF.sub(lambda found: "#" if place.is_its(found[1] or found[2], found["total"]) else found[0], text)


class Pages:
    """On how many pages lines stand, and on which first."""

    def __init__(self, count: int) -> None:
        self._enough = 2 if count < 6 else 3
        self._first: dict[object, int] = {}
        self._last: dict[object, int] = {}
        self._seen: Counter[object] = Counter()

    def note(self, known: object, page: int) -> None:
        """A line stands on a page; pages come in their order."""
        self._first.setdefault(known, page)
        if self._last.get(known) != page:
            self._last[known] = page
            self._seen[known] += 1

    def has_enough(self, known: object) -> bool:
        """Whether it stands on so many pages that it runs."""
        return self._seen[known] >= self._enough

    def is_first(self, known: object, page: int) -> bool:
        return self._first[known] == page


class Running(NamedTuple):
    """What runs on a page: the places in its runs, and the lines above and below that no page before it had."""

    dropped: set[int]
    above: list[str]
    below: list[str]


def running_lines(sheets: Sequence[Sheet], places: Sequence[Place], titles: Collection[str] = ()) -> list[Running]:
    """For each page its headers, footers and page numbers. `titles` are those of bookmarks, whose lines are headings."""
    largest = _LARGE * _usual_size(sheets)
    pages = Pages(len(sheets))
    margins = [(_lines(sheet, place, top=True), _lines(sheet, place, top=False)) for sheet, place in zip(sheets, places, strict=True)]
    for place, margin in zip(places, margins, strict=True):
        for known in (known for lines in margin for line in lines for outer in line for known in outer.known):
            pages.note(known, place.number)
    found = []
    for sheet, place, margin in zip(sheets, places, margins, strict=True):
        dropped: set[int] = set()
        said: tuple[list[str], list[str]] = [], []
        for lines, into in zip(margin, said, strict=True):
            for line in lines:
                if any(outer.run.size > largest or outer.run.text in titles or not outer.runs(pages) for outer in line):
                    break  # what stands within is the page's own
                dropped.update(outer.at for outer in line)
                into += [outer.run.text for outer in line if outer.is_first(pages, place.number)]
        found.append(Running(dropped, said[0], said[1][::-1]) if len(dropped) < len(sheet.runs) else Running(set(), [], []))
    return found


def without(sheet: Sheet, dropped: Collection[int]) -> Sheet:
    return sheet._replace(runs=[run for index, run in enumerate(sheet.runs) if index not in dropped]) if dropped else sheet


def _usual_size(sheets: Iterable[Sheet]) -> float:
    letters: Counter[float] = Counter()
    for sheet in sheets:
        for run in sheet.runs:
            letters[run.size] += len(run.text)
    return letters.most_common(1)[0][0] if letters else 0.0


class _Outer(NamedTuple):
    """A run in a margin, `at` its index among those of the page, and what it is known by: heights about equal have one of two keys in common."""

    at: int
    run: Run
    known: tuple[tuple[str, int], tuple[str, int]]
    is_number: bool
    """Of the page, and nothing else."""

    def runs(self, pages: Pages) -> bool:
        return self.is_number or (len(self.run.text) < _LONGEST and any(map(pages.has_enough, self.known)))

    def is_first(self, pages: Pages, page: int) -> bool:
        """Whether no page before has this line; a page's number is no line of its own."""
        return not self.is_number and all(pages.is_first(known, page) for known in self.known)


def _outer(index: int, run: Run, place: Place) -> _Outer:
    text = key(run.text, place)
    known = (text, int(run.y1 / 6) * 2), (text, int((run.y1 + 3) / 6) * 2 + 1)
    return _Outer(index, run, known, is_page_number(run.text, place))


def _lines(sheet: Sheet, place: Place, *, top: bool) -> list[list[_Outer]]:
    """The runs of one margin, line by line, the outermost first."""
    inside = (run.y1 < MARGIN * sheet.height if top else run.y0 > (1 - MARGIN) * sheet.height for run in sheet.runs)
    placed = [_outer(index, run, place) for (index, run), is_inside in zip(enumerate(sheet.runs), inside, strict=True) if is_inside]
    placed.sort(key=lambda outer: outer.run.y0 if top else -outer.run.y1)
    lines: list[list[_Outer]] = []
    for outer in placed:
        if lines and _overlap(lines[-1][0].run, outer.run):
            lines[-1].append(outer)
        else:
            lines.append([outer])
    return lines


def _overlap(one: Run, other: Run) -> bool:
    """Whether two runs stand on one line."""
    shared = min(one.y1, other.y1) - max(one.y0, other.y0)
    return shared > min(one.y1 - one.y0, other.y1 - other.y0) / 2
