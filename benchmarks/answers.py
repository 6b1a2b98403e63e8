"""How the whole chain answers, cites and abstains, in English (XQuAD) and Japanese (JSQuAD).

All paragraphs of a set are ingested into one collection. Its questions are asked as they are, then with the gold
paragraph filtered out (nothing answers any more), and last the other set's questions are asked (foreign ones).

    python benchmarks/answers.py --data DIR [--limit 300]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chains.evidence import Evidence, weigh_evidence
from chains.flow import Ask, Chains, Rooms, open_rooms
from evals.statistics import mean_interval
from llmops.home import Home
from llmops.jobs import rows as jobs
from llmops.jobs.worker import finish
from llmops.settings import Settings
from llmops.types import Answer, Asker, Json
from vectorstore.load import Fields
from vectorstore.sources import Order

SETS = {"en": ("xquad", ".en"), "ja": ("jsquad", "")}
OWNER = Asker("poc", owner=True)


class Told(NamedTuple):
    """One question's outcome."""

    right: bool
    cited: bool
    abstained: bool
    length: int


def load(data: Path, name: str, kind: str) -> list[Json]:
    folder, suffix = SETS[name]
    with (data / folder / f"{kind}{suffix}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def ingest(home: Home, data: Path, name: str, folder: Path) -> None:
    file = folder / f"{name}.jsonl"
    with file.open("w", encoding="utf-8") as out:
        for row in load(data, name, "paragraphs"):
            text = row["context"].rpartition(" [SEP] ")[2]  # JSQuAD puts the title before it
            out.write(json.dumps({"pid": row["pid"], "title": row["title"], "text": text}, ensure_ascii=False) + "\n")
    order = Order(name, name, root=str(file), fields=Fields("pid", "text", "title"))
    job_id = home.store.write(lambda c: jobs.enqueue(c, "ingest", "poc", "bench", order.to_json()))
    finish(home, "poc", job_id)


async def ask(rooms: Rooms, chains: Chains, name: str, row: Json) -> Told:
    call = Ask(({"role": "user", "content": row["question"]},), OWNER, collection=name)
    async with aclosing(chains.ask("rag", call)) as pieces:
        answer = [piece async for piece in pieces if isinstance(piece, Answer)][-1]
    right = any(gold["text"] in answer.text for gold in row["answers"])
    cited = row["pid"] in [citation.external_id for citation in answer.citations[:3]]
    return Told(right, cited, answer.abstained, len(answer.text))


def evidence(rooms: Rooms, name: str, row: Json, without: str | None = None) -> Evidence:
    narrowed = {"external_id": {"$ne": without}} if without else None
    return weigh_evidence(row["question"], rooms.searcher.search(row["question"], collection=name, asker=OWNER, k=8, filter=narrowed))


def auroc(high: Sequence[float], low: Sequence[float]) -> float:
    """Share of pairs in which the first is higher; ties count half. Mann and Whitney (1947)."""
    a, b = np.asarray(high)[:, None], np.asarray(low)[None, :]
    return float(((a > b) + 0.5 * (a == b)).mean())


def line(name: str, values: Sequence[float]) -> str:
    mean, low, high = mean_interval(values)
    return f"  {name:<46} {mean:.3f}  [{low:.3f}, {high:.3f}]  n={len(values)}"


async def measure(data: Path, limit: int, folder: Path) -> None:
    with Home(Settings.load(None, {"LLMOPS_HOME": str(folder / "home"), "LLMOPS__MLFLOW__TRACKING_URI": "off"})) as home:
        questions = {}
        for name in SETS:
            ingest(home, data, name, folder)
            questions[name] = random.Random(0).sample(load(data, name, "questions"), limit)
        async with open_rooms(home) as rooms:
            chains = Chains(rooms)
            for name, other in (("en", "ja"), ("ja", "en")):
                rows = questions[name]
                told = [await ask(rooms, chains, name, row) for row in rows]
                own = [evidence(rooms, name, row) for row in rows]
                removed = [evidence(rooms, name, row, without=row["pid"]) for row in rows]
                foreign = [evidence(rooms, name, row) for row in questions[other]]
                print(f"{name}: {limit} questions over all paragraphs of {SETS[name][0]}, 95 % intervals")
                print(line("the answer contains the gold answer", [t.right for t in told]))
                print(line("the gold paragraph is among three citations", [t.cited for t in told]))
                print(line("declined though answerable", [t.abstained for t in told]))
                print(line("declined, gold paragraph removed", [not e.suffices for e in removed]))
                print(line("declined, questions of the other language", [not e.suffices for e in foreign]))
                print(f"  mean length of an answer {np.mean([t.length for t in told]):.0f} characters")
                print(f"  AUROC of the evidence: removed {auroc([e.value for e in own], [e.value for e in removed]):.3f}")
                quantiles = {
                    kind: np.quantile([e.value for e in es], [0.03, 0.05, 0.07, 0.5, 0.9]).round(3)
                    for kind, es in (("own", own), ("removed", removed), ("foreign", foreign))
                }
                print("  evidence at 3, 5, 7, 50, 90 %:", {kind: values.tolist() for kind, values in quantiles.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder that holds xquad/ and jsquad/")
    parser.add_argument("--limit", type=int, default=300)
    options = parser.parse_args()
    if options.data is None:
        print("needs XQuAD and JSQuAD: give the folder that holds xquad/ and jsquad/ with --data DIR, or DATA=DIR of make bench")
        return
    if missing := [name for name, _ in SETS.values() if not (options.data / name).is_dir()]:
        raise SystemExit(f"no {' and no '.join(missing)} in {options.data}; docs/evals.md says what the folder holds")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(options.data, options.limit, Path(folder)))


if __name__ == "__main__":
    main()
