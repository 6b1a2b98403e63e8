"""How many near duplicates are found, against every pair compared by its shingles, and in what time.

`--data DIR` names the folder that holds `docs/haystack` and `docs/haystack-2.18`, two versions of one documentation. Truth is a
Jaccard index of word 5-grams of at least 0.8, computed for all pairs from the texts alone. Intervals are bootstraps over documents.
"""

from __future__ import annotations

import argparse
import time
from itertools import combinations
from pathlib import Path

import numpy as np

from evals.statistics import RESAMPLES
from vectorstore import duplicates
from vectorstore.load import Fields, Parsed, parse
from vectorstore.shingles import jaccard, shingles, signature, words

Pairs = set[tuple[int, int]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    options = arguments.parse_args()
    older, newer = (texts_of(options.data / "docs" / name) for name in ("haystack-2.18", "haystack"))
    texts = older + newer
    print(f"{len(older)} documents of haystack-2.18 and {len(newer)} of haystack, {sum(map(len, texts)):,} characters")

    began = time.perf_counter()
    sets = [shingles(words(text)) for text in texts]
    shingled = time.perf_counter() - began
    began = time.perf_counter()
    signatures = duplicates.as_signatures(signature(one) for one in sets)
    signed = time.perf_counter() - began
    began = time.perf_counter()
    found = duplicates.candidates(signatures)
    checked = [(int(i), int(j)) for i, j in zip(found.first, found.second, strict=True) if jaccard(sets[i], sets[j]) >= duplicates.THRESHOLD]
    compared = time.perf_counter() - began
    began = time.perf_counter()
    true = brute_force(texts)
    brute = time.perf_counter() - began

    print(f"  shingles {shingled:.2f} s and signatures {signed:.2f} s, once; {len(found.first):,} candidates found and checked in {compared:.2f} s")
    print(f"  every pair of {len(texts) * (len(texts) - 1) // 2:,} compared as sets of texts: {brute:.2f} s")
    print("  | pairs | true | found | precision | recall |\n  |---|---|---|---|---|")
    border = len(older)
    for name, side in (("between the versions", {0, 1}), ("within 2.18", {0}), ("within the newer", {1}), ("all", None)):
        said, right = ({pair for pair in pairs if side is None or {pair[0] >= border, pair[1] >= border} == side} for pairs in (set(checked), true))
        shown = [ratio(said & right, said, len(texts)), ratio(said & right, right, len(texts))]
        print(f"  | {name} | {len(right)} | {len(said)} | {' | '.join(shown)} |")
    groups = duplicates.groups(found, dict(enumerate(sets)))
    print(f"  as the report tells it: {sum(map(len, groups.members))} documents in {len(groups.members)} groups")
    print(f"  joined by true pairs:   {grouped(true)}")


def texts_of(folder: Path) -> list[str]:
    """The text of each document that can be read, as an ingestion has it."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".md", ".mdx"):
            found += [one.text for one in parse(path.read_bytes(), path.name, Fields()) if isinstance(one, Parsed)]
    return found


def brute_force(texts: list[str]) -> Pairs:
    """All pairs by sets of the shingles as numbers, without signatures, bands or estimates."""
    sets = [frozenset(shingles(words(text)).tolist()) for text in texts]
    found = set()
    for i, j in combinations(range(len(sets)), 2):
        common = len(sets[i] & sets[j])
        if common and common / (len(sets[i]) + len(sets[j]) - common) >= duplicates.THRESHOLD:
            found.add((i, j))
    return found


def grouped(pairs: Pairs) -> str:
    parents: dict[int, int] = {}

    def root(number: int) -> int:
        while parents.setdefault(number, number) != number:
            number = parents[number]
        return number

    for i, j in sorted(pairs):
        parents[root(j)] = root(i)
    return f"{len(parents)} documents in {len({root(number) for number in parents})} groups"


def ratio(part: Pairs, whole: Pairs, documents: int) -> str:
    """A share of pairs and its percentile bootstrap interval of 95 %: documents are drawn, and a pair counts as often as both are."""
    if not whole:
        return "none"
    generator, pairs = np.random.default_rng(0), np.array(sorted(whole))
    is_part = np.array([tuple(pair) in part for pair in pairs.tolist()])
    ratios = []
    for _ in range(RESAMPLES):
        drawn = np.bincount(generator.integers(0, documents, documents), minlength=documents)
        weights = drawn[pairs[:, 0]] * drawn[pairs[:, 1]]
        if weights.sum():
            ratios.append(weights[is_part].sum() / weights.sum())
    low, high = np.quantile(ratios, [0.025, 0.975])
    return f"{is_part.mean():.4f} [{low:.4f}, {high:.4f}]"


if __name__ == "__main__":
    main()
