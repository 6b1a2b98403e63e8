"""What a paragraph of a PDF is in its document: a heading of some level, a line that runs on every page, or text."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from vectorstore.load.pdf_glyphs import Run, Sheet
from vectorstore.load.pdf_layout import Part

MARGIN = 0.12
"""The share of a page's height, above and below, in which running lines stand."""
_LONGEST = 160
_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(
    r"[-–—\s]*(?:(?P<word>page|seite|p\.|ページ|頁|第)\s*)?(?P<number>\d{1,4})(?:\s*(?:/|of|von|sur|de)\s*\d{1,4})?\s*(?:ページ|頁)?[-–—\s]*",
    re.IGNORECASE,
)
_NUMBERING = re.compile(
    r"(?:(?P<dotted>\d{1,2}(?:\.\d{1,2}){0,5})\.?|(?P<top>(?:chapter|part|appendix|kapitel)\s+\w{1,4}|第\s*\d{1,3}\s*[章部編]))[\s:.　]+\S",
    re.IGNORECASE,
)
_SECTION = re.compile(r"第\s*\d{1,3}\s*[節項条]")
_ENDS_A_SENTENCE = re.compile(r"[.,;。、]$")
_LETTER = re.compile(r"[^\W\d_]")
_SPACES = re.compile(r"\s+")


def running_lines(sheets: Sequence[tuple[float, Sequence[Run]]]) -> list[set[int]]:
    """For each page the places in its runs of headers, footers and page numbers. A page is its height and its runs."""
    seen: dict[tuple[str, int], set[int]] = defaultdict(set)
    letters: Counter[float] = Counter()
    for _, runs in sheets:
        for run in runs:
            letters[run.size] += len(run.text)
    largest = 1.3 * letters.most_common(1)[0][0] if letters else 0.0  # what is larger is a heading
    outer = [[(index, run) for index, run in enumerate(runs) if run.size <= largest and _is_outer(run, height)] for height, runs in sheets]
    for page, placed in enumerate(outer):
        for _, run in placed:
            for place in _places(run):
                seen[_DIGITS.sub("#", run.text), place].add(page)
    enough = 2 if len(sheets) < 6 else 3
    dropped: list[set[int]] = []
    for page, placed in enumerate(outer):
        found = set()
        for index, run in placed:
            pages = max(len(seen[_DIGITS.sub("#", run.text), place]) for place in _places(run))
            number = _PAGE_NUMBER.fullmatch(run.text)
            if pages >= enough or (number and (number["word"] or int(number["number"]) == page + 1)):
                found.add(index)
        dropped.append(found if len(found) < len(sheets[page][1]) else set())
    return dropped


def _is_outer(run: Run, height: float) -> bool:
    return (run.y1 < MARGIN * height or run.y0 > (1 - MARGIN) * height) and len(run.text) < _LONGEST


def _places(run: Run) -> tuple[int, int]:
    """Heights that are about equal have one of two in common."""
    return int(run.y1 / 6) * 2, int((run.y1 + 3) / 6) * 2 + 1


def without(sheet: Sheet, dropped: set[int]) -> Sheet:
    return sheet._replace(runs=[run for index, run in enumerate(sheet.runs) if index not in dropped]) if dropped else sheet


def mark_headings(parts: Sequence[Part], outline: Mapping[int, Sequence[tuple[int, str]]]) -> None:
    """Give each heading its level. `outline`: by page, the levels and titles of the bookmarks that lead there."""
    body, bold_body = _body(parts)
    marked = [part for part in parts if _by_outline(part, outline)]
    known = set(map(id, marked))
    styles: dict[tuple[float, bool], list[int]] = defaultdict(list)
    for part in marked:
        styles[_style(part)].append(part.level)
    found = [part for part in parts if id(part) not in known and _looks_like_one(part, body, bold_body)]
    order = sorted({_style(part) for part in [*found, *marked]}, reverse=True)
    for part in found:
        if levels := styles.get(_style(part)):
            part.level = Counter(levels).most_common(1)[0][0]
        else:
            part.level = min(order.index(_style(part)) + 1, 6)
    numbered = [(part, depth) for part in found if (depth := _depth(part.text))]
    shifts = Counter(part.level - depth for part, depth in numbered if depth == 1)
    shift = max(shifts.most_common(1)[0][0] if shifts else 0, 0)
    for part, depth in numbered:
        if not styles:
            part.level = min(depth + shift, 6)


def _body(parts: Iterable[Part]) -> tuple[float, bool]:
    """The size and weight in which most of the text is set."""
    letters: Counter[tuple[float, bool]] = Counter()
    for part in parts:
        if part.kind in ("paragraph", "item"):
            letters[_style(part)] += len(part.text)
    return letters.most_common(1)[0][0] if letters else (0.0, False)


def _style(part: Part) -> tuple[float, bool]:
    return round(part.size * 2) / 2, part.bold


def _looks_like_one(part: Part, body: float, bold_body: bool) -> bool:
    if part.kind != "paragraph" or len(part.text) > _LONGEST or part.lines > 3 or not _LETTER.search(part.text):
        return False
    if part.size >= 1.15 * body:
        return not (_ENDS_A_SENTENCE.search(part.text) and part.size < 1.3 * body)
    if part.size < 0.98 * body or _ENDS_A_SENTENCE.search(part.text):
        return False
    return part.bold and not bold_body and not part.text.endswith((":", "："))


def _depth(text: str) -> int:
    """By its number, how deep a heading stands: 1 for "2" and "Chapter 2", 2 for "2.1"; 0 without a number."""
    if _SECTION.match(text):
        return 2
    match = _NUMBERING.match(text)
    if not match:
        return 0
    return 1 if match["top"] else match["dotted"].count(".") + 1


def _by_outline(part: Part, outline: Mapping[int, Sequence[tuple[int, str]]]) -> bool:
    if part.kind != "paragraph" or len(part.text) > 2 * _LONGEST or part.page not in outline:
        return False
    text = _bare(part.text)
    for level, title in outline[part.page]:
        bare = _bare(title)
        if bare and (text == bare or (text.endswith(bare) and _depth(part.text) and len(text) - len(bare) < 12)):
            part.level = level
            return True
    return False


def _bare(text: str) -> str:
    return _SPACES.sub("", text).casefold()


def first_large(parts: Iterable[Part]) -> Iterator[str]:
    """The headings of the highest level on the first two pages."""
    headings = [part for part in parts if part.level and part.page <= 2]
    highest = max((part.size for part in headings), default=0.0)
    yield from (part.text for part in headings if part.size == highest)
