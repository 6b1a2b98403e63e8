"""How fast the embedded encoder is, by backend, and how near int8 is to torch.

The ways take turns on the same texts, so that a busy machine slows all of them alike; read the ratios, not the rates.
Texts are made here, or are pieces of the Markdown files under `--data`.

    python benchmarks/encoder.py [--data DIR] [--texts 128] [--rounds 3] [--threads 2]
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmops.encoder import load_encoder
from llmops.sections import EncoderSettings

if TYPE_CHECKING:
    from llmops.types import Vectors

BATCH = 32
START = """
import sys, time
start = time.perf_counter()
from llmops.encoder import load_encoder
from llmops.sections import EncoderSettings
load_encoder(EncoderSettings(backend=sys.argv[1])).embed(["a query"], "query")
print(time.perf_counter() - start)
"""
_SUBJECTS = ("The server", "A second reader", "The treaty", "Every document", "The old bridge", "A cell", "The committee")
_VERBS = ("starts", "describes", "changes", "protects", "measures", "replaces", "explains")
_OBJECTS = ("the northern harbour", "its own records", "a list of rights", "the energy of food", "each paragraph", "the winter of 1648")


def made(count: int) -> list[str]:
    """Texts of three to eighteen sentences, the same at every run."""
    chance = random.Random(1)

    def sentence() -> str:
        return f"{chance.choice(_SUBJECTS)} {chance.choice(_VERBS)} {chance.choice(_OBJECTS)} after {chance.randint(2, 900)} days."

    return [" ".join(sentence() for _ in range(chance.randint(3, 18))) for _ in range(count)]


def pieces(folder: Path, count: int, size: int = 600) -> list[str]:
    """Pieces of Markdown files, spread evenly over all of them."""
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in sorted(folder.rglob("*.md*"))]
    found = [text[start : start + size] for text in texts for start in range(0, len(text), size)]
    return found[:: max(1, len(found) // count)][:count]


def rate(embed: Callable[[list[str]], Vectors], texts: list[str]) -> float:
    start = time.perf_counter()
    embed(texts)
    return len(texts) / (time.perf_counter() - start)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path)
    options.add_argument("--texts", type=int, default=128)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, default=0, help="of int8; 0: one for each core")
    chosen = options.parse_args()
    texts = pieces(chosen.data, chosen.texts) if chosen.data else made(chosen.texts)

    int8 = load_encoder(EncoderSettings(threads=chosen.threads))
    for backend in ("onnx-int8", "torch"):
        seconds = subprocess.run([sys.executable, "-c", START, backend], capture_output=True, text=True, check=True).stdout
        print(f"start to first vector, {backend:10} {float(seconds):6.2f} s")

    from sentence_transformers import SentenceTransformer

    from llmops.encoder.source import find_model

    library = SentenceTransformer(str(find_model("minilm").folder), device="cpu")
    torch = load_encoder(EncoderSettings(backend="torch", threads=0))

    def in_batches(some: list[str]) -> Vectors:
        vectors: Vectors = library.encode(some, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)
        return vectors

    ways: dict[str, Callable[[list[str]], Vectors]] = {
        "onnx-int8, one at a time": int8.embed,
        "torch fp32, one at a time": torch.embed,
        f"sentence-transformers fp32, batches of {BATCH}": in_batches,
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for embed in ways.values():
        embed(texts[:4])
    for _ in range(chosen.rounds):
        for name, embed in ways.items():
            rates[name].append(rate(embed, texts))
    slowest = min(statistics.median(found) for found in rates.values())
    for name, found in rates.items():
        middle = statistics.median(found)
        print(f"{name:45} {middle:7.1f} texts/s   {middle / slowest:5.2f} x")
    cosines = (int8.embed(texts) * torch.embed(texts)).sum(axis=1)
    print(f"cosine of int8 to torch: least {cosines.min():.4f}, mean {np.mean(cosines):.4f}, over {len(texts)} texts")


if __name__ == "__main__":
    main()
