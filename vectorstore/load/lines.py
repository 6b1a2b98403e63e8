"""Paragraphs out of lines: where a line end is a wrapped line, and where it is meant."""

from __future__ import annotations

import re
from itertools import pairwise

UNSPACED = "\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
"""Characters between which Chinese and Japanese write no space."""
_WIDE = re.compile(f"[{UNSPACED}\uac00-\ud7af]")
_STARTS_UNSPACED = re.compile(f"[{UNSPACED}]")
_NO_SPACE = re.compile(f"(?<=[{UNSPACED}])\n(?=[{UNSPACED}])")
_BULLET = re.compile(r"\s|[-*+•‣・○●◦▪■□◆◇] |[-•・●■◆]\S|\(?\d{1,3}[.)] |[|>#]|:::")
_NARROWEST, _WIDEST = 45, 130


def joined(text: str) -> str:
    """The lines of one paragraph as one line: a space for each line end, none between Chinese or Japanese characters."""
    return _NO_SPACE.sub("", text).replace("\n", " ") if "\n" in text else text


def width(line: str) -> int:
    """Columns that a line takes; Chinese, Japanese and Korean characters take two."""
    return len(line) if line.isascii() else len(line) + len(_WIDE.findall(line))


def goes_on(line: str, after: str, limit: int) -> bool:
    """Whether a line was ended only because the next word would not have fitted into `limit` columns."""
    if not after or _BULLET.match(after):
        return False
    word = 4 if _STARTS_UNSPACED.match(after) else width(after.split(maxsplit=1)[0])
    return width(line) + 1 + word > limit


def unwrapped(paragraph: str) -> str:
    """A paragraph of plain text on one line, if it was wrapped at a width; else as it is (a poem, a listing, a log)."""
    lines = [line.rstrip() for line in paragraph.split("\n")]
    limit = max(map(width, lines))
    if len(lines) == 1 or not _NARROWEST <= limit <= _WIDEST:
        return "\n".join(lines)
    if not all(goes_on(line, after, limit) for line, after in pairwise(lines)):
        return "\n".join(lines)
    return joined("\n".join(lines))
