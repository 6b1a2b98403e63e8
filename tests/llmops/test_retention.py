"""[retention]: what is too old goes, nothing else does, and the log says so."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select, update

from chains import feedback, rows
from chains.tables import answers
from chains.tables import feedback as feedback_table
from llmops import retention
from llmops.access import audit
from llmops.home import Home
from llmops.jobs.rows import list_jobs
from llmops.jobs.worker import finish
from llmops.settings import Settings
from llmops.store import blobs
from llmops.types import Json
from tests.conftest import OWNER
from vectorstore import documents
from vectorstore.documents import Handed

DAY = 86400.0


@pytest.fixture
def kept(store_settings: Settings, tmp_path: Path) -> Home:
    """A home that keeps answers for 400 days, their costs for 30 and withdrawn originals for 90."""
    (tmp_path / "llmops.toml").write_text('[retention]\nanswers = "400d"\nusage = "30d"\noriginals = "90d"\n')
    with Home(Settings.load(tmp_path / "llmops.toml")) as home:
        yield home


def answer(home: Home, number: int, days: float, workspace: str = "poc") -> str:
    """An answer of so many days ago, with what it cost and a rating."""
    name = f"ans_{number:032x}"
    plain = {"Integer": 1, "Double": 1.0, "Boolean": False, "LargeBinary": b""}
    values = {column.name: plain.get(type(column.type).__name__, "x") for column in answers.columns}
    values |= {name: [] for name in ("principals", "messages", "passages", "citations")}
    values |= {
        "id": name,
        "workspace": workspace,
        "filter": None,
        "parameters": {},
        "timings": {"model": 1.0},
        "created_at": time.time() - days * DAY,
    }
    values |= {"seq": 1, "tokens_in": 7, "tokens_out": 3, "cost": 0.5, "question": f"question {number}", "owner": True}
    del values["row"]
    home.store.write(lambda c: c.execute(answers.insert().values(**values)))
    home.store.write(lambda c: rows.keep_feedback(c, workspace, "somebody", name, "up", None, None))
    return name


def run(home: Home) -> Json:
    job = finish(home, "poc", retention.queue(home, OWNER))
    assert job.state == "done", job.error
    return job.result


def ids(home: Home) -> list[str]:
    return list(home.store.read(lambda c: c.execute(select(answers.c.id).order_by(answers.c.id)).scalars()))


def test_answers_go_with_their_feedback_and_costs_go_before_them(kept: Home) -> None:
    old, middle, new = (answer(kept, number, days) for number, days in enumerate((401, 31, 29)))
    others = answer(kept, 9, 500, "dev")
    assert run(kept) == {"answers": 1, "usage": 1, "originals": 0}
    assert ids(kept) == [middle, new, others], "another workspace's are its own run's"
    voices = kept.store.read(lambda c: set(c.execute(select(feedback_table.c.answer_id)).scalars()))
    assert voices == {middle, new, others} and old not in voices
    costs = kept.store.read(lambda c: {row.id: (row.tokens_in, row.cost, row.timings) for row in c.execute(select(answers))})
    assert (costs[middle], costs[new]) == ((0, 0.0, {}), (7, 0.5, {"model": 1.0}))
    assert run(kept) == {"answers": 0, "usage": 0, "originals": 0}
    assert len(kept.store.read(lambda c: list(feedback.all_of(c, OWNER)))) == 2


def test_each_run_is_in_the_audit_log(kept: Home) -> None:
    answer(kept, 1, 500)
    run(kept)
    entry = kept.store.read(lambda c: audit.entries(c, "poc", 1))[0]
    assert (entry.action, entry.detail["removed"]["answers"], entry.detail["kept"]["answers"]) == ("retention.run", 1, "400d")


def test_originals_go_when_nothing_needs_them_and_come_back_with_their_document(kept: Home) -> None:
    def ingest(name: str, text: str) -> None:
        assert finish(kept, "poc", documents.accept(kept, OWNER, "docs", [Handed(name, name, text.encode())])).state == "done"

    def withdrawn(name: str, days: float) -> None:
        [found] = [row for row in kept.store.read(lambda c: documents.listed(c, OWNER, "docs")) if row["external_id"] == name]
        documents.withdraw(kept.store, OWNER, found["document_id"])
        table = documents.listing.documents
        kept.store.write(lambda c: c.execute(update(table).where(table.c.external_id == name).values(updated_at=time.time() - days * DAY)))

    for name, text in (("a.md", "only in a"), ("b.md", "in b and c"), ("c.md", "in b and c"), ("d.md", "only in d")):
        ingest(name, text)
    for name, days in (("a.md", 91), ("b.md", 91), ("d.md", 89)):
        withdrawn(name, days)
    old = time.time() - 91 * DAY
    kept.store.write(lambda c: c.execute(update(blobs.blobs).values(created_at=old)))
    assert run(kept)["originals"] == 1
    held = {text: kept.store.read(lambda c, t=text: blobs.load(c, blobs.digest(t.encode()))) for text in ("only in a", "in b and c", "only in d")}
    assert held == {"only in a": None, "in b and c": b"in b and c", "only in d": b"only in d"}
    ingest("a.md", "only in a")
    assert kept.store.read(lambda c: blobs.load(c, blobs.digest(b"only in a"))) == b"only in a"


def test_a_day_has_one_run_for_each_workspace(kept: Home) -> None:
    for _ in range(3):
        retention.queue_daily(kept)
    jobs = [job for workspace in kept.settings.workspace_names for job in kept.store.read(lambda c, w=workspace: list_jobs(c, w))]
    assert sorted((job.workspace, job.kind, job.asker) for job in jobs) == [
        (w, "retention", "retention") for w in sorted(kept.settings.workspace_names)
    ]
    assert finish(kept, "dev", next(job.id for job in jobs if job.workspace == "dev")).state == "done"
    retention.queue_daily(kept)
    assert len(kept.store.read(lambda c: list_jobs(c, "dev"))) == 1


def test_without_a_setting_everything_is_kept(home: Home, cli) -> None:
    answer(home, 1, 5000)
    retention.queue_daily(home)
    assert home.store.read(lambda c: list_jobs(c, "poc")) == []
    assert cli("retention", "run").stdout.strip() == "[retention] sets nothing"
    assert cli("retention", "show", "--json").json == {"answers": None, "usage": None, "traces": None, "originals": None}
    assert len(ids(home)) == 1


def test_traces_go_from_mlflow(home: Home) -> None:
    """In a process of its own, for MLflow takes long to load and leaves threads."""
    code = """
import time
from llmops import tracking
from llmops.home import Home
from llmops.settings import Settings
home = Home(Settings.load())
now = time.time()
told = lambda n, w, days: {"answer_id": f"ans_{n:032x}", "workspace": w, "chain": "rag", "question": "q", "started_at": now - days * 86400}
tracking.export_traces(home, [told(1, "poc", 31), told(2, "poc", 1), told(3, "dev", 31)])
print(tracking.delete_traces(home, "poc", now - 30 * 86400), tracking.delete_traces(home, "poc", now - 30 * 86400))
from mlflow.tracing.client import TracingClient
uri = tracking.tracking_uri(home.settings.mlflow, home.settings.home)
print(*sorted(trace.info.trace_id[-1] for trace in TracingClient(uri).search_traces(["1", "0"], include_spans=False)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["1", "0", "2", "3"], done.stdout + done.stderr
