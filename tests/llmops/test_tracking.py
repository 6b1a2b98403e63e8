"""An answer becomes one MLflow trace, in MLflow's own file or on its server, and a dead MLflow costs little time."""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import Unavailable
from llmops.home import Home
from llmops.settings import Settings
from llmops.tracking import export_traces, tracking_uri
from tests.conftest import REPOSITORY
from tests.crash import Running, crash_at

STARTED = 1_790_000_000.25


def answer(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "answer_id": f"ans_{number:032x}",
        "workspace": "poc",
        "chain": "rag",
        "asker": "user:alice",
        "question": "サーバーはどう止めますか?",
        "reply": "`make stop` で止まります。 [1]",
        "state": "complete",
        "started_at": STARTED,
        "attributes": {"prompt": "rag-answer@1", "seq": 7},
        "spans": [
            {"name": "embed", "start_ms": 1.0, "end_ms": 5.5, "attributes": {"encoder": "minilm"}},
            {
                "name": "rows",
                "start_ms": 5.5,
                "end_ms": 9.0,
                "inputs": {"k": 8},
                "outputs": [{"document_id": "doc_1", "chunk_id": "chk_1", "start": 0, "end": 40, "score": 0.5}],
            },
            {"name": "model", "start_ms": 9.0, "end_ms": 42.0, "attributes": {"route": "default"}},
        ],
        **changes,
    }


def read_back(uri: str, number: int = 1) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri).get_trace(f"tr-{number:032x}")


def count_traces(uri: str) -> int:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("llmops")
    assert experiment is not None
    return len(client.search_traces(locations=[experiment.experiment_id]))


def check(trace: Any) -> None:
    """The trace says what the answer said."""
    info = trace.info
    assert info.client_request_id == f"ans_{1:032x}"
    assert info.state.value == "OK"
    assert (info.request_time, info.execution_duration) == (int(STARTED * 1000), 42)
    assert (info.tags["mlflow.traceName"], info.tags["llmops.workspace"]) == ("rag", "poc")
    root, *parts = trace.data.spans
    assert (root.name, root.parent_id, root.span_type) == ("rag", None, "CHAIN")
    assert (root.inputs, root.outputs) == ({"question": answer()["question"]}, {"reply": answer()["reply"]})
    assert root.attributes["prompt"] == "rag-answer@1"
    assert [(part.name, part.parent_id) for part in parts] == [(name, root.span_id) for name in ("embed", "rows", "model")]
    assert parts[1].span_type == "RETRIEVER"
    assert parts[1].outputs[0]["chunk_id"] == "chk_1"
    assert parts[1].end_time_ns - parts[1].start_time_ns == 3_500_000


def test_an_answer_becomes_one_trace_in_the_homes_own_file(home: Home) -> None:
    export_traces(home, [answer()])
    uri = tracking_uri(home.settings.mlflow, home.settings.home)
    assert (home.settings.home / "mlflow.db").is_file()
    check(read_back(uri))
    export_traces(home, [answer(), answer(2, state="failed", error="the model hung up", reply="", spans=[])])
    check(read_back(uri))
    assert count_traces(uri) == 2, "exporting an answer again makes no second trace"
    failed = read_back(uri, 2)
    assert failed.info.state.value == "ERROR"
    assert failed.data.spans[0].status.description == "the model hung up"


EXPORT = """
import sys
from llmops.home import Home
from llmops.settings import Settings
from tests.llmops.test_tracking import answer
from llmops.tracking import export_traces
with Home(Settings.load()) as home:
    export_traces(home, [answer()])
"""


def test_t58_a_kill_while_mlflows_file_is_made_leaves_nothing_in_the_way(home: Home) -> None:
    file = home.settings.home / "mlflow.db"
    crash_at("tracking.made", ["-c", EXPORT], cwd=REPOSITORY)
    assert not file.exists()
    file.with_name("mlflow.db.new").write_bytes(b"half of it")
    export_traces(home, [answer()])
    check(read_back(tracking_uri(home.settings.mlflow, home.settings.home)))
    assert [left.name for left in home.settings.home.glob("mlflow.db*")] == ["mlflow.db"]


def test_t58_a_file_that_mlflow_never_finished_is_put_aside(home: Home) -> None:
    file = home.settings.home / "mlflow.db"
    with closing(sqlite3.connect(file)) as unfinished:
        unfinished.execute("CREATE TABLE _alembic_tmp_params (key TEXT)")
        unfinished.execute("CREATE TABLE experiments (experiment_id INTEGER)")
    export_traces(home, [answer()])
    check(read_back(tracking_uri(home.settings.mlflow, home.settings.home)))
    assert len(list(home.settings.home.glob("mlflow.db.unfinished-*"))) == 1


def test_a_file_that_is_no_database_is_left_and_the_hint_says_what_to_do(home: Home) -> None:
    file = home.settings.home / "mlflow.db"
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(Unavailable, match="not a database") as refused:
        export_traces(home, [answer()])
    assert f"move {file} away" in refused.value.hint
    assert file.read_bytes() == b"no database" * 1000


def test_off_exports_nothing(home: Home) -> None:
    off = home.settings.model_copy(update={"mlflow": home.settings.mlflow.model_copy(update={"tracking_uri": "off"})})
    off._home = home.settings.home
    export_traces(Home(off), [answer()])
    assert not (home.settings.home / "mlflow.db").exists()


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path, port: int) -> Iterator[str]:
    command = ["-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db", "--port", port, "--workers", 1]
    with Running([*command, "--default-artifact-root", tmp_path / "artifacts"], program=sys.executable, cwd=tmp_path):
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url


def at(home: Home, url: str, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("LLMOPS__MLFLOW__TRACKING_URI", url)
    return Home(Settings.load())


def test_t58_a_dead_mlflow_is_given_up_soon_and_used_again_when_it_is_back(
    home: Home, port: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = at(home, f"http://127.0.0.1:{port}", monkeypatch)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="takes no traces"):
        export_traces(remote, [answer()])
    assert time.monotonic() - began < 20, os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT")
    url = request.getfixturevalue("server")
    export_traces(remote, [answer()])
    export_traces(remote, [answer()])
    check(read_back(url))
    assert count_traces(url) == 1


def test_t58_an_mlflow_that_hangs_is_given_up(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        remote = at(home, f"http://127.0.0.1:{silent.getsockname()[1]}", monkeypatch)
        began = time.monotonic()
        with pytest.raises(Unavailable, match="takes no traces"):
            export_traces(remote, [answer()])
        assert time.monotonic() - began < 15
