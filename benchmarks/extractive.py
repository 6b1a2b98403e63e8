"""How often the embedded model's answer contains the right one, in English (XQuAD) and Japanese (JSQuAD).

Each question comes with its own paragraph and four others drawn at random, in random order, as passages. An answer is
right if it contains one of the gold answers, letter for letter.

    python benchmarks/extractive.py --data DIR [--limit 300] [--backend onnx-int8]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import Iterator
from contextlib import aclosing
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evals.statistics import mean_interval
from llmops.encoder import load_encoder
from llmops.gateway.extractive import Extractive
from llmops.sections import EncoderSettings
from llmops.types import ChatRequest, Embedder, Json, Passage

SETS = {"en (XQuAD)": ("xquad", ".en"), "ja (JSQuAD)": ("jsquad", "")}
OTHERS = 4


class Question(NamedTuple):
    """A question, its gold answers, the passages that come with it."""

    text: str
    answers: tuple[str, ...]
    passages: tuple[Passage, ...]


def questions(folder: Path, suffix: str, limit: int, *, with_gold: bool, seed: int = 0) -> Iterator[Question]:
    """Up to `limit` questions, drawn at random. Without gold, all five passages are others: nothing answers."""
    paragraphs = {row["pid"]: row for row in _rows(folder / f"paragraphs{suffix}.jsonl")}
    rows = list(_rows(folder / f"questions{suffix}.jsonl"))
    draw = random.Random(seed)
    draw.shuffle(rows)
    for row in rows[:limit]:
        others = draw.sample([pid for pid in paragraphs if pid != row["pid"]], OTHERS + 1)
        chosen = [row["pid"], *others[:OTHERS]] if with_gold else others
        draw.shuffle(chosen)
        passages = tuple(_passage(paragraphs[pid]) for pid in chosen)
        yield Question(row["question"], tuple(answer["text"] for answer in row["answers"]), passages)


def _passage(row: Json) -> Passage:
    text = row["context"].rpartition(" [SEP] ")[2]  # JSQuAD puts the title before it
    return Passage(row["pid"], row["pid"], row["pid"], "benchmark", row["title"], text, 0, len(text))


def _rows(file: Path) -> Iterator[Json]:
    with file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


async def answer(model: Extractive, question: Question) -> str:
    request = ChatRequest("extractive", ({"role": "user", "content": question.text},), passages=question.passages, question=question.text)
    async with aclosing(model.stream(request)) as chunks:
        return "".join([chunk.text async for chunk in chunks])


async def measure(name: str, model: Extractive, cases: list[Question], unanswerable: list[Question]) -> None:
    right, lengths, seconds = [], [], []
    for case in cases:
        started = time.perf_counter()
        reply = await answer(model, case)
        seconds.append(time.perf_counter() - started)
        right.append(float(any(gold in reply for gold in case.answers)))
        lengths.append(len(reply))
    declined = [float("[" not in await answer(model, case)) for case in unanswerable]
    mean, low, high = mean_interval(right, seed=0)
    print(
        f"{name}: {len(cases)} questions, contains the answer {mean:.3f} [{low:.3f}, {high:.3f}], mean length {np.mean(lengths):.0f} characters, "
        f"p50 {1000 * np.median(seconds):.1f} ms; declined with five wrong passages {np.mean(declined):.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder that holds xquad/ and jsquad/")
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--backend", choices=["onnx-int8", "torch"], default="onnx-int8")
    arguments = parser.parse_args()
    if arguments.data is None:
        print("needs XQuAD and JSQuAD: give the folder that holds xquad/ and jsquad/ with --data DIR, or DATA=DIR of make bench")
        return
    if missing := [name for name, _ in SETS.values() if not (arguments.data / name).is_dir()]:
        raise SystemExit(f"no {' and no '.join(missing)} in {arguments.data}; docs/evals.md says what the folder holds")
    encoder: Embedder = load_encoder(EncoderSettings.model_validate({"backend": arguments.backend}))
    model = Extractive(cache(lambda: encoder))
    for name, (folder, suffix) in SETS.items():
        cases = list(questions(arguments.data / folder, suffix, arguments.limit, with_gold=True))
        unanswerable = list(questions(arguments.data / folder, suffix, min(100, arguments.limit), with_gold=False, seed=1))
        asyncio.run(measure(name, model, cases, unanswerable))


if __name__ == "__main__":
    main()
