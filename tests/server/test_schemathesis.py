"""The server is held to its OpenAPI page: whatever is asked, in and out of its shapes, by two keys that may not see each other's things."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from llmops.jobs.tables import jobs
from llmops.testing import FaultyProvider
from tests.conftest import REPOSITORY, postgres_database
from tests.server.conftest import Server, configuration, finished, serving_docs

SCHEMATHESIS = str(Path(sys.executable).parent / "schemathesis")
CONFIGURATION = Path(__file__).parent / "schemathesis.toml"
QUESTION = [{"role": "user", "content": "How do I stop the server?"}]

# What each `{name}` in a path is an id of; a model's name is the configuration's, and no workspace's own.
KINDS = {"document_id": "documents", "job_id": "jobs", "answer_id": "answers", "chunk_id": "chunks", "name": "collections", "key": "keys"}
# The ids in queries and bodies.
NAMED_ELSEWHERE: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/api/v1/documents?collection=<collections>", None),
    ("GET", "/api/v1/jobs?after=<jobs>", None),
    ("POST", "/api/v1/search", {"collection": "<collections>", "query": "stop"}),
    ("POST", "/api/v1/feedback", {"answer_id": "<answers>", "rating": "up"}),
    ("POST", "/api/v1/collections/<collections>/copy", {"to": "pipeline"}),
    ("PUT", "/api/v1/collections/<collections>/acl", {"acl": []}),
    ("PUT", "/api/v1/documents/<documents>/acl", {"acl": None}),
    ("POST", "/api/v1/keys/<keys>/rotate", {}),
    ("POST", "/v1/chat/completions", {"model": "rag", "messages": QUESTION, "llmops": {"collection": "<collections>"}}),
    ("POST", "/v1/chat/completions", {"model": "rag", "messages": QUESTION, "llmops": {"collection": "<collections>"}, "stream": True}),
]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.prove)])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, provider: FaultyProvider, citing: FaultyProvider
) -> Iterator[Server]:
    """A server of its own, for nobody can tell what it will hold in the end; `make prove` asks one on PostgreSQL too."""
    toml = configuration(provider, citing, max_body_mb=1, max_upload_mb=2)
    with ExitStack() as open_things:
        url = open_things.enter_context(postgres_database(request.getfixturevalue("postgres_server"))) if request.param == "postgresql" else ""
        yield open_things.enter_context(serving_docs(tmp_path_factory.mktemp("contract"), toml, url))


@pytest.fixture
def ids(server: Server) -> dict[str, list[str]]:
    """Things of the workspace poc, by kind: several, for each may be withdrawn or revoked. Those in `shared` may become unreadable.

    Made anew for each test, for what a test withdraws or cancels is no good for the next.
    """
    with server.client() as client:
        texts = [{"external_id": f"{n}.md", "text": f"# Page {n}\n\nPress Ctrl-C to stop server {n}.\n"} for n in range(20)]
        found: dict[str, list[str]] = {"collections": ["docs", "more"]}
        for collection, kind in (("more", "documents"), ("shared", "sharable"), ("answered", "kept")):
            job = finished(client, client.post("/api/v1/documents", json={"collection": collection, "documents": texts}))
            rows = client.get("/api/v1/documents", params={"collection": collection, "limit": 20}).json()["data"]
            found[kind] = [row["document_id"] for row in rows]
        over = [finished(client, client.post("/api/v1/documents", json={"collection": "more", "documents": [text]}))["id"] for text in texts[:14]]
        failed, running = over[:4], over[4:]  # what can be tried again, and what another host runs, as long as nobody cancels it
        elsewhere = {"state": "running", "owner": "elsewhere", "lease_until": time.time() + 3000, "lane": "", "finished_at": None}
        with server.store() as store:
            store.write(lambda c: c.execute(update(jobs).where(jobs.c.id.in_(failed)).values(state="failed", error="broken")))
            store.write(lambda c: c.execute(update(jobs).where(jobs.c.id.in_(running)).values(elsewhere)))
        # Answers are shown as long as what they are made from: no operation is given a document of `answered`.
        asked = {"model": "rag", "messages": QUESTION, "llmops": {"collection": "answered"}}
        answers = [client.post("/v1/chat/completions", json=asked).json()["llmops"]["answer_id"] for _ in range(5)]
        spare = [client.post("/api/v1/keys", json={"name": f"spare-{n}-{uuid.uuid4().hex}", "role": "application"}).json()["name"] for n in range(20)]
        chunks = client.get(f"/api/v1/documents/{found['documents'][0]}").raise_for_status().json()["chunks"]
    return {
        **found,
        "chunks": [chunk["chunk_id"] for chunk in chunks],
        "jobs": [job["id"], *over],
        "failed": failed,
        "running": running,
        "answers": answers,
        "keys": spare,
    }


@pytest.fixture(scope="module")
def page(server: Server) -> dict[str, Any]:
    with server.client() as client:
        return client.get("/openapi.json").json()


def test_t09_the_id_of_another_workspace_is_unknown(server: Server, ids: dict[str, list[str]], page: dict[str, Any]) -> None:
    """Each id in each place of each operation: the stranger is told the same as of an id that nobody has."""
    theirs = {kind: values[0] for kind, values in ids.items()}
    nobodys = {kind: re.sub("[0-9a-f]{32}", "0" * 32, value) if "_" in value else "none" for kind, value in theirs.items()}
    without_body = [name for name in _operations(page) if "{" in name and "requestBody" not in _operation(page, name)]
    in_paths = [name.split() for name in without_body if "{model}" not in name]
    calls = [(method, re.sub(r"\{(\w+)\}", lambda found: f"<{KINDS[found[1]]}>", path), None) for method, path in in_paths] + NAMED_ELSEWHERE
    assert len(calls) > 12
    with server.client("other") as stranger, server.client() as owner:
        shown = [(kind, one) for kind, one in theirs.items() if kind in ("collections", "documents", "jobs", "answers")]
        before = [owner.get(f"/api/v1/{kind}/{one}").raise_for_status().json() for kind, one in shown]
        for method, path, body in calls:
            told = []
            for known in (theirs, nobodys):
                content = None if body is None else _put(json.dumps(body), known)
                reply = stranger.request(method, _put(path, known), content=content, headers={"Content-Type": "application/json"})
                assert reply.status_code == 404, (method, path, reply.text)
                told.append(re.sub("|".join(known.values()), "?", reply.json()["error"]["message"]))
            assert told[0] == told[1], (method, path)
        assert [owner.get(f"/api/v1/{kind}/{one}").json() for kind, one in shown] == before


@pytest.mark.parametrize("examples", [3, pytest.param(200, marks=[pytest.mark.prove(200), pytest.mark.timeout(3600)])])
def test_t60_t09_what_is_asked_of_any_operation_ends_as_its_page_says(
    server: Server, ids: dict[str, list[str]], page: dict[str, Any], tmp_path: Path, examples: int
) -> None:
    """No error of the server, no body out of its shape, no key ignored, nothing of another workspace: all checks of schemathesis hold."""
    dictionaries = "".join(f"\n[dictionaries.{kind}]\nvalues = {json.dumps(values)}\n" for kind, values in ids.items() if kind != "collections")
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION.read_text() + dictionaries)
    (tmp_path / "openapi.json").write_text(json.dumps(page))
    users = [{"name": name, "fixedHeaders": [_authorization(server.keys[key])]} for name, key in (("poc", "admin"), ("dev", "other"))]
    (tmp_path / "keys.json").write_text(json.dumps({"auth": users}))
    command = [SCHEMATHESIS, "run", "openapi.json", "--url", server.url, "--checks", "all", "--max-examples", str(examples), "--seed", "1"]
    command += ["--report", "json", "--report-json-path", "report.json"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "CONTRACT_KEYS": str(tmp_path / "keys.json")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["complete"] and report["operations"]["tested"] == len(_operations(page))
    rates = report["valid_rates"]
    never = [name for name, phases in rates.items() if not sum(phase["accepted"] for phase in phases.values())]
    assert not never, "operations that never did what they are for: give the ids or names that they need in schemathesis.toml"


def _operations(page: dict[str, Any]) -> list[str]:
    return [f"{method.upper()} {path}" for path, methods in page["paths"].items() for method in methods]


def _operation(page: dict[str, Any], name: str) -> dict[str, Any]:
    method, path = name.split()
    return page["paths"][path][method.lower()]


def _authorization(key: str) -> dict[str, str]:
    return {"name": "Authorization", "value": f"Bearer {key}"}


def _put(text: str, ids: dict[str, str]) -> str:
    return re.sub(r"<(\w+)>", lambda found: ids[found[1]], text)
