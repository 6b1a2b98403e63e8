"""What is kept of a version beside its text, so that a collection's quality can be told without reading every text again."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmops.guard import pii
from vectorstore.shingles import Hashes, shingles, signature, words
from vectorstore.token_estimate import estimate

BUCKETS = 1024
_BUCKET_BITS = 10
_MOST = 65_535
_AT_ONCE = 1_000  # sketches: some megabytes


@dataclass(frozen=True, slots=True)
class Profile:
    """A pure function of a text, the same on every machine.

    `text_hash` is the first 16 bytes of SHA-256, `signature` the MinHash of the shingles, `vocabulary` how often the words of
    each bucket occur, `pii` how many spans of each kind there are.
    """

    characters: int
    tokens: int
    language: str
    text_hash: bytes
    signature: bytes
    vocabulary: bytes
    pii: dict[str, int]


def profile(text: str, written_in: str) -> Profile:
    """The profile of a document's text and of the language that it is written in."""
    found = words(text)
    return Profile(
        characters=len(text),
        tokens=round(estimate(text)),
        language=written_in,
        text_hash=hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16],
        signature=signature(shingles(found)),
        vocabulary=_counted(found),
        pii=dict(Counter(span.label for span in pii.find(text))),
    )


def vocabulary(sketches: list[bytes]) -> NDArray[np.int64]:
    """How often the words of each of the 1,024 buckets occur in all these texts together."""
    total = np.zeros(BUCKETS, np.int64)
    for first in range(0, len(sketches), _AT_ONCE):
        pairs = np.frombuffer(b"".join(sketches[first : first + _AT_ONCE]), "<u2").reshape(-1, 2)
        total += np.bincount(pairs[:, 0], weights=pairs[:, 1], minlength=BUCKETS).astype(np.int64)
    return total


def _counted(of: Hashes) -> bytes:
    """Words counted in buckets by their hashes (Weinberger et al., Feature hashing for large scale multitask learning, 2009).

    Pairs of little-endian 16-bit numbers: the bucket, and how often a word of it occurs, at most 65,535.
    """
    buckets, counts = np.unique(of >> np.uint64(64 - _BUCKET_BITS), return_counts=True)
    return np.stack([buckets, np.minimum(counts, _MOST)], axis=1).astype("<u2").tobytes()
