"""How a search grows with its collection: time, memory and the time to build the index at several sizes, under rights that let through
1, 10, 90 and 100 % of the chunks.

Random words and vectors; ten chunks a document. A search is timed whole but for the embedding of its question. Its floor is one pass
over the vectors' int8 codes as fast as memory gives them, which a scan of all of them cannot undercut.

    python benchmarks/growth.py [--sizes 10000,100000] [--questions 30]

A million chunks take some ten minutes to make and three gigabytes of disk.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from synthetic import COLLECTION, WORDS, Made, fill

from llmops.home import Home
from llmops.settings import Settings
from llmops.types import Asker
from vectorstore.index.segments import folder_of, open_segments
from vectorstore.rows import collections
from vectorstore.search import Searcher

SHARES = (1, 10, 90, 100)
PER_DOCUMENT = 10


def made(number: int) -> Made:
    """Each document is for the groups of all shares that its number falls into."""
    return Made({}, [f"group:share{share}" for share in SHARES if number % 100 < share])


def floor(home: Home) -> float:
    """Milliseconds of one pass over the codes of all segments, the best of five."""

    def read(connection: Any) -> list[Any]:
        found = collections.find(connection, "poc", COLLECTION)
        return [segment.codes for segment in open_segments(connection, folder_of(home, found), found)]

    codes = home.store.read(read)
    passes = []
    for _ in range(5):
        began = time.perf_counter()
        for matrix in codes:
            np.bitwise_or.reduce(np.asarray(matrix).reshape(-1).view(np.uint64))
        passes.append(time.perf_counter() - began)
    return 1000 * min(passes)


def measure(home: Home, questions: int) -> str:
    searcher, draw = Searcher(home), random.Random(5)
    cells = []
    for share in SHARES:
        asker = Asker("poc", frozenset([f"group:share{share}"]), name="member")
        took = []
        for number in range(questions + 3):
            question = f"question {number} on the {' '.join(draw.choices(WORDS, k=4))}"
            found = searcher.search(question, collection=COLLECTION, asker=asker, k=10)
            took.append(1000 * sum(seconds for part, seconds in found.seconds.items() if part != "embed"))
        cells.append(f"{share} %: {statistics.median(took[3:]):.1f} ms")
    return ", ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="not used: this bench makes its own")
    parser.add_argument("--sizes", default="10000,100000", help="chunks, with commas")
    parser.add_argument("--questions", type=int, default=30)
    given = parser.parse_args()
    for size in map(int, given.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder, Home(Settings.load(environ={"LLMOPS_HOME": str(Path(folder, "home"))})) as home:
            began = time.perf_counter()
            fill(home, size, PER_DOCUMENT, made, random.Random(3))
            built = time.perf_counter() - began
            told = measure(home, given.questions)
            memory = psutil.Process().memory_info().rss / 2**20
            print(
                f"{size:>9,} chunks   {told}   floor {floor(home):.1f} ms   made in {built:.0f} s   {memory:,.0f} MB resident",
                flush=True,
            )


if __name__ == "__main__":
    main()
