"""What rights cost: a search under them beside one without, and a key's way to the handler.

Over 50,000 chunks of which each is for three of 1,000 groups, an asker in 30 groups and the owner of the home search for
the same vectors, in turns; the embedding of the question is the same for both and is left out. Then the steps that every
request takes before its handler (token, key, role, whom it is for) are timed in the application itself, once with a key
that this process has seen within the last second and once with one that must be looked up.

    python benchmarks/rights.py [--chunks 50000] [--groups 1000] [--of 30] [--questions 200]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from llmops.access import keys
from llmops.home import Home
from llmops.settings import Settings
from llmops.types import Asker, TextKind, Vectors
from server.app import make_app
from vectorstore.chunk import embedded_text, text_hash_of
from vectorstore.index import write_segments
from vectorstore.rows import collections, documents, vectors
from vectorstore.search import Searcher

WORDS = ("river", "harbour", "garden", "winter", "bridge", "tunnel", "market", "canal", "theatre", "railway", "archive", "keeper")
DIMENSION = 384
PER_DOCUMENT = 10
OWNER = Asker("poc", owner=True, role="admin")


class RandomEncoder:
    """Unit vectors at random, the same for the same text: this bench is not about embedding."""

    identity, dimension, scripts = "random", DIMENSION, frozenset({"latin"})
    languages: frozenset[str] = frozenset()

    def embed(self, texts: list[str], kind: TextKind = "passage") -> Vectors:
        return np.stack([_vector(hashlib.sha256(text.encode()).digest()) for text in texts])


def _vector(key: bytes) -> Vectors:
    made = np.random.default_rng(list(key)).normal(size=DIMENSION).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made), dtype=np.float32)


def fill(home: Home, count: int, groups: int, draw: random.Random) -> None:
    """A collection of `count` chunks, ten a document, each document for three groups."""
    empty = hashlib.sha256(b"").hexdigest()
    for first in range(0, count // PER_DOCUMENT, 500):
        ready = {}
        found: dict[bytes, Vectors] = {}
        for number in range(first, min(first + 500, count // PER_DOCUMENT)):
            parts = [f"record {number} {part} of the {' '.join(draw.choices(WORDS, k=8))}" for part in range(PER_DOCUMENT)]
            chunks, start = [], 0
            for part in parts:
                key = text_hash_of(embedded_text(f"Page {number}", "", part))
                chunks.append(documents.NewChunk(start, start + len(part), None, "", key))
                found[key] = _vector(key)
                start += len(part) + 2
            acl = [f"group:g{group}" for group in draw.sample(range(groups), 3)]
            ready[str(number)] = documents.NewVersion(str(number), f"Page {number}", "\n\n".join(parts), {}, str(number), empty, chunks, acl)

        def publish(connection: Any, ready: Any = ready, found: Any = found) -> None:
            collection = collections.ensure(connection, "poc", "docs", RandomEncoder.identity)
            vectors.keep(connection, RandomEncoder.identity, found)
            documents.publish(connection, collection, "bench", documents.Batch(ready=ready, blobs={empty: b""}))

        home.store.write(publish)
    write_segments(home, home.store.read(lambda c: collections.find(c, "poc", "docs")))


def searches(home: Home, groups: int, of: int, questions: int, draw: random.Random) -> dict[str, list[float]]:
    """Milliseconds of each search without its embedding, under rights and without."""
    member = Asker("poc", frozenset(f"group:g{group}" for group in draw.sample(range(groups), of)), name="member")
    searcher, took = Searcher(home), {"owner": list[float](), "member": list[float]()}
    for number in range(questions + 10):
        question = f"question {number} on the {' '.join(draw.choices(WORDS, k=4))}"
        for name, asker in (("owner", OWNER), ("member", member)):
            found = searcher.search(question, collection="docs", asker=asker, k=10)
            if number >= 10:
                took[name].append(1000 * sum(seconds for part, seconds in found.seconds.items() if part != "embed"))
            assert len(found.hits) == 10
    return took


async def doors(home: Home, times: int) -> dict[str, list[float]]:
    """Milliseconds of `admit`, with a key that is remembered and with one that is not."""
    from starlette.requests import Request

    from server.door import admit

    app = make_app(home)
    rooms = app.state.rooms
    await rooms.load()
    wanted = keys.Wanted("bench", "admin", "alice", tuple(f"g{n}" for n in range(30)))
    token = home.store.write(lambda c: keys.create(c, OWNER, wanted)).key
    scope = {"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())], "client": ("127.0.0.1", 1)}
    took = {"remembered": list[float](), "looked up": list[float]()}
    for number in range(times):
        for name in took:
            if name == "looked up":
                rooms.keys.forget()
            request = Request({**scope, "state": {}})
            began = time.perf_counter()
            await admit(rooms, request, "chat:use")
            if number >= 10:
                took[name].append(1000 * (time.perf_counter() - began))
    return took


def told(name: str, milliseconds: list[float]) -> str:
    ordered = sorted(milliseconds)
    return f"{name:<34} p50 {statistics.median(ordered):7.3f} ms   p95 {ordered[int(len(ordered) * 0.95)]:7.3f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="not used: this bench makes its own")
    for name, default in (("--chunks", 50_000), ("--groups", 1000), ("--of", 30), ("--questions", 200)):
        parser.add_argument(name, type=int, default=default)
    given = parser.parse_args()
    draw = random.Random(3)
    with tempfile.TemporaryDirectory() as folder, Home(Settings.load(environ={"LLMOPS_HOME": str(Path(folder, "home"))})) as home:
        home._encoder = RandomEncoder()  # type: ignore[assignment]  # a frozen set of one script is a set of scripts
        fill(home, given.chunks, given.groups, draw)
        took = searches(home, given.groups, given.of, given.questions, draw)
        ratio = statistics.median(took["member"]) / statistics.median(took["owner"])
        print(f"{given.chunks:,} chunks, {given.groups:,} groups, an asker in {given.of}, {given.questions} questions in turns")
        print(told("search without rights (the owner)", took["owner"]))
        print(told("search under rights", took["member"]))
        print(f"ratio of the medians: {ratio:.2f}")
        at_door = asyncio.run(doors(home, 500))
        print(told("key and role, key remembered", at_door["remembered"]))
        print(told("key and role, key looked up", at_door["looked up"]))
        _parts(home, given, draw)


def _parts(home: Home, given: argparse.Namespace, draw: random.Random) -> None:
    """What rights alone take of a search: which lists are readable, the mask, and the check on the rows."""
    member = Asker("poc", frozenset(f"group:g{group}" for group in draw.sample(range(given.groups), given.of)), name="member")
    searcher = Searcher(home)
    planned: dict[str, list[float]] = {"owner": [], "member": []}
    for number in range(given.questions):
        for name, asker in (("owner", OWNER), ("member", member)):
            found = searcher.search(f"another question {number}", collection="docs", asker=asker, k=8)
            planned[name].append(1000 * (found.seconds["plan"] + found.seconds["rows"]))
    print(f"rights within a search, median: {statistics.median(planned['member']) - statistics.median(planned['owner']):.3f} ms more (plan and rows)")


if __name__ == "__main__":
    main()
