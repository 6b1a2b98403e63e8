"""How long a chat request takes over 10,000 chunks with the embedded model, and which part takes how much of it.

A real `llmops serve` on a scratch home is asked over HTTP with a key, one request after the other on one connection,
in turns whole and streamed; no question comes twice. Parts are the server's own measures, read from /metrics between
two requests. Pages are made here, or are the Markdown files under `--data`.

    python benchmarks/chat.py [--data DIR] [--questions 200] [--home DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np

LLMOPS = str(Path(sys.executable).parent / "llmops")
LEAST_CHUNKS = 10_000
WARM = 10
MARKDOWN = ("*.md", "*.mdx", "*.qmd")
PARTS = {
    "auth": "the key",
    "embed": "the question's vector",
    "plan": "what may be read, as of now",
    "scan": "both legs, and their fusion",
    "rows": "the passages, and their rights again",
    "model": "the extractive model, and citing",
    "commit": "the answer's row",
}
_PART = re.compile(r'^llmops_chain_part_seconds_sum{.*part="(\w+)".*} (\S+)$', re.MULTILINE)
_HEADING = re.compile(r"^#{1,3} +([A-Z][^\n#|<>{}\[\]]{5,60})$", re.MULTILINE)
_THINGS = ("bridge", "harbour", "library", "engine", "garden", "mill", "tower", "tunnel", "market", "canal", "theatre", "railway")
_TOWNS = tuple(first + last for first in ("Ash", "Birch", "Cold", "Dun", "East", "Fair", "Green", "High") for last in ("ford", "ham", "ton", "wick"))
_FACTS = ("was built in {n}", "is {n} metres long", "cost {n} gold coins", "has {n} visitors a year", "is watched by {n} people", "burnt in {n}")


class Asked(NamedTuple):
    """One request: milliseconds to its first sentence, to its end and of each part in the server."""

    first: float
    whole: float
    parts: dict[str, float]
    abstained: bool


def make_pages(folder: Path) -> list[str]:
    """Pages of short sections, one chunk each, and a question about each section; the same at every run."""
    draw = random.Random(1)
    questions = []
    for number in range(LEAST_CHUNKS // 100):
        sections = [f"# Chronicle {number}"]
        for part in range(104):
            thing, town, facts = draw.choice(_THINGS), draw.choice(_TOWNS), draw.sample(_FACTS, 5)
            name = f"the {thing} of {town} {number}-{part}"
            says = [f"{name.capitalize()} {fact.format(n=draw.randint(2, 1900))}, as its keeper wrote." for fact in facts]
            sections.append(f"## {name.capitalize()}\n\n{' '.join(says)}")
            questions.append(f"How long is {name}?")
        (folder / f"chronicle-{number:03d}.md").write_text("\n\n".join(sections), encoding="utf-8")
    return questions


def questions_about(folder: Path) -> list[str]:
    """A question for each heading of the Markdown files."""
    found: set[str] = set()
    for pattern in MARKDOWN:
        for file in folder.rglob(pattern):
            found.update(_HEADING.findall(file.read_text(encoding="utf-8", errors="replace")))
    return [f"How does {heading.strip()} work?" for heading in sorted(found)]


def llmops(home: Path, *arguments: str) -> Any:
    done = subprocess.run([LLMOPS, *arguments, "--json"], env=environment(home), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLMOPS_") or name == "LLMOPS_CACHE"}
    return {**kept, "LLMOPS_HOME": str(home)}


@contextmanager
def served(home: Path) -> Iterator[str]:
    """The address of a server on this home, once it is ready."""
    process = subprocess.Popen([LLMOPS, "serve", "--json", "--port", "0"], env=environment(home), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        while httpx.get(f"{url}/readyz", trust_env=False).status_code != 200:
            time.sleep(0.1)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def ask(client: httpx.Client, question: str, *, stream: bool) -> Asked:
    body = {"model": "rag", "messages": [{"role": "user", "content": question}], "stream": stream}
    before = parts_so_far(client)
    began, first, last = time.perf_counter(), 0.0, ""
    with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        for line in reply.iter_lines():
            if line and not first:
                first = time.perf_counter() - began
            if line and line != "data: [DONE]":
                last = line
    whole = time.perf_counter() - began
    abstained = json.loads(last.removeprefix("data: "))["llmops"]["abstained"]
    after = parts_so_far(client)
    return Asked(first * 1000, whole * 1000, {part: after[part] - before.get(part, 0.0) for part in after}, abstained)


def parts_so_far(client: httpx.Client) -> dict[str, float]:
    """Milliseconds of each part of all answers so far."""
    return {part: float(seconds) * 1000 for part, seconds in _PART.findall(client.get("/metrics").text)}


def row(name: str, milliseconds: list[float]) -> str:
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
    return f"{name:<50}{p50:8.1f}{p95:8.1f}{p99:8.1f}"


def measure(client: httpx.Client, questions: list[str]) -> None:
    for question in questions[:WARM]:
        ask(client, question, stream=False)
    asked = [ask(client, question, stream=bool(turn % 2)) for turn, question in enumerate(questions[WARM:])]
    whole, streamed = asked[::2], asked[1::2]
    print(f"{len(asked)} questions, {sum(one.abstained for one in asked)} of them declined")
    print(f"{'milliseconds':<50}{'p50':>8}{'p95':>8}{'p99':>8}")
    print(row("a whole answer", [one.whole for one in whole]))
    print(row("a streamed answer, to its first sentence", [one.first for one in streamed]))
    print(row("a streamed answer, to its end", [one.whole for one in streamed]))
    for part, meaning in PARTS.items():
        print(row(f"  {part}: {meaning}", [one.parts[part] for one in asked if one.parts[part]]))
    print(row("  the rest: HTTP, JSON, weighing the evidence", [one.whole - sum(one.parts[part] for part in PARTS) for one in asked]))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, help="a folder of documents, or one that holds them in docs/")
    options.add_argument("--questions", type=int, default=200)
    options.add_argument("--home", type=Path, help="kept for the next run, which then ingests nothing")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        load = os.getloadavg()[0]
        home, pages = chosen.home or Path(scratch, "home"), Path(scratch, "pages")
        pages.mkdir()
        if chosen.data:
            pages = chosen.data / "docs" if (chosen.data / "docs").is_dir() else chosen.data
        questions = questions_about(pages) if chosen.data else make_pages(pages)
        random.Random(0).shuffle(questions)
        started = time.perf_counter()
        include = [option for pattern in MARKDOWN for option in ("--include", pattern)]
        llmops(home, "ingest", str(pages), "--collection", "docs", "--source", "pages", *include)
        known = llmops(home, "collections", "show", "docs")
        print(f"{known['documents']['ready']} documents, {known['chunks']} chunks, ingested in {time.perf_counter() - started:.0f} s")
        print(f"{os.cpu_count()} cores, load average {load:.1f} at the start; compare only what was measured on a quiet machine")
        if known["chunks"] < LEAST_CHUNKS:
            print(f"fewer than {LEAST_CHUNKS} chunks: give more documents with --data")
        name = f"bench-{time.time_ns()}"
        key = llmops(home, "keys", "create", name, "--role", "admin")["key"]
        with served(home) as url, httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60, trust_env=False) as client:
            measure(client, questions[: chosen.questions + WARM])
        llmops(home, "keys", "revoke", name)


if __name__ == "__main__":
    main()
