"""How much of the personal data in presidio-research's sentences is found, and how much of what is found is right.

`--data DIR` names the folder that holds `presidio_pii/`. A span counts as found where label and both ends are the same;
`overlap` counts one that shares a character. Intervals are bootstraps over sentences.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from evals.statistics import RESAMPLES
from llmops.guard.pii import find

NAMES = {"DOMAIN_NAME": "URL"}
LABELS = ("EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS", "URL", "US_SSN")
Found = set[tuple[int, int]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--misses", action="store_true", help="print what was missed and what was wrong")
    options = arguments.parse_args()
    for path in sorted((options.data / "presidio_pii").glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        print(f"{path.name}: {len(rows)} sentences")
        measure(rows, options.misses)


def measure(rows: list[dict[str, Any]], misses: bool) -> None:
    began = time.perf_counter()
    found = [find(row["text"]) for row in rows]
    characters = sum(len(row["text"]) for row in rows)
    print(f"  {characters / (time.perf_counter() - began) / 1e6:.1f} million characters a second")
    counts: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    for row, spans in zip(rows, found, strict=True):
        for label in LABELS:
            true = {(span["start"], span["end"]) for span in row["spans"] if NAMES.get(span["type"], span["type"]) == label}
            said = {(span.start, span.end) for span in spans if span.label == label}
            counts[label].append((len(said), len(true), len(said & true), sum(any(_meets(one, other) for other in said) for one in true)))
            if misses and said != true:
                print("   ", label, "missed", [row["text"][a:b] for a, b in true - said], "wrong", [row["text"][a:b] for a, b in said - true])
    print("  | label | n | precision | recall | recall by overlap |\n  |---|---|---|---|---|")
    for label in LABELS:
        table = np.array(counts[label])
        if table[:, :2].any():
            shown = [_ratio(table, 2, 0), _ratio(table, 2, 1), _ratio(table, 3, 1)]
            print(f"  | {label} | {table[:, 1].sum()} | {' | '.join(shown)} |")


def _meets(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _ratio(table: np.ndarray, over: int, under: int) -> str:
    """A ratio of sums and its percentile bootstrap interval of 95 %, from resamples of sentences."""
    if not table[:, under].sum():
        return "none"
    generator = np.random.default_rng(0)
    drawn = (table[generator.integers(0, len(table), len(table))].sum(axis=0) for _ in range(RESAMPLES))
    ratios = [sums[over] / sums[under] for sums in drawn if sums[under]]
    low, high = np.quantile(ratios, [0.025, 0.975])
    return f"{table[:, over].sum() / table[:, under].sum():.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
