"""Jobs and processes that die, stop, wait for each other, or hang: on both stores, with real processes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from llmops.home import Home
from llmops.jobs import rows, worker
from llmops.jobs.slots import BULK, URGENT
from llmops.store import outbox
from tests.conftest import OWNER
from tests.crash import Running
from tests.llmops import job_kinds

SCRIPT = Path(job_kinds.__file__)
Start = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the program of job_kinds.py in a process of its own, killed at the end."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(Running([SCRIPT, *arguments]))


def put(home: Home, kind: str = "count", priority: int = BULK, **payload: Any) -> str:
    if kind == "count":
        payload = {"file": str(home.settings.home / "steps"), **payload}
    return home.store.write(lambda c: rows.enqueue(c, kind, "poc", "owner", payload, priority=priority))


def get(home: Home, job_id: str) -> rows.Job:
    return home.store.read(lambda c: rows.require(c, "poc", job_id))


def wait_until(true: Callable[[], bool], seconds: float = 20) -> float:
    """How long it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it never came"
        time.sleep(0.02)
    return time.monotonic() - began


def steps(home: Home) -> list[list[str]]:
    file = home.settings.home / "steps"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def test_t34_the_job_of_a_killed_process_is_taken_over_at_once(store_home: Home, start: Start) -> None:
    job_id = put(store_home, steps=100)
    callers = [start("finish", job_id) for _ in range(2)]
    for caller in callers:
        caller.wait_for_line("running")
    time.sleep(0.3)
    (runner,) = {int(writer) for _, writer in steps(store_home)}  # while one runs it, the other waits
    first, second = sorted(callers, key=lambda caller: caller.process.pid != runner)
    first.kill()
    killed, before = time.monotonic(), len(steps(store_home))
    wait_until(lambda: len(steps(store_home)) > before + 1)
    assert time.monotonic() - killed < rows.LEASE / 4, "no lease is waited for"
    second.wait_for_line("ended done")
    assert [int(step) for step, _ in steps(store_home)] == list(range(100)), "resumed, nothing twice"
    assert get(store_home, job_id).attempts == 2


def test_a_worker_that_was_killed_is_followed_by_the_next(store_home: Home, start: Start) -> None:
    first = start("work")
    first.wait_for_line("up")
    job_id = put(store_home, steps=30)
    wait_until(lambda: len(steps(store_home)) > 3)
    first.kill()
    start("work")
    wait_until(lambda: get(store_home, job_id).state == "done")
    assert [int(step) for step, _ in steps(store_home)] == list(range(30))


def test_t34_a_worker_killed_with_a_job_in_each_slot_is_followed_in_both(store_home: Home, start: Start) -> None:
    files = {priority: store_home.settings.home / f"steps-{priority}" for priority in (BULK, URGENT)}

    def lines(priority: int) -> list[list[str]]:
        return [line.split() for line in files[priority].read_text().splitlines()] if files[priority].exists() else []

    first = start("work")
    first.wait_for_line("up")
    load = put(store_home, priority=BULK, file=str(files[BULK]), steps=60)
    wait_until(lambda: len(lines(BULK)) > 1)
    upload = put(store_home, priority=URGENT, file=str(files[URGENT]), steps=30)
    wait_until(lambda: len(lines(URGENT)) > 3)
    assert [get(store_home, job_id).state for job_id in (load, upload)] == ["running", "running"], "beside each other"
    first.kill()
    killed = time.monotonic()
    start("work")
    wait_until(lambda: get(store_home, upload).state == "done")
    wait_until(lambda: get(store_home, load).state in ("running", "done"))
    wait_until(lambda: get(store_home, load).state == "done")
    assert time.monotonic() - killed < rows.LEASE / 2, "no lease is waited for"
    for priority, steps in ((BULK, 60), (URGENT, 30)):
        assert [int(step) for step, _ in lines(priority)] == list(range(steps)), "resumed, nothing twice"
        assert len({writer for _, writer in lines(priority)}) == 2
    assert [get(store_home, job_id).attempts for job_id in (load, upload)] == [2, 2]


def test_a_command_that_carries_out_a_load_holds_up_neither_a_server_nor_another_command(home: Home, start: Start) -> None:
    load = put(home, steps=400)
    start("finish", load).wait_for_line("running", count=2)
    quick = put(home, priority=URGENT, file=str(home.settings.home / "quick"), steps=1)
    assert worker.finish(home, "poc", quick).state == "done"
    running = start("work")
    running.wait_for_line("up")
    following = put(home, priority=URGENT, file=str(home.settings.home / "following"), steps=1)
    wait_until(lambda: get(home, following).state == "done")
    assert get(home, load).state == "running"
    running.process.send_signal(signal.SIGTERM)
    assert running.wait(10) == 0


def test_a_worker_picks_up_a_job_soon_and_commands_wait_for_it(store_home: Home, start: Start) -> None:
    start("work").wait_for_line("up")
    time.sleep(1.5)  # idle, as slow as it gets
    job_id = put(store_home, steps=8)
    assert wait_until(lambda: len(steps(store_home)) > 0) < 5
    seen: list[int] = []
    job = worker.finish(store_home, "poc", job_id, lambda job: seen.append(job.done))
    assert job.state == "done"
    assert sorted(seen) == seen
    assert len({writer for _, writer in steps(store_home)}) == 1


def test_a_worker_waits_for_a_command_that_runs_jobs(home: Home, start: Start) -> None:
    job_id = put(home, steps=20)
    command = start("finish", job_id)
    command.wait_for_line("running", count=2)
    start("work").wait_for_line("up")
    other = put(home, file=str(home.settings.home / "other"), steps=1)
    command.wait_for_line("ended done")
    assert len({writer for _, writer in steps(home)}) == 1
    wait_until(lambda: get(home, other).state == "done")


def test_t57_sigterm_puts_the_job_back_and_the_next_worker_resumes_it(store_home: Home, start: Start) -> None:
    first = start("work")
    first.wait_for_line("up")
    job_id = put(store_home, steps=40)
    wait_until(lambda: len(steps(store_home)) > 3)
    first.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert first.wait(10) == 0
    assert time.monotonic() - began < 5
    job = get(store_home, job_id)
    assert (job.state, job.attempts, job.owner) == ("queued", 0, None), "a stop is no failure"
    start("work")
    wait_until(lambda: get(store_home, job_id).state == "done")


def test_ctrl_c_leaves_the_job_to_be_resumed_and_says_so(home: Home, start: Start) -> None:
    job_id = put(home, steps=400)
    command = start("finish", job_id)
    command.wait_for_line("running", count=3)
    command.process.send_signal(signal.SIGINT)
    command.wait_for_line(f"interrupted: {job_id} is not finished and will be resumed")
    assert get(home, job_id).state == "queued"


@pytest.mark.parametrize("kind", ["count", "swallows"])
def test_a_running_job_that_is_cancelled_ends_soon(store_home: Home, start: Start, kind: str) -> None:
    start("work").wait_for_line("up")
    job_id = put(store_home, kind, steps=400)
    wait_until(lambda: get(store_home, job_id).done > 2)
    store_home.store.write(lambda c: rows.cancel(c, OWNER, job_id))
    following = put(store_home, file=str(store_home.settings.home / "following"), steps=1)
    assert wait_until(lambda: get(store_home, following).state == "done") < 8
    assert get(store_home, job_id).state == "cancelled"
    assert worker.finish(store_home, "poc", job_id).state == "cancelled"


def test_jobs_that_fail_do_not_stop_the_worker(home: Home, start: Start) -> None:
    running = start("work")
    running.wait_for_line("up")
    bad = [put(home, kind) for kind in ("bad-input", "unknown-kind")]
    good = put(home, steps=1)
    wait_until(lambda: get(home, good).state == "done")
    assert [get(home, job_id).state for job_id in bad] == ["failed", "failed"]
    assert running.process.poll() is None


def test_t52_a_worker_outlasts_a_store_that_is_locked(home: Home, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    from pysqlite3 import dbapi2

    monkeypatch.setenv("LLMOPS__STORE__BUSY_SECONDS", "0.2")
    running = start("work")
    running.wait_for_line("up")
    first = put(home, steps=1)
    wait_until(lambda: get(home, first).state == "done")
    second = put(home, file=str(home.settings.home / "second"), steps=1)
    other = dbapi2.connect(home.settings.home / "llmops.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    time.sleep(1.5)
    other.execute("ROLLBACK")
    other.close()
    wait_until(lambda: get(home, second).state == "done")
    assert running.process.poll() is None


def test_t58_a_delivery_that_hangs_delays_no_job_and_one_that_fails_is_kept(home: Home, start: Start) -> None:
    for topic in ("slow", "traces"):
        home.store.write(lambda c, topic=topic: outbox.tell(c, topic, "k", {}))
    running = start("work")
    running.wait_for_line("delivering")
    assert worker.finish(home, "poc", put(home, steps=2)).state == "done"
    assert home.store.read(outbox.waiting) == {"slow": 1, "traces": 1}
    began = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    assert running.wait(10) == 0
    assert time.monotonic() - began < 5, "nor the end of the process"


def test_a_child_that_outlives_its_parent_holds_no_lock(home: Home) -> None:
    from llmops.jobs.lock import try_lock

    script = f"""
import os, time
from pathlib import Path
from llmops.jobs.lock import try_lock
with try_lock(Path({str(home.settings.home)!r})) as ours:
    assert ours
    if os.fork() == 0:
        print("child", flush=True)
        time.sleep(60)
    time.sleep(60)
"""
    with Running(["-c", script]) as running:
        running.wait_for_line("child")
        with try_lock(home.settings.home) as ours:
            assert not ours
        running.process.send_signal(signal.SIGKILL)  # the parent alone
        running.process.wait(10)
        with try_lock(home.settings.home) as ours:
            assert ours
