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
import random
import statistics
import tempfile
import time
from pathlib import Path

from synthetic import OWNER, WORDS, Made, fill

from llmops.access import keys
from llmops.home import Home
from llmops.settings import Settings
from llmops.types import Asker
from server.app import make_app
from vectorstore.search import Searcher


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
        fill(home, given.chunks, 10, lambda _: Made({}, [f"group:g{group}" for group in draw.sample(range(given.groups), 3)]), draw)
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
