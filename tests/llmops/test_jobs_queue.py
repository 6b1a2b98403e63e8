"""Whose turn it is, jobs that are tried again, and what is told of their progress; on both stores."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from llmops.access import audit, keys
from llmops.errors import Conflict, NotPermitted
from llmops.home import Home
from llmops.jobs import queue_rows, rate, rows, worker
from llmops.jobs.context import JobCancelled, JobContext
from llmops.jobs.slots import ANY, BULK, URGENT, URGENT_ONLY, Slot
from llmops.jobs.tables import jobs
from llmops.progress import Progress
from llmops.store.store import Store
from llmops.types import Asker
from tests.conftest import OWNER
from tests.llmops import job_kinds  # noqa: F401  registers the kinds


def put(store: Store, priority: int = BULK, lane: tuple[str, ...] = (), asker: str = "owner", **payload: Any) -> str:
    return store.write(lambda c: rows.enqueue(c, "count", "poc", asker, payload, lane, priority))


def claim(store: Store, slot: Slot = ANY, owner: str = "me", before: rows.Job | None = None) -> rows.Job | None:
    return store.write(lambda c: rows.claim(c, owner, slot, before=before))


def claimed(store: Store, slot: Slot = ANY) -> str | None:
    job = claim(store, slot)
    return job and job.id


def get(store: Store, job_id: str) -> rows.Job:
    return store.read(lambda c: rows.require(c, "poc", job_id))


def test_urgent_jobs_go_first_and_have_a_slot_that_bulk_loads_never_take(store: Store) -> None:
    first, second = put(store, n=1), put(store, n=2)
    quick, quicker = put(store, URGENT, n=3), put(store, URGENT, n=4)
    assert store.read(lambda c: queue_rows.positions(c, None)) == {quick: 1, quicker: 2, first: 3, second: 4}
    counted = store.read(queue_rows.waiting)
    assert {name: count for name, (count, _) in counted.items()} == {"urgent": 2, "bulk": 2}
    assert all(0 <= since < 300 for _, since in counted.values())
    assert claimed(store) == quick
    assert claimed(store, URGENT_ONLY) == quicker
    assert claimed(store, URGENT_ONLY) is None, "no bulk load here, however idle it is"
    assert [claimed(store), claimed(store)] == [first, second]


@pytest.mark.parametrize("queued_at", [queue_rows.AGES + 1, -86_400], ids=["long ago", "by a clock that was set back since"])
def test_t56_a_bulk_job_that_waited_long_is_passed_by_nobody_more(store: Store, queued_at: float) -> None:
    old, quick = put(store, n=1), put(store, URGENT, n=2)
    store.write(lambda c: c.execute(update(jobs).where(jobs.c.id == old).values(queued_at=time.time() - queued_at)))
    assert claimed(store, URGENT_ONLY) == quick, "the slot for urgent ones keeps out of it"
    store.write(lambda c: c.execute(update(jobs).where(jobs.c.id == quick).values(state="queued")))
    assert claimed(store) == old


def test_a_lane_keeps_its_order_over_both_slots(store: Store) -> None:
    load = put(store, lane=("docs", "api"), n=1)
    upload, other = put(store, URGENT, ("docs", "api"), n=2), put(store, URGENT, ("docs", "web"), n=3)
    assert claimed(store, URGENT_ONLY) == other
    running = claim(store)
    assert running is not None and running.id == load
    assert claimed(store, URGENT_ONLY) is None
    store.write(lambda c: rows.finish(c, running, error="broken"))
    upload_running = claim(store, URGENT_ONLY)
    assert upload_running is not None and upload_running.id == upload
    store.write(lambda c: rows.retry(c, OWNER, load))
    assert claimed(store) is None, "it has its earlier place again, and waits for what runs all the same"
    store.write(lambda c: rows.finish(c, upload_running, result={}))
    assert claimed(store) == load


def test_what_a_command_runs_for_an_urgent_job_is_its_lane_and_what_is_urgent(store: Store) -> None:
    load, own_lane = put(store, n=1), put(store, lane=("docs", "api"), n=2)
    quick, wanted = put(store, URGENT, n=3), put(store, URGENT, ("docs", "api"), n=4)
    put(store, URGENT, n=5)
    job = get(store, wanted)
    assert [getattr(claim(store, slot, before=job), "id", None) for slot in (URGENT_ONLY, URGENT_ONLY, ANY, ANY)] == [quick, None, own_lane, None]
    assert get(store, load).state == "queued"


def test_ten_thousand_jobs_in_the_queue_cost_a_look_little(home: Home) -> None:
    """No timing: what matters is that the look goes by the indexes and never over the whole queue."""
    put(home.store, n=1)
    now, ours = time.time(), get(home.store, put(home.store, URGENT, n=2))
    for priority in (URGENT, BULK):
        query = str(queue_rows._free(now, "queued", priority, ours).compile(compile_kwargs={"literal_binds": True}))
        plan = home.store.read(lambda c, query=query: [str(step[3]) for step in c.exec_driver_sql(f"explain query plan {query}")])
        assert any("ix_jobs_state_priority_row (state=? AND priority=?" in step for step in plan), plan
        assert sum("ix_jobs_lane_state_row (lane=? AND state=?" in step for step in plan) == 2, plan
        assert not any("TEMP B-TREE" in step for step in plan), plan


def test_a_job_that_is_over_is_tried_again_as_it_was_ordered(store_home: Home) -> None:
    store, file = store_home.store, str(store_home.settings.home / "f")
    failed = store.write(lambda c: rows.enqueue(c, "bad-input", "poc", "key:a", {}))
    done = put(store, file=file, steps=1)
    for job_id in (failed, done):
        worker.finish(store_home, "poc", job_id)
    mine, theirs = (Asker("poc", name=f"key:{name}") for name in "ab")
    with pytest.raises(NotPermitted, match="ordered by another"):
        store.write(lambda c: rows.retry(c, theirs, failed))
    again = store.write(lambda c: rows.retry(c, mine, failed))
    assert (again.id, again.state, again.error, again.attempts, again.finished_at) == (failed, "queued", None, 0, None)
    entry = store.read(lambda c: audit.entries(c, "poc", 1))[0]
    assert (entry.actor, entry.action, entry.object, entry.detail["before"], entry.detail["after"]) == (
        "key:a",
        "job.retry",
        failed,
        "failed",
        "queued",
    )
    with pytest.raises(Conflict, match="is queued") as refused:
        store.write(lambda c: rows.retry(c, mine, failed))
    assert f"jobs wait {failed}" in refused.value.hint
    with pytest.raises(Conflict, match="is done"):
        store.write(lambda c: rows.retry(c, OWNER, done))
    job = worker.finish(store_home, "poc", failed)
    assert (job.state, job.attempts) == ("failed", 1)
    cancelled = put(store, file=f"{file}2", steps=2)
    store.write(lambda c: rows.cancel(c, OWNER, cancelled))
    assert put(store, file=f"{file}2", steps=2) != cancelled
    with pytest.raises(Conflict, match="the same work is queued already"):
        store.write(lambda c: rows.retry(c, OWNER, cancelled))


@pytest.mark.parametrize("acting", ["", " as user:alice"])
def test_t05_no_job_begins_with_the_rights_of_a_key_that_was_revoked(store_home: Home, acting: str) -> None:
    store = store_home.store
    for name in ("gone", "good"):
        store.write(lambda c, name=name: keys.create(c, OWNER, keys.Wanted(name, "admin", act_as=("user:*",))))
    ids = [put(store, asker=f"key:{name}{acting}", file=str(store_home.settings.home / name), steps=1) for name in ("gone", "good")]
    store.write(lambda c: keys.revoke(c, OWNER, "gone"))
    ended = [worker.finish(store_home, "poc", job_id) for job_id in ids]
    assert [job.state for job in ended] == ["failed", "done"]
    assert "the key 'gone' that ordered it was revoked" in (ended[0].error or "")
    assert not (store_home.settings.home / "gone").exists()


def test_what_was_cancelled_changes_nothing_more_and_what_it_did_is_on_record(store: Store) -> None:
    job_id = put(store, asker="key:a", n=1)
    job = claim(store)
    assert job is not None
    context = JobContext(job)

    def work(count: int) -> int:
        return context.write(store, lambda c: put_audit(c, count), lambda n: {"action": "things.do", "object": "docs", "detail": {"ready": n}})

    def put_audit(connection: Any, count: int) -> int:
        audit.record(connection, OWNER, "thing.done", str(count))
        return count

    assert work(3) == 3
    store.write(lambda c: rows.cancel(c, OWNER, job_id))
    with pytest.raises(JobCancelled):
        work(4)
    found = store.read(lambda c: audit.entries(c, "poc", 10))
    assert [entry.action for entry in found] == ["things.do", "job.cancel", "thing.done"], "the fourth was undone"
    assert (found[0].actor, found[0].object, found[0].detail) == ("key:a", "docs", {"ready": 3, "job": job_id, "state": "cancelled"})


def test_rate_and_time_left_are_those_of_late(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(rate.time, "monotonic", lambda: clock[0])
    speed = rate.Rate()
    told = []
    for seconds, done in ((0, 0), (0.5, 50), (1, 100), (20, 2000), (40, 2000), (60, 2000), (70, 2000)):
        clock[0] = 100.0 + seconds
        told.append(speed.note(done))
    assert told == [None, None, 100, 100, 48.7, 0, 0], "what stands still has a rate of 0"
    assert speed.note(5) is None, "a step back begins anew"


def test_a_running_job_tells_its_rate_and_the_time_left(store: Store) -> None:
    put(store, n=1)
    job = claim(store)
    assert job is not None
    store.write(lambda c: rows.heartbeat(c, job, 20, 100, 7.5))
    shown = get(store, job.id).shown_to(OWNER)
    assert (shown["rate"], shown["seconds_left"], shown["attempts"]) == (7.5, 11, 1)
    assert shown["started"] is not None and shown["finished"] is None
    assert replace(job, done=2**40, total=2**41, rate=1e-9).seconds_left == 2**31
    store.write(lambda c: rows.heartbeat(c, job, 2**40, 2**41, None))
    assert get(store, job.id).total == 2**41, "bytes of a load of terabytes"
    store.write(lambda c: rows.finish(c, job, result={}))
    assert get(store, job.id).shown_to(OWNER)["seconds_left"] is None


def test_progress_is_a_line_on_a_terminal_and_a_line_now_and_then_elsewhere(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("llmops.progress.time.monotonic", lambda: clock[0])
    put(store, n=1)
    queued = get(store, put(store, n=2))
    states = [queued, replace(queued, state="running"), *(replace(queued, state="running", done=n * 10**6, total=10**7) for n in range(1, 8))]
    states.append(replace(queued, state="done"))
    wrote: dict[bool, list[tuple[str, bool]]] = {True: [], False: []}
    for terminal, lines in wrote.items():
        clock[0] = 0.0
        progress = Progress("ingest docs", lambda text, end, lines=lines: lines.append((text, end)), terminal=terminal, unit="bytes")
        for state in states:
            progress(state)
            clock[0] += 10
    assert [text for text, _ in wrote[True][:2]] == [
        "\ringest docs: waits for its turn\x1b[K",
        "\ringest docs: under way; how much it is, is not known yet\x1b[K",
    ]
    assert wrote[True][3][0] == "\ringest docs: 20 % of 10 MB, 100 kB/s, 1 min 20 s left\x1b[K"
    assert [end for _, end in wrote[True]] == [False] * 9 + [True]
    assert [text for text, end in wrote[False] if end] == [
        "ingest docs: under way; how much it is, is not known yet",
        "ingest docs: 30 % of 10 MB, 100 kB/s, 1 min 10 s left",
        "ingest docs: 60 % of 10 MB, 100 kB/s, 40 s left",
    ]


def test_the_command_line_tells_the_place_in_the_queue_waits_and_tries_again(home: Home, cli: Callable[..., Any]) -> None:
    load = put(home.store, file=str(home.settings.home / "load"), steps=1)
    quick = put(home.store, URGENT, file=str(home.settings.home / "quick"), steps=1)
    listed = cli("jobs", "list", "--json").json["data"]
    assert [(job["id"], job["position"], job["priority"]) for job in listed] == [(quick, 1, "urgent"), (load, 2, "bulk")]
    assert all(0 <= job["waited"] <= job["age"] + 1 for job in listed)
    home.store.write(lambda c: rows.cancel(c, OWNER, quick))
    assert f"jobs wait {quick}" in cli("jobs", "retry", quick).stdout
    refused = cli("jobs", "retry", quick)
    assert refused.rc == 2 and "is queued" in refused.stderr and "hint" in refused.stderr
    waited = cli("jobs", "wait", quick, "--json").json
    assert (waited["state"], waited["error"].split(" (")[0]) == ("failed", "unknown job: 'count'"), "carried out here, where nobody knows its kind"
    assert get(home.store, load).state == "queued", "nobody who waits for something small has to carry out a load"
