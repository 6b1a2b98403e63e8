"""Job rows on both stores, and what the command line shows of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from llmops.errors import Conflict, UnknownName
from llmops.home import Home
from llmops.jobs import rows, worker
from llmops.jobs.run import MOST_ATTEMPTS
from llmops.jobs.tables import jobs
from llmops.store.store import Store
from llmops.types import Asker
from tests.conftest import OWNER
from tests.llmops import job_kinds  # noqa: F401  registers the kinds


def put(store: Store, kind: str = "count", workspace: str = "poc", **payload: Any) -> str:
    return store.write(lambda c: rows.enqueue(c, kind, workspace, "owner", payload))


def get(store: Store, job_id: str) -> rows.Job:
    return store.read(lambda c: rows.require(c, "poc", job_id))


def test_a_job_as_the_api_shows_it(store: Store) -> None:
    job = get(store, put(store, file="a"))
    shown = job.shown_to(OWNER)
    assert shown.pop("created").endswith("Z")
    counted = {"done": 0, "total": 0, "rate": None, "seconds_left": None, "attempts": 0, "started": None, "finished": None}
    assert shown == {"id": job.id, "kind": "count", "state": "queued", "priority": "bulk", "about": "", "result": None, "error": None, **counted}
    assert job.id.startswith("job_")
    assert len(job.id) == 36
    assert store.read(lambda c: rows.get(c, "dev", job.id)) is None, "a workspace does not see another's jobs"


def test_the_same_work_is_joined_while_it_waits(store: Store) -> None:
    first = put(store, file="a")
    assert put(store, file="a") == first
    assert put(store, file="b") != first
    assert put(store, workspace="dev", file="a") != first
    assert put(store, kind="other", file="a") != first
    running = store.write(lambda c: rows.claim(c, "me"))
    assert running is not None
    assert running.id == first
    second = put(store, file="a")
    assert second != first, "what runs may have passed by what has changed since"
    assert put(store, file="a") == second
    store.write(lambda c: rows.finish(c, running, result={}))
    assert put(store, file="a") == second


def test_many_who_ask_for_the_same_work_at_once_get_one_job(store: Store) -> None:
    got: list[str] = []
    askers = [threading.Thread(target=lambda: got.append(put(store, file="a"))) for _ in range(12)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert len(got) == 12
    assert len(set(got)) == 1


def test_jobs_are_claimed_once_and_in_order(store: Store) -> None:
    ids = [put(store, file=str(n)) for n in range(6)]
    claimed: list[str] = []

    def claim_all() -> None:
        while (job := store.write(lambda c: rows.claim(c, threading.current_thread().name))) is not None:
            claimed.append(job.id)

    claimers = [threading.Thread(target=claim_all) for _ in range(3)]
    for claimer in claimers:
        claimer.start()
    for claimer in claimers:
        claimer.join()
    assert sorted(claimed) == sorted(ids), "each job once"
    assert store.read(rows.claimable) is False
    again = put(store, file="x"), put(store, file="y")
    first = get(store, again[0])
    assert [getattr(store.write(lambda c: rows.claim(c, "me", before=first)), "id", None) for _ in range(2)] == [again[0], None]


def test_a_lease_that_ran_out_is_taken_over_and_its_old_owner_changes_nothing(store: Store) -> None:
    put(store, file="a")
    old = store.write(lambda c: rows.claim(c, "host-a"))
    assert old is not None
    assert store.write(lambda c: rows.claim(c, "host-b")) is None
    assert store.write(lambda c: rows.heartbeat(c, old, 3, 9))
    store.write(lambda c: c.execute(update(jobs).values(lease_until=1.0)))
    new = store.write(lambda c: rows.claim(c, "host-b"))
    assert new is not None
    assert (new.id, new.owner, new.done, new.attempts) == (old.id, "host-b", 3, 2)
    assert not store.write(lambda c: rows.heartbeat(c, old, 4, 9))
    assert not store.write(lambda c: rows.finish(c, old, error="late"))
    assert store.write(lambda c: rows.finish(c, new, result={"ok": 1}))
    assert (get(store, old.id).state, get(store, old.id).result) == ("done", {"ok": 1})


def test_only_the_jobs_of_dead_owners_are_released(store: Store) -> None:
    ids = [put(store, file=str(n)) for n in range(2)]
    store.write(lambda c: rows.claim(c, "h_st:home:1:1"))
    store.write(lambda c: rows.claim(c, "host:home:1:1"))
    assert store.write(lambda c: rows.release_dead(c, "h_st:home:")) == 1, "no pattern, the text itself"
    assert [get(store, job_id).state for job_id in ids] == ["queued", "running"]


def test_t56_a_clock_that_was_set_back_holds_no_job_for_long(home: Home) -> None:
    job_id = put(home.store, file="a")
    home.store.write(lambda c: c.execute(update(jobs).values(lease_until=time.time() + 86_400)))
    claimed = home.store.write(lambda c: rows.claim(c, "me"))
    assert claimed is not None
    assert claimed.id == job_id


def test_cancel(store: Store) -> None:
    queued, running = put(store, file="q"), put(store, file="r")
    assert store.write(lambda c: rows.cancel(c, OWNER, queued)).state == "cancelled"
    claimed = store.write(lambda c: rows.claim(c, "me"))
    assert claimed is not None
    assert claimed.id == running, "a cancelled job is not run"
    assert store.write(lambda c: rows.cancel(c, OWNER, running)).state == "cancelled"
    assert not store.write(lambda c: rows.finish(c, claimed, result={}))
    with pytest.raises(Conflict, match="cancelled already"):
        store.write(lambda c: rows.cancel(c, OWNER, running))
    with pytest.raises(UnknownName):
        store.write(lambda c: rows.cancel(c, Asker("dev", owner=True), running))


def test_list_is_paged_and_newest_first(store: Store) -> None:
    ids = [put(store, file=str(n)) for n in range(5)]
    put(store, workspace="dev", file="other")

    def page(after: str) -> list[str]:
        return [job.id for job in store.read(lambda c: rows.list_jobs(c, "poc", limit=2, after=after))]

    assert page("") == [ids[4], ids[3]]
    assert page(ids[3]) == [ids[2], ids[1]]
    assert page(ids[1]) == [ids[0]]
    assert page(ids[0]) == []


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("bad-input", "no such folder (name another)"),
        ("unknown-kind", "unknown job: 'unknown-kind'"),
        ("bug", "KeyError: 'api_key=[redacted]"),
        ("unstorable", "not JSON serializable"),
    ],
)
def test_a_job_that_fails_says_why(store_home: Home, kind: str, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmops.jobs.run.RETRY_AFTER", (0.1, 0.2))
    job = worker.finish(store_home, "poc", put(store_home.store, kind))
    assert job.state == "failed"
    assert error in (job.error or "")
    assert job.attempts == (1 if kind in ("bad-input", "unknown-kind") else 3), "what may pass is tried again"
    assert worker.finish(store_home, "poc", put(store_home.store, file=str(store_home.settings.home / "f"), steps=1)).state == "done"


def test_a_job_that_kills_its_process_is_given_up(home: Home) -> None:
    job_id = put(home.store, "suicide")
    home.store.write(lambda c: c.execute(update(jobs).values(attempts=MOST_ATTEMPTS)))
    job = worker.finish(home, "poc", job_id)
    assert job.state == "failed"
    assert "ended 10 times" in (job.error or "")


def test_finish_tells_the_progress_and_the_result(store_home: Home) -> None:
    older = put(store_home.store, file=str(store_home.settings.home / "older"), steps=1)
    newer = put(store_home.store, file=str(store_home.settings.home / "f"), steps=4)
    last = put(store_home.store, file=str(store_home.settings.home / "last"), steps=1)
    seen: list[tuple[str, int, int]] = []
    job = worker.finish(store_home, "poc", newer, lambda job: seen.append((job.state, job.done, job.total)))
    assert (job.state, job.result, job.done, job.total) == ("done", {"steps": 4}, 4, 4)
    assert seen[0] == ("queued", 0, 0)
    assert seen[-1] == ("done", 4, 4)
    assert get(store_home.store, older).state == "done", "what was asked for before is done before"
    assert get(store_home.store, last).state == "queued", "what was asked for later is left"
    with pytest.raises(UnknownName):
        worker.finish(store_home, "poc", "job_none")


def test_the_command_line_lists_shows_and_cancels(home: Home, cli: Callable[..., Any]) -> None:
    ids = [put(home.store, file=str(n)) for n in range(2)]
    listed = cli("jobs", "list", "--json").json["data"]
    assert [job["id"] for job in listed] == ids[::-1]
    assert listed[0]["state"] == "queued"
    assert ids[0] in cli("jobs", "list").stdout
    assert cli("jobs", "show", ids[0], "--json").json == get(home.store, ids[0]).shown_to(OWNER)
    assert cli("jobs", "cancel", ids[0], "--json").json["state"] == "cancelled"
    refused = cli("jobs", "cancel", ids[0])
    assert refused.rc == 2
    assert "cancelled already" in refused.stderr
    unknown = cli("jobs", "show", "job_none")
    assert unknown.rc == 2
    assert "unknown job" in unknown.stderr
    assert [job["id"] for job in cli("jobs", "list", "--state", "queued", "--json").json["data"]] == [ids[1]]


def test_ctrl_c_on_the_command_line_says_how_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    import click

    from llmops.cli import Root

    @click.command()
    def waits() -> None:
        raise KeyboardInterrupt("job_1 will be resumed")

    root = Root(name="llmops")
    root.get_command = lambda _context, _name: waits  # type: ignore[method-assign]
    assert root.run(["waits"]) == 130
    assert capsys.readouterr().err == "interrupted: job_1 will be resumed\n"
