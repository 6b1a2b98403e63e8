"""A text as the set of its shingles: five words in a row, by numbers that are the same on every machine.

A letter of a script that puts no space between words counts as a word, so Chinese and Japanese are compared by five
letters in a row. Case, width and what stands between the words do not count.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
from numpy.typing import NDArray

from llmops.text import UNSPACED, folded

Hashes = NDArray[np.uint64]
WORDS = 5
"""Words of a shingle. A text of fewer is one shingle as a whole."""
PERMUTATIONS = 128
SIGNATURE_BYTES = 4 * PERMUTATIONS
_KNOWN = 0x10000
_SEPARATOR, _LETTER, _WHOLE_WORD = 0, 1, 2
_LONGEST_WORD = 256  # letters behind it count by their sum alone
_PIECES = re.compile(r"(?s:.{1,250000})\S*+")
_BLOCK = 2048  # shingles at once: a megabyte or two for all permutations


def words(text: str) -> Hashes:
    """A number for each word of a text, in order; linear in its length.

    Goes by pieces, cut where there is a space: a character takes some 40 bytes meanwhile.
    """
    return np.concatenate([np.empty(0, np.uint64), *(_words(piece.group()) for piece in _PIECES.finditer(text))])


def _words(text: str) -> Hashes:
    points, kinds = _characters(text)
    is_letter = kinds == _LETTER
    begins = is_letter.copy()
    begins[1:] &= ~is_letter[:-1]
    begins |= kinds == _WHOLE_WORD
    inside = kinds != _SEPARATOR
    letters, begins = points[inside].astype(np.uint64), begins[inside]
    if not len(letters):
        return np.empty(0, np.uint64)
    starts = np.flatnonzero(begins)
    place = np.arange(len(letters)) - np.repeat(starts, np.diff(np.append(starts, len(letters))))
    weighted = (letters + np.uint64(1)) * _powers()[np.minimum(place, _LONGEST_WORD - 1)]
    return _mixed(np.add.reduceat(weighted, starts))


def _characters(text: str) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """The code points of a text without case and width, and what each is."""
    if text.isascii():
        points = np.frombuffer(text.lower().encode("ascii"), np.uint8).astype(np.uint32)
        return points, _kinds()[points]
    points = np.frombuffer(folded(text).encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
    kinds = _kinds()[np.minimum(points, np.uint32(_KNOWN))]
    kinds[(points >= 0x20000) & (points < 0x40000)] = _WHOLE_WORD
    return points, kinds


def shingles(of: Hashes) -> Hashes:
    """The set of shingles of a text's words, sorted."""
    if not len(of):
        return of
    size = min(WORDS, len(of))
    sums = np.zeros(len(of) - size + 1, np.uint64)
    for place in range(size):
        sums += of[place : len(of) - size + 1 + place] * _powers()[place]
    return np.unique(_mixed(sums))


def jaccard(one: Hashes, other: Hashes) -> float:
    """How much of what two sets hold both hold: 0 for nothing, 1 for the same sets."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / max(1, len(one) + len(other) - common)


def signature(of: Hashes) -> bytes:
    """The MinHash signature of a set of shingles: 128 little-endian numbers of 32 bits; empty for the empty set.

    The share of equal numbers in two signatures estimates the Jaccard index of the sets (Broder, On the resemblance and
    containment of documents, 1997). Each number is the least of a hash by multiplication and shift (Dietzfelbinger et al.,
    A reliable randomized algorithm for the closest-pair problem, 1997).
    """
    if not len(of):
        return b""
    factors, offsets = _permutations()
    least = np.full(PERMUTATIONS, np.iinfo(np.uint64).max, np.uint64)
    for first in range(0, len(of), _BLOCK):
        np.minimum(least, (of[first : first + _BLOCK, None] * factors + offsets).min(axis=0), out=least)
    return (least >> np.uint64(32)).astype("<u4").tobytes()


def _mixed(numbers: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele et al., Fast splittable pseudorandom number generators, 2014): near numbers come far apart."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


@cache
def _permutations() -> tuple[Hashes, Hashes]:
    numbers = _mixed(np.arange(1, 2 * PERMUTATIONS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return numbers[:PERMUTATIONS] | np.uint64(1), numbers[PERMUTATIONS:]


@cache
def _powers() -> Hashes:
    factors = np.full(_LONGEST_WORD, 0x9E3779B97F4A7C15, np.uint64)
    factors[0] = 1
    return np.multiply.accumulate(factors)


@cache
def _kinds() -> NDArray[np.uint8]:
    """What each character of the basic plane is; one entry more for all others, which are separators."""
    letters = [_LETTER if chr(point).isalnum() else _SEPARATOR for point in range(_KNOWN)]
    kinds = np.array([*letters, _SEPARATOR], np.uint8)
    plane = "".join(map(chr, range(_KNOWN)))
    for run in re.finditer(f"[{UNSPACED}]+", plane):
        kinds[run.start() : run.end()] = _WHOLE_WORD
    return kinds
