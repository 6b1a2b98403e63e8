"""T34: a server that is killed while it answers has on record every answer that a client received whole."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import select

from chains.tables import answers
from llmops.home import Home
from llmops.store.tables import outbox
from tests.conftest import Ran
from tests.crash import LLMOPS, Running
from tests.server.conftest import GUIDE, GUIDE_JA, events

QUESTIONS = ["How do I stop the server?", "What does every request need?", "サーバーはどう停止しますか？", "Who painted the ceiling of the chapel?"]
FAILPOINTS = ["answer.searched", "answer.said", "answer.recording", "answer.recorded"]
CLIENTS = 4


@dataclass
class Clients:
    """Clients that ask without pause, whole and streamed; `received` are the texts of the answers that came whole, by id."""

    url: str
    key: str
    received: dict[str, str] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def asking(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._ask_on, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(60)

    def _ask_on(self, number: int) -> None:
        turn = number
        while not self._over.is_set():
            turn += 1
            # What is cut off was not received.
            with suppress(httpx.TransportError), httpx.Client(base_url=self.url, timeout=30, trust_env=False) as client:
                while not self._over.is_set():
                    turn += 1
                    self._ask(client, QUESTIONS[turn // 2 % len(QUESTIONS)], stream=bool(turn % 2))

    def _ask(self, client: httpx.Client, question: str, *, stream: bool) -> None:
        body = {"model": "rag", "messages": [{"role": "user", "content": question}], "stream": stream}
        with client.stream("POST", "/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {self.key}"}) as reply:
            if stream:
                got = list(events(reply.iter_lines()))
                if got and got[-1] == "[DONE]":
                    text = "".join(event["choices"][0]["delta"].get("content", "") for event in got[:-1])
                    self.received[got[-2]["llmops"]["answer_id"]] = text
            elif reply.read() and reply.status_code == 200:
                whole = reply.json()
                self.received[whole["llmops"]["answer_id"]] = whole["choices"][0]["message"]["content"]


@pytest.fixture
def key(cli: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A key of a home that has two documents. MLflow is off: its start would be most of the load."""
    monkeypatch.setenv("LLMOPS__MLFLOW__TRACKING_URI", "off")
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "guide.md").write_text(GUIDE)
    (pages / "guide.ja.md").write_text(GUIDE_JA)
    assert cli("ingest", pages, "--collection", "docs").rc == 0
    return str(cli("keys", "create", "app", "--role", "application", "--json").json["key"])


@contextmanager
def serving(folder: Path, **environment: str) -> Iterator[tuple[Running, str]]:
    with Running(["serve", "--json", "--port", "0"], program=LLMOPS, cwd=folder, env=environment) as server:
        server.wait_for_line("url")
        yield server, json.loads(server.lines[0])["url"]


def answering(server: Running) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [child for child in psutil.Process(server.process.pid).children() if "http" in child.cmdline()]
    return []


def wait_for(clients: Clients, count: int) -> None:
    until = time.monotonic() + 60
    while len(clients.received) < count:
        assert time.monotonic() < until, f"{len(clients.received)} answers in a minute"
        time.sleep(0.01)


def check(home: Home, received: dict[str, str]) -> None:
    """What was received is there, word for word; and nothing is there by halves."""
    rows = {row.id: row for row in home.store.read(lambda c: c.execute(select(answers)).all())}
    assert received, "nobody was answered"
    lost = received.keys() - rows.keys()
    assert not lost, f"{len(lost)} of {len(received)} answers are lost"
    for answer_id, text in received.items():
        assert (rows[answer_id].state, rows[answer_id].reply) == ("complete", text)
    for row in rows.values():
        if row.state == "complete":
            assert row.reply and row.timings and row.query_vector and row.abstained != bool(row.citations)
        else:
            assert row.state in ("partial", "failed") and row.error
    waiting = home.store.read(lambda c: c.execute(select(outbox.c.key).where(outbox.c.topic == "traces")).scalars().all())
    assert rows.keys() >= set(waiting) and len(waiting) == len(set(waiting))


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=[pytest.mark.prove(10), pytest.mark.timeout(900)])])
def test_t34_a_server_killed_under_load_loses_no_answer_that_was_received(store_home: Home, tmp_path: Path, key: str, kills: int) -> None:
    """All its processes at once, or the one that answers, at random times."""
    draw = random.Random(kills)
    for number in range(kills):
        with serving(tmp_path) as (server, url):
            clients = Clients(url, key)
            with clients.asking():
                wait_for(clients, 2 * CLIENTS)
                if number % 2:
                    [process] = answering(server)
                    process.kill()
                    wait_for(clients, len(clients.received) + CLIENTS)  # another answers in its place
                time.sleep(draw.uniform(0, 1.5))
                server.kill()
        check(store_home, clients.received)


@pytest.mark.parametrize(
    ("failpoint", "deaths"), [("answer.recording", 1), *(pytest.param(name, 5, marks=pytest.mark.prove(5)) for name in FAILPOINTS)]
)
def test_t34_a_server_killed_at_a_failpoint_of_answering_loses_no_answer_that_was_received(
    home: Home, tmp_path: Path, key: str, failpoint: str, deaths: int
) -> None:
    with serving(tmp_path, LLMOPS_FAILPOINT=f"{failpoint}:9") as (server, url):
        clients = Clients(url, key)
        with clients.asking():
            until = time.monotonic() + 30 * deaths
            while sum("starting it again" in line for line in server.errors) < deaths:
                assert time.monotonic() < until, server.errors
                time.sleep(0.02)
            wait_for(clients, len(clients.received) + 1)
        server.kill()
    check(home, clients.received)
