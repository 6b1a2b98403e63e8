"""Ingestion over a real Ray cluster of two workers on this machine: the same chunks and vectors, and what its failures say."""

from __future__ import annotations

import random
import signal
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select

from llmops.errors import Unavailable
from llmops.home import Home
from llmops.testing import HashEncoder
from tests.crash import LLMOPS, Running
from vectorstore.engines import RayEngine, engine_for
from vectorstore.load.limits import Limits
from vectorstore.tables import chunks, documents, vectors, versions

pytest.importorskip("ray")
WORDS = ["river", "mountain", "harbour", "library", "engine", "garden", "winter", "bridge"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "pages"
    root.mkdir()
    for number in range(30):
        text = "\n\n".join(" ".join(random.Random(number * 7 + part).choices(WORDS, k=70)) for part in range(3))
        (root / f"page-{number:02d}.md").write_text(f"# Page {number}\n\n{text}\n")
    rows = (f"r{number},{' '.join(random.Random(number).choices(WORDS, k=12))}" for number in range(150))
    (root / "rows.csv").write_text("id,text\n" + "\n".join(rows))
    (root / "scan.pdf").write_text("no PDF at all")
    return root


def ingest(cli, folder, collection, *options, **env):
    return cli("ingest", folder, "--collection", collection, "--id-field", "id", "--json", *options, env=env)


def content(home: Home, collection: str) -> list[tuple[object, ...]]:
    """All that a search goes by, in order."""
    from vectorstore.rows import collections

    found = home.store.read(lambda c: collections.find(c, "poc", collection))
    chunk = [chunks.c[name] for name in ("version", "ordinal", "start", "end", "page", "heading", "text_hash", "seq_from", "seq_to")]
    query = select(documents.c.external_id, documents.c.state, documents.c.error, versions.c.text, *chunk, vectors.c.vector)
    query = query.outerjoin(versions, versions.c.document_row == documents.c.row).outerjoin(chunks, chunks.c.document_row == documents.c.row)
    query = query.outerjoin(vectors, vectors.c.text_hash == chunks.c.text_hash).where(documents.c.collection_row == found.row)
    return [tuple(row) for row in home.store.read(lambda c: c.execute(query.order_by(documents.c.external_id, chunks.c.ordinal)).all())]


def test_ray_makes_the_same_chunks_and_vectors_and_outlives_a_worker_that_is_killed(home: Home, cli, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LLMOPS__RAY__WORKERS", "2")
    over_ray = Home(home.settings.model_copy())
    over_ray.settings._home = tmp_path / "ray"
    arguments = ["ingest", folder, "--collection", "docs", "--id-field", "id", "--engine", "ray", "--json"]
    with Running(arguments, program=LLMOPS, cwd=tmp_path, env={"LLMOPS_HOME": str(over_ray.settings.home)}) as running:
        until = time.monotonic() + 90
        while not (
            actors := [child for child in psutil.Process(running.process.pid).children(recursive=True) if "ray::Actor" in " ".join(child.cmdline())]
        ):
            assert time.monotonic() < until and running.process.poll() is None, running.errors
            time.sleep(0.05)
        actors[0].send_signal(signal.SIGKILL)
        assert running.wait(120) == 0, running.errors
    told = ingest(cli, folder, "docs").json
    assert (told["ready"], [one["external_id"] for one in told["failed"]]) == (180, ["scan.pdf"])
    ours, theirs = content(home, "docs"), content(over_ray, "docs")
    assert len(ours) > 200 and ours == theirs
    over_ray.close()
    assert not [process for process in psutil.process_iter(["cmdline"]) if f"{tmp_path}" in " ".join(process.info["cmdline"] or [])]


def test_a_cluster_that_is_not_there_is_a_clear_error_and_the_job_goes_on_later(home: Home, cli, folder):
    ran = ingest(cli, folder, "docs", "--engine", "ray", LLMOPS__RAY__ADDRESS="auto")
    assert ran.rc == 3 and "no Ray cluster at 'auto'" in ran.stderr and "[ray] address" in ran.stderr and "Traceback" not in ran.stderr
    [job] = cli("jobs", "list", "--json").json["data"]
    assert job["state"] == "failed"
    refused = ingest(cli, folder, "docs", "--engine", "spark")
    assert refused.rc == 2 and "ray" in refused.stderr


class Elsewhere:
    """Workers of another version, as they would answer."""

    def __len__(self) -> int:
        return 1

    def submit(self, method: str, *arguments: object, to: int | None = None) -> Future[object]:
        answer: Future[object] = Future()
        answer.set_result({"llmops": "0.0.1", "encoder": "another"})
        return answer


def test_a_worker_of_another_version_and_a_missing_ray_are_clear_errors(home: Home, monkeypatch: pytest.MonkeyPatch):
    home._encoder = HashEncoder()
    with pytest.raises(Unavailable, match=r"a Ray worker has .*0\.0\.1.*, here it is") as mismatch:
        RayEngine(home, Elsewhere(), Limits(), lambda: None)  # type: ignore[arg-type]
    assert "same version" in mismatch.value.hint
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Unavailable, match="needs the extra") as missing, engine_for(home, "ray", lambda: None):
        pass
    assert missing.value.hint == "pip install 'llmops[ray]'"
