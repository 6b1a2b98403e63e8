"""What an ingestion of hostile files costs a server's users, and what becomes of the good files beside them.

A real `llmops serve` on a scratch home answers searches over HTTP, one after the other on each of two connections, first idle,
then while 200 good pages alone are ingested, then while 200 others come with the hostile corpus of the tests. The ratio
of the second to the third is what hostile files cost; that of the first to the third is what an ingestion does.

    python benchmarks/hostile.py [--seconds 30]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from chat import llmops, served

from tests.vectorstore.hostile import corpus
from vectorstore.load import loader_for

GOOD, CONNECTIONS = 200, 2
THINGS = ("bridge", "harbour", "library", "engine", "garden", "mill", "tower", "tunnel", "market", "canal", "theatre", "railway")


def write_good(folder: Path, first: int) -> None:
    for number in range(first, first + GOOD):
        facts = [f"The {thing} of town {number} has {number * 7 + place} steps and {place + 3} doors." for place, thing in enumerate(THINGS)]
        (folder / f"good-{number:04d}.md").write_text(
            f"# Town {number}\n\n" + "\n\n".join(f"## The {t}\n\n{f}" for t, f in zip(THINGS, facts, strict=True))
        )


def searches(url: str, key: str, stop: threading.Event, times: list[float]) -> None:
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60, trust_env=False) as client:
        number = 0
        while not stop.is_set():
            number += 1
            began = time.perf_counter()
            reply = client.post("/api/v1/search", json={"collection": "docs", "query": f"how many doors has house {number}", "k": 5})
            reply.raise_for_status()
            times.append((time.perf_counter() - began) * 1000)
            time.sleep(0.02)


class Load:
    """Searches while something else goes on."""

    def __init__(self, url: str, key: str) -> None:
        self.times: list[float] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=searches, args=(url, key, self._stop, self.times)) for _ in range(CONNECTIONS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def told(self, name: str) -> float:
        p50, p95, p99 = np.percentile(self.times, [50, 95, 99])
        print(f"{name:<44}{len(self.times):>8}{p50:8.1f}{p95:8.1f}{p99:8.1f}")
        return float(p99)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=30, help="how long the idle server is asked")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home, first, alone, mixed = (Path(scratch, name) for name in ("home", "first", "alone", "mixed"))
        for number, folder in enumerate((first, alone, mixed)):
            folder.mkdir()
            write_good(folder, number * GOOD)
        hostile = {name: content for name, content in corpus().items() if loader_for(name)}
        for name, content in hostile.items():
            (mixed / f"hostile-{name}").write_bytes(content)
        llmops(home, "ingest", str(first), "--collection", "docs")
        key = llmops(home, "keys", "create", "bench", "--role", "admin")["key"]
        print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start; {len(hostile)} hostile files")
        print(f"{'milliseconds of a search':<44}{'asked':>8}{'p50':>8}{'p95':>8}{'p99':>8}")
        with served(home) as url:
            with Load(url, key) as warm:
                time.sleep(5)
            with Load(url, key) as idle:
                time.sleep(chosen.seconds)
            with Load(url, key) as good:
                llmops(home, "ingest", str(alone), "--collection", "docs")
            began = time.perf_counter()
            with Load(url, key) as bad:
                told = llmops(home, "ingest", str(mixed), "--collection", "docs")
            seconds = time.perf_counter() - began
        del warm
        of_idle, of_good, of_bad = idle.told("idle"), good.told("while 200 good files come"), bad.told("while 200 come with hostile ones")
        print(f"p99 with hostile files is {of_bad / of_good:.2f} times that without them, and {of_bad / of_idle:.2f} times that of an idle server")
        failed = {one["external_id"].partition("#")[0] for one in told["failed"]}
        bad_ones = sum(name.startswith("hostile-") for name in failed)
        print(f"{told['ready']} documents ready in {seconds:.0f} s")
        print(f"failed: {bad_ones} of {len(hostile)} hostile files, {len(failed) - bad_ones} good ones")
        for one in told["failed"]:
            print(f"  {one['external_id']}: {one['error']}")


if __name__ == "__main__":
    main()
