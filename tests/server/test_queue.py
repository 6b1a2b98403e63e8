"""Uploads and bulk loads on a real server: what somebody waits for is done beside a load of thousands of documents."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmops.jobs import rows
from llmops.store.store import Store
from tests.conftest import OWNER
from tests.server.conftest import Server, finished, make_key, start_server, wait_until
from vectorstore.sources import Order

DOCUMENTS = 3000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "llmops.toml").write_text('[mlflow]\ntracking_uri = "off"\n')
    keys = {role: make_key(tmp_path, role, role) for role in ("admin", "application")}
    server = start_server(tmp_path)
    server.keys = keys
    yield server
    assert server.stop() == 0


@pytest.fixture
def load(tmp_path: Path, server: Server) -> Iterator[tuple[Store, str]]:
    """The store, and a load of thousands of documents under way."""
    words = ["river", "mountain", "harbour", "library", "engine", "garden", "winter", "bridge"]
    folder = tmp_path / "load"
    folder.mkdir()
    for number in range(DOCUMENTS):
        chosen = random.Random(number).choices(words, k=60)
        (folder / f"page-{number:04d}.md").write_text(f"# Page {number}\n\nNumber {number} tells of {' and '.join(chosen)}.\n")
    order = Order("docs", "load", root=str(folder)).to_json()
    with server.store() as store, server.client() as client:
        job_id = store.write(lambda c: rows.enqueue(c, "ingest", "poc", "owner", order, ("docs", "load")))
        wait_until(lambda: shown(client, job_id)["done"] > 0, 60)
        yield store, job_id


def shown(client: httpx.Client, job_id: str) -> Any:
    return client.get(f"/api/v1/jobs/{job_id}").json()


def upload(client: httpx.Client, external_id: str, **options: Any) -> httpx.Response:
    return client.post(
        "/api/v1/documents", json={"collection": "docs", "documents": [{"external_id": external_id, "text": "A lighthouse."}], **options}
    )


def test_an_upload_is_ready_within_seconds_while_a_bulk_load_goes_on(server: Server, load: tuple[Store, str]) -> None:
    store, load_id = load
    with server.client() as client:
        second = store.write(lambda c: rows.enqueue(c, "ingest", "poc", "owner", Order("docs", "more", root=str(server.folder / "load")).to_json()))
        for number in range(3):
            began = time.monotonic()
            job = finished(client, upload(client, f"note-{number}.md"))
            assert (job["state"], job["priority"], job["result"]["ready"]) == ("done", "urgent", 1)
            assert time.monotonic() - began < 20, "seconds, on a machine with nothing else to do"
        hits = client.post("/api/v1/search", json={"collection": "docs", "query": "lighthouse"}).json()["hits"]
        assert hits[0]["external_id"].startswith("note-")
        under_way = shown(client, load_id)
        assert under_way["state"] == "running" and 0 < under_way["done"] < under_way["total"], "the load goes on, and is not over"
        assert under_way["priority"] == "bulk" and shown(client, second)["state"] == "queued"
        wait_until(lambda: shown(client, load_id)["done"] > under_way["done"], 60)
        wait_until(lambda: shown(client, load_id)["seconds_left"], 60)
        assert client.post(f"/api/v1/jobs/{second}/cancel").json()["state"] == "cancelled"
        wait_until(lambda: client.get("/api/v1/collections/docs").json()["documents"]["ready"] > 3, 120)
        # Cancelled in the middle: what there is of it stays, is counted once and for all in the audit log, and nothing follows.
        assert client.post(f"/api/v1/jobs/{load_id}/cancel").json()["state"] == "cancelled"
        entries = client.get("/api/v1/audit", params={"action": "documents.ingest"}).json()["data"]
        counted = next(entry["detail"] for entry in entries if entry["detail"]["job"] == load_id)
        ready = client.get("/api/v1/collections/docs").json()["documents"]["ready"] - 3
        assert (counted["state"], counted["source"], counted["ready"]) == ("cancelled", "load", ready)
        assert 0 < ready < DOCUMENTS
        time.sleep(2)
        assert client.get("/api/v1/collections/docs").json()["documents"]["ready"] - 3 == ready


def test_a_job_is_tried_again_over_http_by_who_ordered_it(server: Server) -> None:
    with server.client() as client, server.store() as store:
        job = finished(client, upload(client, "a.md"))
        refused = client.post(f"/api/v1/jobs/{job['id']}/retry")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict") and refused.json()["error"]["hint"]
        lost = store.write(lambda c: rows.enqueue(c, "ingest", "poc", "key:admin", Order("docs", "lost", root="/nowhere/at/all").to_json()))
        failed = wait_until(lambda: (one := shown(client, lost))["state"] == "failed" and one)
        assert "no such file" in failed["error"] and failed["finished"] and failed["attempts"] == 1
        again = client.post(f"/api/v1/jobs/{lost}/retry")
        assert (again.status_code, again.json()["state"], again.json()["error"]) == (200, "queued", None)
        wait_until(lambda: shown(client, lost)["state"] == "failed")
        owners = store.write(lambda c: rows.enqueue(c, "ingest", "poc", "owner", Order("docs", "owners", root="/nowhere").to_json()))
        wait_until(lambda: shown(client, owners)["state"] == "failed")
        assert client.post(f"/api/v1/jobs/{owners}/retry").status_code == 403
        store.write(lambda c: rows.retry(c, OWNER, owners))
