"""`llmops serve` as processes: what it takes, what it keeps alive, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from llmops.testing import FaultyProvider
from tests.server.conftest import LLMOPS, Server, configuration, environment, events, finished, make_key, start_server, wait_until

QUESTION = [{"role": "user", "content": "How do I stop the server?"}]


@contextmanager
def serving(folder: Path, provider: FaultyProvider) -> Iterator[Server]:
    """A server with two HTTP processes."""
    (folder / "llmops.toml").write_text(configuration(provider))
    key = make_key(folder, "admin", "admin")
    server = start_server(folder, "--port", "0", "--workers", "2")
    server.keys["admin"] = key
    yield server
    if server.process.poll() is None:
        server.process.kill()
        server.process.wait()


@pytest.fixture
def started(tmp_path: Path, provider: FaultyProvider) -> Iterator[Server]:
    """A server of this test's own."""
    with serving(tmp_path, provider) as server:
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, provider: FaultyProvider) -> Iterator[Server]:
    """A server for the tests that leave it whole: with as many processes as it had."""
    with serving(tmp_path_factory.mktemp("shared"), provider) as server:
        yield server


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LLMOPS, *arguments], cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def test_a_second_server_on_the_home_is_one_clear_error(shared: Server) -> None:
    second = run(shared.folder, "serve", "--port", "0")
    assert second.returncode == 2 and second.stdout == ""
    assert f"pid {shared.process.pid}" in second.stderr and shared.url in second.stderr and "Traceback" not in second.stderr


def test_a_port_in_use_is_one_clear_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = run(tmp_path, "serve", "--port", str(taken.getsockname()[1]))
    assert refused.returncode == 2 and "in use" in refused.stderr and "--port" in refused.stderr and "Traceback" not in refused.stderr
    for wrong in (("--host", "no.such.host.invalid"), ("--host", "192.0.2.1"), ("--port", "70000"), ("--workers", "0")):
        refused = run(tmp_path, "serve", *wrong)
        assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 2, refused.stderr


def test_what_is_wrong_with_the_configuration_is_said_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "llmops.toml").write_text('[encoder]\nname = "no/such-model"\n')
    refused = run(tmp_path, "serve", "--port", "0")
    assert (
        refused.returncode in (2, 3)
        and refused.stderr.startswith("error: ")
        and "no/such-model" in refused.stderr
        and "Traceback" not in refused.stderr
    )
    (tmp_path / "llmops.toml").write_text("[server]\nmax_bodi_mb = 3\n")
    refused = run(tmp_path, "serve", "--port", "0")
    assert refused.returncode == 2 and "llmops.toml:2" in refused.stderr and "max_body_mb" in refused.stderr


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[[routes]]\nname = "r"\n[[routes.targets]]\nprovider = "opnai"\n', ("llmops.toml:4: ", "route 'r', target 1", "did you mean 'openai'")),
        ('[[chains]]\nname = "c"\nkind = "rga"\n', ("llmops.toml:3: ", "chain 'c'", "kind", "did you mean 'rag'")),
        ('[[chains]]\nname = "c"\nprompt = "rag-anser"\n', ("llmops.toml:3: ", "chain 'c'", "prompt", "did you mean 'rag-answer'")),
    ],
)
def test_a_name_that_leads_nowhere_ends_serve_at_once(tmp_path: Path, toml: str, said: tuple[str, ...]) -> None:
    (tmp_path / "llmops.toml").write_text(toml)
    refused = run(tmp_path, "serve", "--port", "0")
    assert refused.returncode == 2 and refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 2 and all(words in refused.stderr for words in said), refused.stderr
    assert not (tmp_path / ".llmops/llmops.db").exists()


def test_it_names_the_command_for_the_first_key(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    try:
        assert "llmops keys create" in (tmp_path / "stderr").read_text()
        began = time.monotonic()
        assert server.stop(signal.SIGINT) == 0
        assert time.monotonic() - began < 10
    finally:
        server.process.kill()


def test_t57_sigterm_lets_open_streams_end_and_loses_nothing(started: Server) -> None:
    processes = started.children()
    assert len(processes) == 3
    streamed: list[object] = []
    acknowledged: list[str] = []
    refused = threading.Event()

    def stream() -> None:
        with (
            started.client() as client,
            client.stream("POST", "/v1/chat/completions", json={"model": "route-slow-30", "messages": QUESTION, "stream": True}) as reply,
        ):
            streamed.extend(events(reply.iter_lines()))

    def load() -> None:
        with started.client() as client:
            for number in range(10_000):
                document = {"external_id": f"d{number}", "text": f"Document number {number}."}
                try:
                    reply = client.post("/api/v1/documents", json={"collection": "docs", "documents": [document]})
                except httpx.TransportError:
                    refused.set()
                    return
                if reply.status_code == 202:
                    acknowledged.append(reply.json()["id"])

    threads = [threading.Thread(target=stream), *(threading.Thread(target=load) for _ in range(3))]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(streamed) > 3 and len(acknowledged) > 20)
    began = time.monotonic()
    assert started.stop(signal.SIGTERM, 30) == 0
    assert time.monotonic() - began < 25  # it drains for at most 15, and on a busy machine its processes take a while to end
    for thread in threads:
        thread.join(20)
    assert streamed[-1] == "[DONE]" and refused.is_set() and gone(processes)
    again = start_server(started.folder)
    try:
        with httpx.Client(base_url=again.url, headers={"Authorization": f"Bearer {started.keys['admin']}"}, trust_env=False, timeout=30) as client:
            for job_id in acknowledged:
                assert client.get(f"/api/v1/jobs/{job_id}").status_code == 200
            wait_until(lambda: client.get(f"/api/v1/jobs/{acknowledged[-1]}").json()["state"] == "done", 60)
    finally:
        began = time.monotonic()
        assert again.stop(timeout=30) == 0
        assert time.monotonic() - began < 25


def test_t57_a_stream_that_does_not_end_is_cut_with_an_error(started: Server) -> None:
    got: list[object] = []

    def stream() -> None:
        with (
            started.client() as client,
            client.stream("POST", "/v1/chat/completions", json={"model": "route-slow-400", "messages": QUESTION, "stream": True}) as reply,
        ):
            got.extend(events(reply.iter_lines()))

    thread = threading.Thread(target=stream)
    thread.start()
    wait_until(lambda: len(got) > 3)
    began = time.monotonic()
    assert started.stop() == 0
    assert 5 < time.monotonic() - began < 16
    thread.join(10)
    assert isinstance(got[-1], dict) and got[-1]["error"]["code"] == "unavailable" and "[DONE]" not in got


def test_t59_a_killed_child_is_replaced_and_readiness_says_so(shared: Server) -> None:
    [worker] = shared.children("worker")
    worker.send_signal(signal.SIGSTOP)
    report = wait_until(shared.ready, 10)
    assert not report["parts"]["worker"]["ok"] and report["parts"]["store"]["ok"]
    assert httpx.get(f"{shared.url}/healthz", trust_env=False).status_code == 200
    worker.kill()
    wait_until(lambda: shared.ready() is None and shared.children("worker") not in ([], [worker]), 20)
    with shared.client() as client:
        accepted = client.post(
            "/api/v1/documents", json={"collection": "docs", "documents": [{"external_id": "a", "text": "The bridge is 300 metres long."}]}
        )
        assert finished(client, accepted)["state"] == "done"
    first, second = shared.children("http")
    for process in (first, second):
        process.kill()
    with shared.client() as client:
        wait_until(lambda: len(shared.children("http")) == 2 and {first, second}.isdisjoint(shared.children("http")), 10)
        wait_until(lambda: client.get("/v1/models").status_code == 200, 20)
    assert "starting it again" in (shared.folder / "stderr").read_text()


def test_t59_an_ingestion_survives_the_death_of_its_worker(shared: Server) -> None:
    with shared.client() as client:
        documents = [{"external_id": f"d{n}", "text": f"The bridge number {n} is {n} metres long. " * 40} for n in range(60)]
        accepted = client.post("/api/v1/documents", json={"collection": "bridges", "documents": documents})
        wait_until(lambda: client.get(f"/api/v1/jobs/{accepted.json()['id']}").json()["state"] == "running")
        [worker] = shared.children("worker")
        worker.kill()
        job = finished(client, accepted)
        assert job["state"] == "done" and job["result"]["failed"] == []
        assert client.get("/api/v1/collections/bridges").json()["documents"]["ready"] == 60


def test_a_killed_supervisor_leaves_no_child(started: Server) -> None:
    with started.client() as client:
        client.post("/api/v1/documents", json={"collection": "docs", "documents": [{"external_id": "a", "text": "text " * 5000}]})
    processes = started.children()
    assert len(processes) >= 3
    os.kill(started.process.pid, signal.SIGKILL)
    started.process.wait()
    wait_until(lambda: gone(processes), 3)
    again = start_server(started.folder, "--port", started.url.rsplit(":", 1)[1])
    assert again.stop() == 0


def test_metrics_count_over_all_processes(shared: Server) -> None:
    def counted() -> float:
        with shared.client() as client:
            lines = client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("llmops_http_requests_total") and 'route="/v1/models"' in line)

    before = counted()
    for _ in range(20):  # a new connection each, so that both processes get some
        with shared.client() as client:
            client.get("/v1/models")
    assert counted() == before + 20


def test_the_whole_way_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "llmops.toml").write_text(f'[store]\nurl = "{postgres_url}"\n[mlflow]\ntracking_uri = "off"\n')
    key = make_key(tmp_path, "admin", "admin")
    server = start_server(tmp_path)
    try:
        server.keys["admin"] = key
        with server.client() as client:
            document = {"external_id": "a.md", "text": "# Bridges\n\nThe old bridge is 300 metres long.", "metadata": {"year": 1900}}
            assert finished(client, client.post("/api/v1/documents", json={"collection": "docs", "documents": [document]}))["result"]["ready"] == 1
            body = {"model": "rag", "messages": [{"role": "user", "content": "How long is the old bridge?"}]}
            reply = client.post("/v1/chat/completions", json=body).json()
            assert "300 metres" in reply["choices"][0]["message"]["content"]
            answer_id = reply["llmops"]["answer_id"]
            assert client.get(f"/api/v1/answers/{answer_id}").json()["state"] == "complete"
            assert client.post("/api/v1/feedback", json={"answer_id": answer_id, "rating": 5}).status_code == 201
            assert client.get("/readyz").json()["parts"]["store"]["detail"].startswith("postgresql")
            for odd in ("/api/v1/jobs/%F0%9F%98%80", "/api/v1/documents/%ff%fe", "/api/v1/answers/a%00b"):
                assert client.get(odd).status_code in (400, 404)
    finally:
        assert server.stop() == 0
