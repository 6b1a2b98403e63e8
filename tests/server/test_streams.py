"""Streams that break, and clients that leave."""

from __future__ import annotations

import json
import random
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from chains.tables import answers
from llmops.testing import FaultyProvider
from tests.conftest import postgres_database
from tests.server.conftest import Server, configuration, events, serving_docs, wait_until

QUESTION = [{"role": "user", "content": "How do I stop the server?"}]


def ask(client: httpx.Client, model: str, **fields: object) -> list:
    with client.stream("POST", "/v1/chat/completions", json={"model": model, "messages": QUESTION, "stream": True, **fields}) as reply:
        assert reply.status_code == 200 and reply.headers["content-type"].startswith("text/event-stream")
        return list(events(reply.iter_lines()))


def test_a_route_passes_the_providers_events_untouched(live: Server) -> None:
    with live.client() as client:
        plain, counted = ask(client, "route-ok"), ask(client, "route-ok", stream_options={"include_usage": True})
        whole = client.post("/v1/chat/completions", json={"model": "route-ok", "messages": QUESTION}).json()
    assert plain[-1] == "[DONE]" and all(event["model"] == "faulty-1" and event["id"] == "chatcmpl-1" for event in plain[:-1])
    assert "".join(event["choices"][0]["delta"].get("content") or "" for event in plain[:-1]) == "Stop it. Then wait."
    assert not any(event.get("usage") for event in plain[:-1]) and counted[-2]["usage"]["total_tokens"] == 12
    assert whole["x_unknown"] == 1 and whole["model"] == "faulty-1"


def test_unknown_fields_reach_the_provider(live: Server, provider: FaultyProvider) -> None:
    with live.client() as client:
        ask(client, "route-ok", not_known={"a": 1}, temperature=0.5)
    assert provider.requests[-1]["not_known"] == {"a": 1} and provider.requests[-1]["temperature"] == 0.5


@pytest.mark.parametrize("kind", ["route", "rag"])
@pytest.mark.parametrize("fault", ["cut-4", "error-4", "malformed-4"])
def test_t23_a_stream_that_breaks_ends_with_an_error_and_without_done(live: Server, kind: str, fault: str) -> None:
    with live.client() as client:
        got = ask(client, f"{kind}-{fault}")
    assert set(got[-1]) == {"error"} and "[DONE]" not in got
    assert got[-1]["error"]["message"] and got[-1]["error"]["request_id"] and got[-1]["error"]["type"] == "api_error"
    assert all(choice.get("finish_reason") != "stop" for event in got[:-1] for choice in event["choices"])


def test_t23_what_fails_before_the_first_piece_is_an_http_error(live: Server) -> None:
    with live.client() as client:
        for stream in (True, False):
            failed = client.post("/v1/chat/completions", json={"model": "route-500", "messages": QUESTION, "stream": stream})
            assert failed.status_code == 503 and failed.json()["error"]["code"] == "all_targets_failed" and failed.headers["retry-after"]
            refused = client.post("/v1/chat/completions", json={"model": "route-400", "messages": QUESTION, "stream": stream})
            assert refused.status_code == 400 and refused.json()["error"]["code"] == "fault"


@pytest.mark.parametrize(("model", "stream"), [("route-stall-4", True), ("rag-stall-4", True), ("route-silent", True), ("route-silent", False)])
def test_t29_a_client_that_leaves_takes_the_call_with_it(live: Server, provider: FaultyProvider, model: str, stream: bool) -> None:
    calls, left = sum(provider.calls.values()), len(provider.left)
    with live.client() as client, ExitStack() as leaving:
        body = {"model": model, "messages": QUESTION, "stream": stream}
        if "silent" in model:
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v1/chat/completions", json=body, timeout=1.0)
        else:
            reply = leaving.enter_context(client.stream("POST", "/v1/chat/completions", json=body))
            next(reply.iter_bytes())
            leaving.close()
        wait_until(lambda: len(provider.left) > left, 10)  # a second where the machine is idle; the stall itself lasts longer
    assert sum(provider.calls.values()) == calls + 1


def test_t29_many_who_leave_leave_nothing_open(live: Server, provider: FaultyProvider) -> None:
    [process] = live.children("http")
    with live.client() as client:
        client.get("/v1/models")
        before = process.num_fds()
        for _ in range(30):
            with client.stream("POST", "/v1/chat/completions", json={"model": "route-stall-4", "messages": QUESTION, "stream": True}) as reply:
                next(reply.iter_bytes())
        wait_until(lambda: process.num_fds() <= before + 3)
        wait_until(lambda: provider.answering == 0)


# --- What is on record of them ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def recording(request: pytest.FixtureRequest, provider: FaultyProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A live server, once for each store."""
    if request.param == "sqlite":
        yield request.getfixturevalue("live")
        return
    server, template = request.getfixturevalue("postgres_server"), request.getfixturevalue("postgres_template")
    with (
        postgres_database(server, f"template {template}") as url,
        serving_docs(tmp_path_factory.mktemp("live"), configuration(provider), url) as made,
    ):
        yield made


def body_of(model: str, stream: bool) -> dict[str, Any]:
    """A request whose row, and whose call of the provider, can be told from all others: by what its first message says."""
    return {"model": model, "stream": stream, "messages": [{"role": "system", "content": f"mark {uuid.uuid4().hex}"}, *QUESTION]}


def rows_of(server: Server, *bodies: dict[str, Any]) -> list[Any]:
    """The answers' rows of these requests."""
    marks = [body["messages"][0] for body in bodies]
    with server.store() as store:
        found = store.read(lambda c: c.execute(select(answers).order_by(answers.c.row.desc()).limit(200)).all())
    return [row for row in found if row.messages[0] in marks]


def called(provider: FaultyProvider, body: dict[str, Any]) -> bool:
    return body["messages"][0]["content"] in json.dumps(provider.requests[-100:])


def check_record(server: Server, body: dict[str, Any], state: str, said: str, error: str) -> None:
    """There is one row of the answer, it holds what was said and why no more, and the API shows it so."""
    row, *others = rows_of(server, body)
    assert not others, "an answer has one row"
    assert (row.state, row.reply, row.chain) == (state, said, body["model"]) and row.abstained is False
    assert error in row.error if error else row.error is None, row.error
    assert row.passages and row.query_vector and row.asker == "key:alice"
    with server.client("alice") as client:
        shown = client.get(f"/api/v1/answers/{row.id}").json()
    assert {name: shown[name] for name in ("state", "reply", "error")} == {"state": state, "reply": said, "error": row.error}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "state", "said", "error"),
    [
        ("cut-4", "partial", "Stop it.", "the connection broke"),
        ("error-4", "partial", "Stop it.", "overloaded"),
        ("malformed-4", "partial", "Stop it.", "malformed"),
        ("500", "failed", "", "all_targets_failed: "),
        ("400", "failed", "", "bad key"),
        ("ok", "complete", "Stop it. Then wait.", ""),
    ],
)
def test_t23_a_reply_that_breaks_is_on_record_as_far_as_it_came(
    recording: Server, stream: bool, fault: str, state: str, said: str, error: str
) -> None:
    if state == "partial" and not stream:
        state, said = "failed", ""  # nothing was sent, so what came of it is no answer, and the next target may give one
    body = body_of(f"rag-{fault}", stream)
    with recording.client("alice") as client:
        reply = client.post("/v1/chat/completions", json=body)
    if stream and said:
        got = list(events(iter(reply.text.splitlines())))
        assert reply.status_code == 200 and (got[-1] == "[DONE]") == (state == "complete")
        assert "".join(event["choices"][0]["delta"].get("content", "") for event in got[:-1]) == said
    else:
        assert (reply.status_code == 200) == (state == "complete")
    check_record(recording, body, state, said, error)


@contextmanager
def leaving(server: Server, body: dict[str, Any]) -> Iterator[socket.socket]:
    """A client that has sent its request, and whose connection is gone after the block."""
    url, sent = httpx.URL(server.url), json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.keys['alice']}\r\n"
    with socket.create_connection((url.host, url.port)) as client:
        client.settimeout(30)
        client.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n".encode() + sent)
        yield client


def read_until(client: socket.socket, words: bytes) -> None:
    got = b""
    while words not in got:
        got += (more := client.recv(65536))
        assert more, got


@pytest.mark.parametrize(
    ("model", "stream", "state", "said"),
    [("rag-silent", True, "failed", ""), ("rag-silent", False, "failed", ""), ("rag-stall-4", True, "partial", "Stop it.")],
)
def test_t29_the_answer_of_a_client_that_left_is_on_record(
    recording: Server, provider: FaultyProvider, model: str, stream: bool, state: str, said: str
) -> None:
    body = body_of(model, stream)
    with leaving(recording, body) as client:
        wait_until(lambda: called(provider, body))
        read_until(client, said.encode())
        assert not rows_of(recording, body), "nothing is on record of an answer that still comes about"
    wait_until(lambda: rows_of(recording, body))
    check_record(recording, body, state, said, "the client left")


def test_t29_of_many_who_leave_at_any_time_each_answer_begun_has_one_row(recording: Server, provider: FaultyProvider) -> None:
    """Some leave before the search is over: nothing was begun for them, and nothing is on record."""
    draw = random.Random(29)
    bodies = [body_of(draw.choice(["rag-stall-4", "rag-silent", "rag-slow-30"]), draw.random() < 0.7) for _ in range(40)]
    for first in range(0, len(bodies), 8):
        with ExitStack() as clients:
            for body in bodies[first : first + 8]:
                clients.enter_context(leaving(recording, body))
            time.sleep(draw.uniform(0, 0.4))
    begun = [body for body in bodies if called(provider, body)]
    assert len(begun) >= 8
    wait_until(lambda: len(rows_of(recording, *begun)) >= len(begun), 30)
    wait_until(lambda: provider.answering == 0)
    rows = rows_of(recording, *bodies)
    marks = [row.messages[0]["content"] for row in rows]
    assert len(marks) == len(set(marks)), "an answer has one row"
    assert {body["messages"][0]["content"] for body in begun} <= set(marks)
    for row in rows:
        assert row.state == ("partial" if row.reply else "failed") and row.error == "the client left", (row.state, row.error)


def test_pieces_come_as_they_are_made(live: Server) -> None:
    came: list[float] = []
    with (
        live.client() as client,
        client.stream("POST", "/v1/chat/completions", json={"model": "route-slow-30", "messages": QUESTION, "stream": True}) as reply,
    ):
        for _ in events(reply.iter_lines()):
            came.append(time.monotonic())
            if len(came) == 8:
                break
    assert came[-1] - came[1] > 0.3
