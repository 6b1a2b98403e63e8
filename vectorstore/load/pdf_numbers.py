"""Where a line of a PDF says the number of its page: alone, beside a word as in `page 3 of 9`, or set off at an end as in `Handbook | 3`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vectorstore.load.pdf_labels import roman

LONGEST = 160
"""Characters of a line in which a page's number is looked for."""
_LATIN = r"(?<!\w)(?:page|seite|blatt|pagina|página|pág\.?|sidan?|side|strona|strana|str\.|sivu|страница|стр\.)"
_CLEAR = rf"{_LATIN}|ページ|頁|页"
_SURE = re.compile(r"(?:page|seite|pagina|página|страница|ページ|頁|页)", re.IGNORECASE)
"""Words that mean nothing else: a line of one of them and the page's number is that in any file. `P1` may be a car park."""
_SHORT = r"page\(s\)|pg\.?|pp?\.?|s\."
_NAMED = r"\s*+[:：#.]?\s*+(?:(?:no|nr)\.?\s*+|[#№]\s*+)?[:#]?\s*+"
_TOTAL = r"(?:\s*+(?:/|of|von|sur|de|di|van|af|av|z|из)\s*+(?P<total>\d{1,5}))"
_COUNTED = r"(?:\s*+(?:ページ|頁|页|pages?\b|seiten\b))"
_NUMBER = r"(?P<number>\d{1,5}|(?:[A-Za-z]{1,3}-?|\d{1,3}-)\d{1,5}|[ivxlcdm]{1,10}|[IVXLCDM]{1,10})"
_FRAME = r"[\s\[\](){}<>【】〔〕「」|•·.:~‐‑‒–—―ー-]*+"
_ALONE = re.compile(rf"{_FRAME}(?P<word>(?:{_CLEAR}|{_SHORT}){_NAMED}|第\s*+)?{_NUMBER}{_TOTAL}?{_COUNTED}?{_FRAME}", re.IGNORECASE)
_SAID = re.compile(
    rf"(?P<word>(?:{_CLEAR}|(?<!\w)p\.){_NAMED})(?P<number>\d{{1,5}})(?=\s*(?:$|[|•·–—,/)\]-]|(?:of|von|sur|de|di|van|af|av|z|из)\s*\d))"
    rf"|(?<![\d.,])(?P<counted>\d{{1,5}})(?=\s*(?:ページ|頁|页))",
    re.IGNORECASE,
)
_FIRST = re.compile(rf"{_NUMBER}(?=\s*[|•·]|\s+[–—]\s|\s{{2}})")
_LAST = re.compile(rf"(?<=[\s|•·]){_NUMBER}{_TOTAL}?$", re.IGNORECASE)
_SET_OFF = re.compile(r"(?:[|•·]\s*|[–—-]\s+|\s{2})$")


class Place(NamedTuple):
    """Where a page stands in its file: its number, counted from 1, of how many, and what the file itself calls it."""

    number: int
    of: int
    label: str = ""

    def is_its(self, number: str) -> bool:
        """Whether this is the page's number, in digits or in Roman letters, or its label."""
        if number.isdigit():
            return number in (str(self.number), self.label)
        return bool(number) and (number == self.label or number.lower() == roman(self.number))


class Mark(NamedTuple):
    """A number within a line that may be its page's. `ahead` is by how much it is ahead of the page's place in the file."""

    start: int
    end: int
    ahead: int


def spelled(text: str) -> str:
    """A line as its numbers are looked for: full width digits and signs are as good as the others. A long one stays as it is."""
    return unicodedata.normalize("NFKC", text) if len(text) < LONGEST else text


def says_page(text: str, place: Place) -> bool:
    """Whether a line, as it is `spelled`, is nothing but the page's number and says itself that it is one: `Page 3`, `3ページ`."""
    found = _ALONE.fullmatch(text) if len(text) < LONGEST else None
    return found is not None and place.is_its(found["number"]) and _SURE.search(text) is not None


def is_number(text: str, place: Place) -> bool:
    """Whether a line, as it is `spelled`, may be nothing but the page's number."""
    found = _ALONE.fullmatch(text) if len(text) < LONGEST else None
    return found is not None and _ahead(found["number"], place, bool(found["word"]), found["total"]) is not None


def marks(text: str, place: Place, *, is_whole: bool = True) -> list[Mark]:
    """The numbers of a line, as it is `spelled`, that may be the page's. Those of invoices, dates and prices are not.

    In a cell, which is not the whole line, a Roman number may be a grade or a king's.
    """
    found = sorted(set(_marks(text, place))) if len(text) < LONGEST else []
    return found if is_whole else [mark for mark in found if text[mark.start : mark.end].isdigit() or text[mark.start : mark.end] == place.label]


def without(text: str, found: Sequence[Mark]) -> str:
    """The line with a sign in the place of these numbers."""
    for mark in reversed(found):
        text = f"{text[: mark.start]}#{text[mark.end :]}"
    return text


def _marks(text: str, place: Place) -> Iterator[Mark]:
    if alone := _ALONE.fullmatch(text):
        ahead = _ahead(alone["number"], place, bool(alone["word"]), alone["total"])
        if ahead is not None:
            yield Mark(*alone.span("number"), ahead)
    for said in _SAID.finditer(text):
        name = "number" if said["number"] else "counted"
        yield Mark(*said.span(name), int(said[name]) - place.number)
    if (first := _FIRST.match(text)) and place.is_its(first["number"]):
        yield Mark(*first.span("number"), 0)
    last = _LAST.search(text)
    if last and place.is_its(last["number"]) and (_is_last(last, place) if last["total"] else _SET_OFF.search(text, 0, last.start("number"))):
        yield Mark(*last.span("number"), 0)


def _ahead(number: str, place: Place, is_said: bool, total: str | None) -> int | None:
    """By how much a number is ahead of its page: 0 if it is the page's own. None for what is no page's number."""
    if place.is_its(number) and (is_said or total is None or int(total) == place.of):
        return 0
    return int(number) - place.number if is_said and number.isdigit() else None


def _is_last(found: re.Match[str], place: Place) -> bool:
    return found["total"] is not None and int(found["total"]) == place.of
