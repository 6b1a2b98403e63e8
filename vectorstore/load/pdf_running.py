"""What runs on every page of a PDF: headers, footers, page numbers.

Content must not be taken for it. So only the outermost lines of a page can run, and none that is set as large as a heading or
is a bookmark of its page; a line runs where the same one, as a whole, stands at the same place of enough pages, but for the page's
number, which has to go along with the pages; and what runs is still said once, where it first stands, unless it is nothing but the number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from vectorstore.load.pdf_glyphs import Run, Sheet
from vectorstore.load.pdf_headings import LARGE, is_bookmark
from vectorstore.load.pdf_numbers import Mark, Place, is_number, marks, says_page, spelled, without

MARGIN = 0.12
"""The share of a page's height, above and below, in which running lines stand."""
ENOUGH = 3
"""Pages on which a line runs, ..."""
DENSE = 3
"""... at least every third one between its first and its last: what stands on a few of many pages is repeated by chance."""
MOST_CELLS = 20
"""Of a line in which the page's number is looked for."""
_HEIGHT = 6.0
"""Points. Lines whose heights differ by less than half of it stand at the same place."""
_JOINT = "  "


class Key(NamedTuple):
    """What a line is known by on every page that it runs on: its place, its cells, and how far the number in them is ahead of the page's."""

    place: Hashable
    cells: tuple[str, ...]
    ahead: int | None


class Line(NamedTuple):
    """A line at the edge of a page: the keys that it may be known by, and whether it says nothing but the page's number."""

    keys: tuple[Key, ...]
    is_number: bool
    says_page: bool


def line_of(cells: Sequence[str], page: Place, places: Sequence[Hashable]) -> Line:
    """A line by the texts of its cells. `places` are names of where it stands, one of which it shares with the same line of another page."""
    texts = tuple(map(spelled, cells))
    # A number between other cells is a table's; those of many cells are none of a header or a footer.
    ends = sorted({0, len(texts) - 1}) if len(texts) <= MOST_CELLS else []
    found = [(cell, mark) for cell in ends for mark in marks(texts[cell], page, is_whole=len(texts) == 1)]
    # A number may stand at both ends of a line, and that of the last page beside its own.
    together = [tuple(one for one in found if one[1].ahead == ahead) for ahead in {mark.ahead for _, mark in found}]
    masks = dict.fromkeys([*together, *((one,) for one in found)])
    named = [Key("", texts, None), *(Key("", _masked(texts, mask), mask[0][1].ahead) for mask in masks)]
    keys = [key._replace(place=place) for key in named for place in places]
    only_number = len(texts) == 1 and is_number(texts[0], page)
    if only_number:
        keys += [Key("anywhere", ("#",), mask[0][1].ahead) for mask in together]
    return Line(tuple(keys), only_number, len(texts) == 1 and says_page(texts[0], page))


def _masked(texts: Sequence[str], numbers: Sequence[tuple[int, Mark]]) -> tuple[str, ...]:
    return tuple(without(text, [mark for of, mark in numbers if of == cell]) for cell, text in enumerate(texts))


class Pages:
    """On how many pages lines stand, on which first, and on which last."""

    def __init__(self) -> None:
        self._first: dict[Key, int] = {}
        self._last: dict[Key, int] = {}
        self._seen: Counter[Key] = Counter()

    def note(self, line: Line, page: int) -> None:
        """A line stands on a page; pages come in their order."""
        for key in line.keys:
            self._first.setdefault(key, page)
            if self._last.get(key) != page:
                self._last[key] = page
                self._seen[key] += 1

    def runs(self, line: Line) -> bool:
        return line.says_page or any(map(self._runs, line.keys))

    def is_said(self, line: Line, page: int) -> bool:
        """Whether a page before has this running line; one that is the page's number alone need not be said at all."""
        if line.says_page:
            return True
        running = [key for key in line.keys if self._runs(key)]
        if line.is_number and any(key.ahead is not None for key in running):
            return True
        return any(self._first[key] < page for key in running)

    def _runs(self, key: Key) -> bool:
        seen = self._seen[key]
        return seen >= ENOUGH and DENSE * seen > self._last[key] - self._first[key]


class Running(NamedTuple):
    """What runs on a page: the places in its runs, and the lines above and below that no page before it had."""

    dropped: set[int]
    above: list[str]
    below: list[str]


def running_lines(sheets: Sequence[Sheet], places: Sequence[Place], outline: Mapping[int, Sequence[tuple[int, str]]] | None = None) -> list[Running]:
    """For each page its headers, footers and page numbers. `outline`: by page, the levels and titles of the bookmarks that lead there."""
    largest = LARGE * _usual_size(sheets)
    pages = Pages()
    margins = [(_lines(sheet, place, top=True), _lines(sheet, place, top=False)) for sheet, place in zip(sheets, places, strict=True)]
    for place, margin in zip(places, margins, strict=True):
        for outer in [*margin[0], *margin[1]]:
            pages.note(outer.line, place.number)
    found = []
    for sheet, place, margin in zip(sheets, places, margins, strict=True):
        titles = (outline or {}).get(place.number, ())
        dropped: set[int] = set()
        said: tuple[list[str], list[str]] = [], []
        for lines, into in zip(margin, said, strict=True):
            for outer in lines:
                if outer.size > largest or is_bookmark(outer.text, titles) or not pages.runs(outer.line):
                    break  # what stands within is the page's own
                dropped.update(outer.at)
                if not pages.is_said(outer.line, place.number):
                    into.append(outer.text)
        found.append(Running(dropped, said[0], said[1][::-1]) if len(dropped) < len(sheet.runs) else Running(set(), [], []))
    return found


def left_of(sheet: Sheet, running: Running) -> Sheet:
    """The page without what runs on it."""
    return sheet._replace(runs=[run for index, run in enumerate(sheet.runs) if index not in running.dropped]) if running.dropped else sheet


def within_margins(sheet: Sheet) -> bool:
    """Whether all that is written on a page stands where headers and footers do."""
    return all(_is_inside(sheet, run, top=True) or _is_inside(sheet, run, top=False) for run in sheet.runs)


def _usual_size(sheets: Iterable[Sheet]) -> float:
    letters: Counter[float] = Counter()
    for sheet in sheets:
        for run in sheet.runs:
            letters[round(run.size * 2) / 2] += len(run.text)
    return letters.most_common(1)[0][0] if letters else 0.0


class _Outer(NamedTuple):
    """A line in a margin: the indexes of its runs among those of the page, its text and its largest letters."""

    at: tuple[int, ...]
    text: str
    size: float
    line: Line


def _lines(sheet: Sheet, place: Place, *, top: bool) -> list[_Outer]:
    """The lines of one margin, the outermost first."""
    inside = [(index, run) for index, run in enumerate(sheet.runs) if _is_inside(sheet, run, top=top)]
    inside.sort(key=lambda placed: placed[1].y0 if top else -placed[1].y1)
    lines: list[list[tuple[int, Run]]] = []
    for placed in inside:
        if lines and _overlap(lines[-1][0][1], placed[1]):
            lines[-1].append(placed)
        else:
            lines.append([placed])
    return [_outer(sorted(line, key=lambda placed: placed[1].x0), place) for line in lines]


def _is_inside(sheet: Sheet, run: Run, *, top: bool) -> bool:
    return run.y1 < MARGIN * sheet.height if top else run.y0 > (1 - MARGIN) * sheet.height


def _outer(line: Sequence[tuple[int, Run]], place: Place) -> _Outer:
    texts = [run.text for _, run in line]
    lower = max(run.y1 for _, run in line)
    heights = ("even", int(lower / _HEIGHT)), ("odd", int(lower / _HEIGHT + 0.5))
    return _Outer(tuple(index for index, _ in line), _JOINT.join(texts), max(run.size for _, run in line), line_of(texts, place, heights))


def _overlap(one: Run, other: Run) -> bool:
    """Whether two runs stand on one line."""
    shared = min(one.y1, other.y1) - max(one.y0, other.y0)
    return shared > min(one.y1 - one.y0, other.y1 - other.y0) / 2
