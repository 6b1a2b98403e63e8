"""Searches under a filter on metadata: this search beside Chroma's own `where`, over the same vectors, in one run.

50,000 chunks of random vectors, each a document whose `number` runs from 0 to 99; filters keep 1, 10, 90 and 100 % of them. Ours is the
whole search but for the embedding of the question: filter, rights, both legs, fusion, and the passages read from the store. Chroma's
is its query alone, which returns ids and distances. Recall is that of the ten nearest, against all allowed vectors.

    python benchmarks/filtered.py [--chunks 50000] [--questions 50]
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from synthetic import COLLECTION, OWNER, Made, RandomEncoder, fill

from llmops.home import Home
from llmops.settings import Settings
from llmops.types import Vectors
from vectorstore.rows import changes, collections
from vectorstore.search import Searcher

K = 10
SHARES = (1, 10, 90, 100)
CHROMA_BATCH = 5_000


def numbers_and_vectors(home: Home) -> tuple[list[int], list[int], Vectors]:
    """Of every chunk its row, its document's number from 0 to 99, and its vector."""

    def read(connection: Any) -> tuple[list[int], list[int], Vectors]:
        found = collections.find(connection, "poc", COLLECTION)
        metadata = changes.metadata(connection, found.row)
        chunks = list(changes.new_chunks(connection, found.row, found.encoder, 0, found.seq))
        numbers = [int(metadata[chunk.document_row, chunk.version]["number"]) for chunk in chunks]
        return [chunk.row for chunk in chunks], numbers, np.stack([np.frombuffer(chunk.vector, "<f4") for chunk in chunks])

    return home.store.read(read)


def chroma_of(folder: Path, rows: Sequence[int], numbers: Sequence[int], vectors: Vectors) -> Any:
    os.environ["ANONYMIZED_TELEMETRY"] = "False"
    import chromadb

    collection = chromadb.PersistentClient(str(folder)).create_collection("docs", metadata={"hnsw:space": "cosine"})
    for first in range(0, len(rows), CHROMA_BATCH):
        part = slice(first, first + CHROMA_BATCH)
        collection.add(ids=[str(row) for row in rows[part]], embeddings=vectors[part], metadatas=[{"number": number} for number in numbers[part]])
    return collection


def timed(asked: Sequence[str], search: Callable[[str], tuple[float, list[int]]]) -> tuple[list[float], list[list[int]]]:
    """Milliseconds and the rows found, question by question; the first five warm up."""
    told = [search(question) for question in [*asked[:5], *asked]][5:]
    return [1000 * seconds for seconds, _ in told], [found for _, found in told]


def measure(home: Home, chroma: Any, rows: Sequence[int], numbers: Sequence[int], vectors: Vectors, questions: int) -> None:
    searcher, encoder, draw = Searcher(home), RandomEncoder(), random.Random(7)
    asked = [f"question {n} on record {draw.randrange(len(rows))}" for n in range(questions)]
    of_row, of_number = np.array(rows), np.array(numbers)
    print(f"{len(rows):,} chunks, {questions} questions; p50 in ms, and recall of the ten nearest")
    for share in SHARES:
        where: dict[str, Any] = {"number": {"$lt": share}}

        def ours(question: str, where: Any = where) -> tuple[float, list[int]]:
            found = searcher.search(question, collection=COLLECTION, asker=OWNER, k=K, filter=where)
            return sum(seconds for part, seconds in found.seconds.items() if part != "embed"), list(found.legs["dense"])[:K]

        def theirs(question: str, where: Any = where) -> tuple[float, list[int]]:
            vector = encoder.embed([question])
            began = time.perf_counter()
            found = chroma.query(query_embeddings=vector, n_results=K, where=where, include=["distances"])
            return time.perf_counter() - began, [int(row) for row in found["ids"][0]]

        allowed = of_number < share
        exact = [set(of_row[allowed][np.argsort(-(vectors[allowed] @ encoder.embed([one])[0]))[:K]].tolist()) for one in asked]
        line = f"  {share:>3} %"
        middles = []
        for name, search in (("ours", ours), ("Chroma", theirs)):
            took, found = timed(asked, search)
            middles.append(statistics.median(took))
            recall = np.mean([len(set(one) & best) / K for one, best in zip(found, exact, strict=True)])
            line += f"   {name} {middles[-1]:8.2f}  recall {recall:.3f}"
        print(f"{line}   ratio {middles[1] / middles[0]:.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="not used: this bench makes its own")
    parser.add_argument("--chunks", type=int, default=50_000)
    parser.add_argument("--questions", type=int, default=50)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Home(Settings.load(environ={"LLMOPS_HOME": str(Path(folder, "home"))})) as home:
        fill(home, given.chunks, 1, lambda n: Made({"number": n % 100}), random.Random(3))
        rows, numbers, vectors = numbers_and_vectors(home)
        measure(home, chroma_of(Path(folder, "chroma"), rows, numbers, vectors), rows, numbers, vectors, given.questions)


if __name__ == "__main__":
    main()
