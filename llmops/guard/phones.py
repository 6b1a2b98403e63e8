"""Telephone numbers, as far as their writing or a word before them tells that they are such."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BEFORE, _AFTER = r"(?<![\w./$€£¥#+-])(?<![0-9][,:])", r"(?![\w%]|[.,:/-][0-9])"
_EXTENSION = r"(?:[ ]?(?:x|ext\.?[ ]?)[0-9]{1,5})?"
_SURE = re.compile(
    rf"""{_BEFORE}(?:
    \+[1-9][0-9]{{0,2}}(?:[ .-]?\(?[0-9]{{1,4}}\)?){{2,6}}{_EXTENSION}                   # a country's code
    |00[1-9][0-9]{{0,2}}(?:[ .-]\(?[0-9]{{2,4}}\)?){{2,4}}{_EXTENSION}
    |(?:[0-9]{{1,2}}[ .-])?(?:\([0-9]{{3}}\)[ ]?|[0-9]{{3}}[ .-])[0-9]{{3}}[ .-][0-9]{{4}}{_EXTENSION}   # North America's writing
    |\((?!19|20)0?[0-9]{{1,4}}\)[ ]?[0-9]{{2,5}}[ -]?[0-9]{{2,5}}(?:[ -][0-9]{{2,4}})?   # an area in brackets
    |0[1-9][0-9]{{0,3}}(?:[ -][0-9]{{2,4}}){{2,4}}|0[1-9](?:[.][0-9]{{2}}){{4}}          # an area with its zero
    |0[1-9][0-9]{{0,2}}-[0-9]{{6,8}}
    |0[5-9]0[0-9]{{8}}|0120[ -]?[0-9]{{3}}[ -]?[0-9]{{3}}                                # Japanese mobiles and free calls
    ){_AFTER}""",
    re.VERBOSE | re.ASCII,
)
_MAYBE = re.compile(rf"{_BEFORE}\(?[0-9]{{2,5}}\)?(?:[ .-]{{1,2}}[0-9]{{2,7}}){{1,4}}{_AFTER}|{_BEFORE}[0-9]{{7,11}}{_AFTER}", re.ASCII)
_WORD = re.compile(
    r"phone|telef|\btel\b|mobile|\bcell|\bcall|\bfax\b|\bdial|whatsapp|\bsms\b|\breach |\bcontact|\bnumber\b|電話|携帯|ファックス|連絡先",
    re.IGNORECASE,
)
_NEAR = 48
"""Characters before a number in which a word can say what it is."""
_WORD_BEHIND = re.compile(r" ?[-(]? ?(?:office|fax|phone|mobile|cell|home)\b", re.IGNORECASE)
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}([-. ])[01]?[0-9]\1[0-3]?[0-9].*|[0-3]?[0-9]([-. ])[0-3]?[0-9]\2(?:19|20)[0-9]{2}|(?:19|20)[0-9]{2}[- ]{1,3}(?:19|20)[0-9]{2}"
)


def phones(text: str, runs: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Numbers that are written as only telephone numbers are, then, behind a word that says so, any that could be one.

    `runs` are the places of digits, in which alone is looked.
    """
    for pattern, needs_word in ((_SURE, False), (_MAYBE, True)):
        for start, end in runs:
            for match in pattern.finditer(text, start, end):
                digits = sum(map(str.isdecimal, match.group()))
                if 7 <= digits <= 20 and not _DATE.fullmatch(match.group()) and (not needs_word or _is_said(text, *match.span())):
                    yield match.span()


def _is_said(text: str, start: int, end: int) -> bool:
    return bool(_WORD.search(text, max(0, start - _NEAR), start) or _WORD_BEHIND.match(text, end))
