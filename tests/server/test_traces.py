"""From a question over HTTP to its trace in MLflow; and a server whose MLflow is dead."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from llmops.home import Home
from llmops.settings import Settings
from llmops.store import outbox
from tests.server.conftest import GUIDE, Server, finished, make_key, start_server, wait_until

QUESTION = {"model": "rag", "messages": [{"role": "user", "content": "How do I stop the server?"}]}
# A process of its own, as MLflow's own tools are.
READ = """
import sys
from mlflow.tracking import MlflowClient
trace = MlflowClient(tracking_uri=sys.argv[1]).get_trace(sys.argv[2], display=False)
print(trace.info.state.value, trace.info.tags["llmops.answer_id"], *(span.name for span in trace.data.spans))
"""


@contextmanager
def serving(folder: Path, mlflow: str = "") -> Iterator[tuple[Server, httpx.Client]]:
    """A server with one document, and a client with a key."""
    (folder / "llmops.toml").write_text(mlflow)
    key = make_key(folder, "admin", "admin")
    server = start_server(folder)
    server.keys["admin"] = key
    try:
        with server.client() as client:
            document = {"external_id": "guide.md", "text": GUIDE}
            finished(client, client.post("/api/v1/documents", json={"collection": "docs", "documents": [document]}))
            yield server, client
    finally:
        assert server.stop() == 0


def ask(client: httpx.Client) -> tuple[str, float]:
    """The answer's id, and the seconds that it took."""
    began = time.perf_counter()
    reply = client.post("/v1/chat/completions", json=QUESTION)
    assert reply.status_code == 200, reply.text
    return reply.json()["llmops"]["answer_id"], time.perf_counter() - began


def traces_waiting(server: Server) -> int:
    """How many traces of answers MLflow must still be told."""
    with Home(Settings.load(environ={"LLMOPS_HOME": str(server.home)})) as home:
        return home.store.read(outbox.waiting).get("traces", 0)


def test_an_answers_trace_arrives_in_mlflow(tmp_path: Path) -> None:
    with serving(tmp_path) as (server, client):
        answer_id, _ = ask(client)
        wait_until(lambda: traces_waiting(server) == 0, 60)
        reading = [sys.executable, "-c", READ, f"sqlite:///{server.home / 'mlflow.db'}", f"tr-{answer_id.removeprefix('ans_')}"]
        read = subprocess.run(reading, capture_output=True, text=True, timeout=120)
    assert read.returncode == 0, read.stderr[-2000:]
    state, told, root, *parts = read.stdout.split()
    assert (state, told, root) == ("OK", answer_id, "rag")
    assert parts == ["auth", "embed", "plan", "scan", "rows", "model"]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses every connection: bound, and not listening."""
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_t58_with_a_dead_mlflow_answers_are_as_quick_and_their_traces_wait(tmp_path: Path, closed_port: int) -> None:
    medians, waiting = {}, []
    for name, uri in (("off", "off"), ("dead", f"http://127.0.0.1:{closed_port}")):
        folder = tmp_path / name
        folder.mkdir()
        with serving(folder, f'[mlflow]\ntracking_uri = "{uri}"\n') as (server, client):
            ids = [ask(client)[0]]
            if name == "dead":
                wait_until(lambda server=server: "not delivered" in (server.folder / "stderr").read_text(), 60)
            took = []
            for _ in range(20):
                answer_id, seconds = ask(client)
                ids.append(answer_id)
                took.append(seconds)
            medians[name] = statistics.median(took)
            assert server.ready() is None
            waiting.append(traces_waiting(server))
    assert medians["dead"] < 2 * medians["off"] + 0.05, medians
    assert waiting[1] == len(ids), "every trace waits for an MLflow that is back"
