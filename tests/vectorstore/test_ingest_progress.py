"""How far an ingestion is, and what is on record of one that did not run through at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from llmops.access import audit
from llmops.home import Home
from llmops.jobs import rows, worker
from llmops.jobs.run import run
from llmops.testing import HashEncoder
from tests.conftest import OWNER
from vectorstore import sources, urgency
from vectorstore.sources import Order, Upload

ROWS = 300


@pytest.fixture
def quick(home: Home) -> Home:
    home._encoder = HashEncoder()
    return home


def put(home: Home, root: Path, **options: object) -> str:
    order = Order("docs", "pages", root=str(root), **options)  # type: ignore[arg-type]
    return home.store.write(lambda c: rows.enqueue(c, "ingest", "poc", "owner", order.to_json(), ("docs", "pages")))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """One file of many rows."""
    file = tmp_path / "rows.csv"
    file.write_text("id,text\n" + "\n".join(f"r{number},row number {number} of the table" for number in range(ROWS)))
    return file


def entries(home: Home) -> list[audit.Entry]:
    return home.store.read(lambda c: audit.entries(c, "poc", 100, action="documents.ingest"))


def test_one_file_of_many_rows_has_a_progress_in_bytes(quick: Home, table: Path) -> None:
    seen: list[tuple[int, int]] = []
    claimed = quick.store.write(
        lambda c: (rows.enqueue(c, "ingest", "poc", "owner", Order("docs", "p", root=str(table)).to_json()), rows.claim(c, "me"))[1]
    )
    assert claimed is not None
    from llmops.jobs import context

    monkey = pytest.MonkeyPatch()
    monkey.setattr(context, "SAY_EVERY", 0)
    run(quick, claimed, listener=lambda job: seen.append((job.done, job.total)))
    monkey.undo()
    size = table.stat().st_size
    assert {total for _, total in seen} == {size} and seen[-1] == (size, size)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen), "it never goes back"
    assert len({done for done, _ in seen}) > 5


def test_a_long_text_has_a_progress_too(quick: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmops.jobs.context.SAY_EVERY", 0)
    (tmp_path / "book.txt").write_text("\n\n".join(f"Paragraph {number} tells of the harbour and of its ships. " * 8 for number in range(600)))
    seen: set[int] = set()
    job = worker.finish(quick, "poc", put(quick, tmp_path / "book.txt"), lambda job: seen.add(job.done))
    assert job.state == "done" and len(seen) > 5


def test_an_ingestion_that_went_on_counts_the_whole_of_it_once(quick: Home, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmops.jobs.context.SAY_EVERY", 0)
    job_id = put(quick, table)
    for stop_at in (0.3, 0.6):
        stop = threading.Event()
        claimed = quick.store.write(lambda c: rows.claim(c, "me"))
        assert claimed is not None
        run(quick, claimed, stop=stop, listener=lambda job, stop=stop, at=stop_at: stop.set() if job.done > at * job.total else None)
        assert quick.store.read(lambda c: rows.require(c, "poc", job_id)).state == "queued"
    job = worker.finish(quick, "poc", job_id)
    assert job.result is not None
    assert (job.result["ready"], job.result["unchanged"], job.result["failed"]) == (ROWS, 0, [])
    [entry] = entries(quick)
    assert (entry.detail["ready"], entry.detail["unchanged"], entry.detail["job"]) == (ROWS, 0, job_id)


@pytest.mark.parametrize("while_running", [True, False])
def test_an_ingestion_that_was_cancelled_leaves_on_record_what_it_did(
    quick: Home, table: Path, monkeypatch: pytest.MonkeyPatch, while_running: bool
) -> None:
    """While it runs, and while it waits to go on."""
    monkeypatch.setattr("llmops.jobs.context.SAY_EVERY", 0)
    job_id, stop = put(quick, table), threading.Event()

    def at_half(job: rows.Job) -> None:
        if 2 * job.done > job.total and not stop.is_set():
            stop.set()
            if while_running:
                quick.store.write(lambda c: rows.cancel(c, OWNER, job_id))

    claimed = quick.store.write(lambda c: rows.claim(c, "me"))
    assert claimed is not None
    run(quick, claimed, stop=None if while_running else stop, listener=at_half)
    if not while_running:
        quick.store.write(lambda c: rows.cancel(c, OWNER, job_id))
    from vectorstore.rows import collections

    ready = quick.store.read(lambda c: collections.describe(c, collections.find(c, "poc", "docs"), OWNER))["documents"]["ready"]
    [entry] = entries(quick)
    assert 0 < ready < ROWS
    assert (entry.object, entry.detail["ready"], entry.detail["state"], entry.actor) == ("docs", ready, "cancelled", "owner")
    again = quick.store.write(lambda c: rows.retry(c, OWNER, job_id))
    result = worker.finish(quick, "poc", again.id).result
    assert result is not None and (result["ready"], result["unchanged"]) == (ROWS - ready, ready)
    assert [entry.detail["ready"] for entry in entries(quick)] == [ROWS - ready, ready]


def test_small_orders_are_urgent_whatever_door_they_come_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(urgency.MOST_DOCUMENTS):
        (tmp_path / f"{number}.md").write_text("x")
    (tmp_path / "picture.png").write_bytes(b"x" * 9_000_000)  # nobody reads it
    folder = Order("docs", "pages", root=str(tmp_path))
    assert urgency.priority_of(folder) == urgency.URGENT
    (tmp_path / "one-more.md").write_text("x")
    assert urgency.priority_of(folder) == urgency.BULK
    assert urgency.priority_of(Order("docs", "pages", root=str(tmp_path), include=["1*.md"])) == urgency.URGENT
    for kind, size, few in (("md", 20_000, 20), ("pdf", 20_000, 20), ("pdf", 20_000_000, 1)):
        uploads = [Upload(str(number), f"a.{kind}", "hash", size=size) for number in range(100)]
        assert urgency.priority_of(Order("docs", "api", uploads=uploads)) == urgency.BULK
        assert urgency.priority_of(Order("docs", "api", uploads=uploads[:few])) == urgency.URGENT
    assert sources.Order.from_json({"collection": "docs", "source": "p"}).engine == "local", "as an older version queued it"
