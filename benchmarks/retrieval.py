"""How good the search is: SciFact (English abstracts), XQuAD (five languages), JSQuAD (Japanese), each leg alone and both fused.

All documents of a set are ingested into one collection; a document's rank is that of its first chunk. Differences are
paired: fused against the leg that is best on the whole set, question by question.

    python benchmarks/retrieval.py --data DIR [--sets scifact,jsquad,en,de,es,zh,ar] [--home DIR]

A home that is given is kept, and what it holds already is not embedded again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evals.ranking import hit, ndcg
from evals.statistics import mean_interval
from llmops.home import Home
from llmops.jobs import rows as jobs
from llmops.jobs.worker import finish
from llmops.settings import Settings
from llmops.types import Asker, Json
from vectorstore.load import Fields
from vectorstore.rows.hits import passages
from vectorstore.search import Found, Searcher
from vectorstore.sources import Order

OWNER = Asker("poc", owner=True)
DEEP = 200
"""Chunks read of each ranking: enough for ten documents of any set."""
XQUAD = ("en", "de", "es", "zh", "ar")


class Question(NamedTuple):
    """A question and the names of the documents that answer it."""

    text: str
    relevant: frozenset[str]


class Set(NamedTuple):
    """A set: its documents with `pid`, `title` and `text`, its questions, and what is measured on it."""

    documents: Callable[[], Iterator[Json]]
    questions: Callable[[], Iterator[Question]]
    figure: str


def sets(data: Path) -> dict[str, Set]:
    """The sets by name. Sources: README.md of the data."""

    def abstracts() -> Iterator[Json]:
        for row in rows(data / "scifact/corpus.jsonl.gz"):
            yield {"pid": row["doc_id"], "title": row["title"], "text": " ".join(row["sentences"])}

    def claims() -> Iterator[Question]:
        for row in rows(data / "scifact/claims.jsonl"):
            yield Question(row["claim"], frozenset(row["relevant_doc_ids"]))

    def paragraphs(file: str) -> Callable[[], Iterator[Json]]:
        # JSQuAD puts the title before the text
        return lambda: ({"pid": r["pid"], "title": r["title"], "text": r["context"].rpartition(" [SEP] ")[2]} for r in rows(data / file))

    def asked(file: str) -> Callable[[], Iterator[Question]]:
        return lambda: (Question(r["question"], frozenset({r["pid"]})) for r in rows(data / file))

    xquad = {name: Set(paragraphs(f"xquad/paragraphs.{name}.jsonl"), asked(f"xquad/questions.{name}.jsonl"), "hit@1") for name in XQUAD}
    jsquad = Set(paragraphs("jsquad/paragraphs.jsonl"), asked("jsquad/questions.jsonl"), "hit@1")
    return {"scifact": Set(abstracts, claims, "nDCG@10"), "jsquad": jsquad, **xquad}


def rows(file: Path) -> Iterator[Json]:
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def ingest(home: Home, name: str, documents: Iterator[Json], folder: Path) -> None:
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in documents), encoding="utf-8")
    order = Order(name, name, root=str(file), fields=Fields("pid", "text", "title"))
    finish(home, "poc", home.store.write(lambda c: jobs.enqueue(c, "ingest", "poc", "bench", order.to_json())))


def rankings(home: Home, searcher: Searcher, name: str, question: str) -> dict[str, list[str]]:
    """The names of the documents that each leg and both together find, best first."""
    found: Found = searcher.search(question, collection=name, asker=OWNER, k=DEEP)
    wanted = sorted({row for leg in found.legs.values() for row in leg})
    names = {row: passage.external_id for row, passage in home.store.read(lambda c: passages(c, wanted, OWNER, found.snapshot.seq)).items()}
    ranked = {leg: [names[row] for row in rows] for leg, rows in found.legs.items()}
    return {**ranked, "fused": [one.passage.external_id for one in found.hits]}


def measure(home: Home, searcher: Searcher, name: str, chosen: Set) -> None:
    figure = ndcg if chosen.figure == "nDCG@10" else hit
    questions = list(chosen.questions())
    values: dict[str, list[float]] = {"dense": [], "lexical": [], "fused": []}
    began = time.perf_counter()
    for question in questions:
        ranked = rankings(home, searcher, name, question.text)
        for leg, into in values.items():
            into.append(figure(ranked.get(leg, []), question.relevant))
    seconds = time.perf_counter() - began
    print(f"{name}: {chosen.figure} of {len(questions)} questions, 95 % intervals; {1000 * seconds / len(questions):.0f} ms a question")
    for leg, each in values.items():
        print(line(leg, each))
    best = max(("dense", "lexical"), key=lambda leg: float(np.mean(values[leg])))
    print(line(f"fused - {best}, paired", [one - other for one, other in zip(values["fused"], values[best], strict=True)]), flush=True)


def line(name: str, values: Sequence[float]) -> str:
    mean, low, high = mean_interval(values)
    return f"  {name:<24} {mean:.3f}  [{low:.3f}, {high:.3f}]"


def run(data: Path, names: Sequence[str], folder: Path) -> None:
    known = sets(data)
    with Home(Settings.load(None, {"LLMOPS_HOME": str(folder / "home"), "LLMOPS__MLFLOW__TRACKING_URI": "off"})) as home:
        searcher = Searcher(home)
        for name in names:
            ingest(home, name, known[name].documents(), folder)
            measure(home, searcher, name, known[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder that holds scifact/, jsquad/ and xquad/")
    parser.add_argument("--sets", default="scifact,jsquad,en,de,es,zh,ar", help="names, with commas")
    parser.add_argument("--home", type=Path, help="a folder for the home, kept")
    options = parser.parse_args()
    if options.data is None:
        print("needs SciFact, JSQuAD and XQuAD: give the folder that holds them with --data DIR, or DATA=DIR of make bench")
        return
    names = options.sets.split(",")
    if unknown := set(names) - set(sets(options.data)):
        raise SystemExit(f"no set is called {', '.join(sorted(unknown))}; there are {', '.join(sets(options.data))}")
    with tempfile.TemporaryDirectory() as folder:
        place = options.home or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        run(options.data, names, place)


if __name__ == "__main__":
    main()
