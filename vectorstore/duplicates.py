"""Near duplicates: candidates by bands of MinHash signatures, each checked by the shingles themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vectorstore.shingles import PERMUTATIONS, Hashes, jaccard

Signatures = NDArray[np.uint32]
"""A row of 128 numbers for each text."""
THRESHOLD = 0.8
"""Jaccard index of shingles from which on two texts are near duplicates."""
BANDS, ROWS = 25, 5
"""Texts whose rows are equal in one band are compared: 1 - (1 - s^5)^25 of the pairs with index s, 0.99995 of those with 0.8
(Leskovec et al., Mining of Massive Datasets, section 3.4)."""
LEAST_ESTIMATE = 0.65
"""Four standard deviations of the estimate below the threshold: what seems less alike is not compared."""
CROWD = 16
"""Above so many texts with one band, each is compared with its neighbour and the first alone."""
_PAIRS_AT_ONCE = 20_000


class Candidates(NamedTuple):
    """Pairs of texts by their numbers, the most alike first, and the share of their signatures that is equal."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    estimates: NDArray[np.float64]

    def texts(self) -> NDArray[np.int64]:
        """The texts that occur in a pair, those of the most alike pairs first."""
        numbers = np.stack([self.first, self.second], axis=1).ravel()
        found, places = np.unique(numbers, return_index=True)
        return found[np.argsort(places, kind="stable")]


def as_signatures(kept: Iterable[bytes]) -> Signatures:
    """Signatures as they are kept, none of them empty, as rows."""
    return np.frombuffer(b"".join(kept), "<u4").reshape(-1, PERMUTATIONS)


def candidates(signatures: Signatures) -> Candidates:
    """The pairs that may be near duplicates; in time and memory linear in the number of texts."""
    count = len(signatures)
    found = np.unique(np.concatenate([_band_pairs(signatures, band) for band in range(BANDS)]))
    first, second = (found // count, found % count) if count else (found, found)
    estimates = np.empty(len(found))
    for start in range(0, len(found), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        estimates[part] = (signatures[first[part]] == signatures[second[part]]).mean(axis=1)
    order = np.argsort(-estimates, kind="stable")
    order = order[estimates[order] >= LEAST_ESTIMATE]
    return Candidates(first[order], second[order], estimates[order])


def _band_pairs(signatures: Signatures, band: int) -> NDArray[np.int64]:
    """The pairs of texts that are equal in a band, each as `smaller * count + larger`."""
    count = len(signatures)
    keys = np.ascontiguousarray(signatures[:, band * ROWS : (band + 1) * ROWS]).view(np.dtype((np.void, 4 * ROWS))).ravel()
    _, numbers = np.unique(keys, return_inverse=True)
    order = np.argsort(numbers, kind="stable").astype(np.int64)
    numbers = numbers[order]
    starts = np.flatnonzero(np.append(True, numbers[1:] != numbers[:-1])) if count else np.empty(0, np.intp)
    sizes = np.diff(np.append(starts, count))
    start_of, is_crowded = np.repeat(starts, sizes), np.repeat(sizes > CROWD, sizes)
    pairs = [order[start_of[is_crowded]] * count + order[is_crowded]]
    for distance in range(1, min(CROWD, count)):
        same = start_of[distance:] == start_of[:-distance]
        if distance > 1:
            same &= ~is_crowded[distance:]
        if not same.any():
            break
        pairs.append(order[:-distance][same] * count + order[distance:][same])
    joined = np.concatenate(pairs)
    different: NDArray[np.int64] = joined[joined // max(1, count) != joined % max(1, count)]
    return different


class Groups(NamedTuple):
    """Texts that near duplicates hold together, each group sorted; `estimated`: pairs that their signatures alone decided."""

    members: list[list[int]]
    estimated: int


def groups(found: Candidates, shingles: Mapping[int, Hashes]) -> Groups:
    """Join what is near: by the exact index where both sets of shingles are at hand, else by the estimate."""
    parents: dict[int, int] = {}

    def root(number: int) -> int:
        while (above := parents.setdefault(number, number)) != number:
            parents[number] = parents[above]
            number = above
        return number

    estimated = 0
    for first, second, estimate in zip(found.first.tolist(), found.second.tolist(), found.estimates.tolist(), strict=True):
        one, other = root(first), root(second)
        if one == other:
            continue
        likeness = estimate
        if first in shingles and second in shingles:
            likeness = jaccard(shingles[first], shingles[second])
        else:
            estimated += 1
        if likeness >= THRESHOLD:
            parents[max(one, other)] = min(one, other)
    members: dict[int, list[int]] = {}
    for number in sorted(parents):
        members.setdefault(root(number), []).append(number)
    return Groups([group for group in members.values() if len(group) > 1], estimated)
