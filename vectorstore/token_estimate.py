"""How many tokens an encoder will make of a text, estimated without it.

Fitted to the WordPiece vocabulary of all-MiniLM-L6-v2 on prose, lists, tables and code of software documentation: nine
of ten blocks lie within a fifth of their true count. Additive over characters, so that any span costs two look-ups.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WORD, _LETTER, _DIGIT, _SIGN, _OTHER = 0.4, 0.145, 0.75, 1.1, 1.0
_KNOWN = 0x3001  # characters from here on are no space and cost `_OTHER`


def _is_letter(character: str) -> bool:
    return character.isalpha() and character < "\u0250"  # Latin; other scripts cost about a token for each character


def _cost(character: str) -> float:
    if character.isspace():
        return 0.0
    if _is_letter(character):
        return _LETTER
    if character.isdecimal() and character.isascii():
        return _DIGIT
    return _SIGN if character < "\u00c0" else _OTHER


_SPACES = np.array([chr(point).isspace() for point in range(_KNOWN)] + [False])
_LETTERS = np.array([_is_letter(chr(point)) for point in range(_KNOWN)] + [False])
_COSTS = np.array([_cost(chr(point)) for point in range(_KNOWN)] + [_OTHER])


def characters(text: str) -> NDArray[np.uint32]:
    """The code points of a text, those that need no telling apart as one."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
    return np.minimum(points, np.uint32(_KNOWN), dtype=np.uint32)


def spaces(text: str) -> NDArray[np.intp]:
    """The offsets of the white space in a text, as `str.isspace` calls it."""
    return np.flatnonzero(_SPACES[characters(text)])


def cumulative(text: str) -> NDArray[np.float64]:
    """The estimated tokens of `text[:i]` for each `i` from 0 to its length."""
    points = characters(text)
    letters = _LETTERS[points]
    costs = np.zeros(len(points) + 1)
    costs[1:] = _COSTS[points]
    costs[1:][:1] += _WORD * letters[:1]
    costs[2:] += _WORD * (letters[1:] & ~letters[:-1])
    return np.cumsum(costs)


def estimate(text: str) -> float:
    """The estimated tokens of a text."""
    return float(cumulative(text)[-1])
