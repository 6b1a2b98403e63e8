"""Streams that break, and clients that leave."""

from __future__ import annotations

import time
from contextlib import ExitStack

import httpx
import pytest

from llmops.testing import FaultyProvider
from tests.server.conftest import Server, events, wait_until

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
        wait_until(lambda: provider.open <= 1)


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
