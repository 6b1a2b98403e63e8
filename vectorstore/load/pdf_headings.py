"""What a paragraph of a PDF is in its document: a heading of some level, or text."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from vectorstore.load.pdf_layout import Part

LARGE = 1.15
"""Times the size of most of the text: what is larger is a heading."""
_LONGEST = 160
_NUMBERING = re.compile(
    r"(?:(?P<dotted>\d{1,2}(?:\.\d{1,2}){0,5})\.?|(?P<top>(?:chapter|part|appendix|kapitel)\s+\w{1,4}|第\s*\d{1,3}\s*[章部編]))[\s:.　]+\S",
    re.IGNORECASE,
)
_SECTION = re.compile(r"第\s*\d{1,3}\s*[節項条]")
_ENDS_A_SENTENCE = re.compile(r"[.,;。、]$")
_LETTER = re.compile(r"[^\W\d_]")
_SPACES = re.compile(r"\s+")


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
    if part.size >= LARGE * body:
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
    """Whether a paragraph is a bookmark of its page, whose level it then has."""
    if part.kind == "paragraph" and (level := is_bookmark(part.text, outline.get(part.page, ()))):
        part.level = level
    return part.level > 0


def is_bookmark(text: str, titles: Sequence[tuple[int, str]]) -> int:
    """The level of the first of these bookmarks that a line names, with or without a number before it; 0 where it names none."""
    if not titles or len(text) > 2 * _LONGEST:
        return 0
    spelled = bare(text)
    for level, title in titles:
        name = bare(title)
        if name and (spelled == name or (spelled.endswith(name) and _depth(text) and len(spelled) - len(name) < 12)):
            return level
    return 0


def bare(text: str) -> str:
    """A text without its spaces and its case."""
    return _SPACES.sub("", text).casefold()


def first_large(parts: Iterable[Part]) -> Iterator[str]:
    """The headings of the highest level on the first two pages."""
    headings = [part for part in parts if part.level and part.page <= 2]
    highest = max((part.size for part in headings), default=0.0)
    yield from (part.text for part in headings if part.size == highest)
