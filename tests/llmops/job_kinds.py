"""Kinds of jobs for the tests, and a program that waits for one, or is the home's worker, in a process of its own.

python job_kinds.py finish JOB         prints a line for each step and at the end `ended STATE`
python job_kinds.py work               the worker, until SIGTERM
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmops import plugins
from llmops.errors import InvalidInput
from llmops.home import Home
from llmops.jobs.context import JobContext
from llmops.settings import Settings
from llmops.store.outbox import Item


@plugins.register("jobs", "count")
def count(home: Home, job: JobContext) -> dict[str, Any]:
    """Write `steps` lines to a file, one every `pause` seconds; a line says who wrote it. Resumes where the file ends."""
    file, steps = Path(job.payload["file"]), job.payload["steps"]
    done = len(file.read_text().splitlines()) if file.exists() else 0
    for step in range(done, steps):
        job.progress(step, steps)
        time.sleep(job.payload.get("pause", 0.05))
        with file.open("a") as out:
            out.write(f"{step} {os.getpid()}\n")
    job.progress(steps, steps)
    return {"steps": steps}


@plugins.register("jobs", "bad-input")
def bad_input(home: Home, job: JobContext) -> dict[str, Any]:
    raise InvalidInput("no such folder", hint="name another")


@plugins.register("jobs", "bug")
def bug(home: Home, job: JobContext) -> dict[str, Any]:
    raise KeyError("api_key=sk-abcdefghijklmnopqrstuvwxyz")


@plugins.register("jobs", "unstorable")
def unstorable(home: Home, job: JobContext) -> dict[str, Any]:
    return {"value": object()}


@plugins.register("jobs", "suicide")
def suicide(home: Home, job: JobContext) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


@plugins.register("jobs", "swallows")
def swallows(home: Home, job: JobContext) -> dict[str, Any]:
    """Goes on after any error of one step, as careful handlers do."""
    for step in range(400):
        try:
            job.progress(step, 400)
            time.sleep(0.05)
        except Exception:
            continue
    return {}


def slow(home: Home, items: Sequence[Item]) -> None:
    print("delivering", flush=True)
    time.sleep(30)


def refused(home: Home, items: Sequence[Item]) -> None:
    raise ConnectionError("no MLflow here")


def main() -> None:
    from llmops.jobs import worker

    plugins.register("deliveries", "slow")(slow)
    plugins.register("deliveries", "traces")(refused)
    with Home(Settings.load()) as home:
        if sys.argv[1] == "work":
            stop = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
            print("up", flush=True)
            worker.run_forever(home, stop)
            print("down", flush=True)
            return
        try:
            job = worker.finish(home, "poc", sys.argv[2], lambda job: print(job.state, job.done, job.total, flush=True))
        except KeyboardInterrupt as interrupted:
            print(f"interrupted: {interrupted}", flush=True)
            return
        print(f"ended {job.state}", flush=True)


if __name__ == "__main__":
    main()
