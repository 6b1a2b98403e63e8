"""What surrounds every request: hosts, headers, limits, the one shape of errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from llmops.errors import ConfigurationError
from llmops.home import Home
from server.app import make_app
from tests.server.conftest import Client, bearer, routes

# --- T15, T21, T22, T31: the frame around every request ---------------------------------------------------------------


async def test_t15_a_host_that_is_not_ours_is_refused(home: Home, key: Callable[..., str]) -> None:
    app = make_app(home, hosts=["localhost", "127.0.0.1", "::1", "Chat.Example"])
    await app.state.rooms.load()
    async with Client(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        for host, status in (
            ("localhost", 200),
            ("127.0.0.1:8000", 200),
            ("[::1]:8000", 200),
            ("chat.example:443", 200),
            ("evil.example", 403),
            ("localhost.evil.example", 403),
            ("", 403),
        ):
            reply = await client.get("/v1/models", headers={**bearer(key()), "Host": host})
            assert reply.status_code == status, host
            if status == 403:
                assert reply.json()["error"]["code"] == "unknown_host"
        assert (await client.get("/healthz", headers={"Host": "evil.example"})).status_code == 403


async def test_t15_no_page_of_another_origin_gets_anything(client: Client, key: Callable[..., str]) -> None:
    preflight = await client.options("/v1/chat/completions", headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 405 and not any(name.startswith("access-control") for name in preflight.headers)
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        body = b'{"model": "rag", "messages": [{"role": "user", "content": "hello"}]}'
        reply = await client.post("/v1/chat/completions", headers={**bearer(key()), "Content-Type": kind}, content=body)
        assert reply.status_code == 422 and reply.json()["error"]["code"] == "invalid_input"


async def test_t21_nothing_about_the_server_is_told_to_strangers(client: Client, key: Callable[..., str]) -> None:
    for path in ("/docs", "/redoc", "/", "/openapi.json"):
        reply = await client.get(path)
        assert reply.status_code == (401 if path == "/openapi.json" else 404) and "error" in reply.json()
        assert "server" not in reply.headers
    listed = (await client.get("/openapi.json", headers=bearer(key("business-user")))).json()["paths"]
    assert (await client.get("/openapi.json", headers=bearer(key("application")))).status_code == 403
    assert {route.path for route in routes()} == set(listed)
    assert listed["/healthz"]["get"]["security"] == [] and listed["/v1/models"]["get"]["security"] == [{"key": []}]
    assert listed["/v1/models"]["get"]["x-permission"] == "models:read" and "401" in listed["/v1/models"]["get"]["responses"]


async def test_t22_headers_of_every_answer(client: Client, key: Callable[..., str]) -> None:
    for path, headers in (("/healthz", {}), ("/v1/models", bearer(key())), ("/v1/models", {}), ("/nothing", {})):
        reply = await client.get(path, headers=headers)
        assert reply.headers["x-content-type-options"] == "nosniff" and "default-src 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["x-request-id"].startswith("req_")
    assert (await client.get("/healthz", headers={"X-Request-Id": "mine-1"})).headers["x-request-id"] == "mine-1"
    assert (await client.get("/healthz", headers={"X-Request-Id": "a b\tc"})).headers["x-request-id"].startswith("req_")


async def test_every_error_has_the_one_shape(client: Client, key: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(**_: Any) -> None:
        raise RuntimeError("secret detail")

    good = bearer(key())
    [collections] = [route for route in routes() if route.path == "/api/v1/collections" and route.methods == {"GET"}]
    monkeypatch.setattr(collections.dependant, "call", broken)
    deep = b'{"model": ' + b"[" * 100_000
    cases = [
        (404, "GET", "/nothing", b""),
        (405, "PUT", "/v1/models", b""),
        (400, "GET", "/v1/models/a%00b", b""),
        (422, "POST", "/api/v1/search", b"{broken"),
        (422, "POST", "/api/v1/search", b'{"query": "x"}'),
        (422, "POST", "/api/v1/search", b'{"collection": "docs", "query": NaN}'),
        (422, "POST", "/api/v1/search", b'{"collection": "docs", "query": "\\ud800"}'),
        (422, "POST", "/api/v1/search", b'{"collection": "docs", "query": "\\u0000"}'),
        (422, "POST", "/api/v1/search", b'{"collection": "docs", "query": "x", "owner": true}'),
        (422, "POST", "/api/v1/search", b""),
        (422, "POST", "/api/v1/search", b"[]"),
        (422, "POST", "/v1/chat/completions", deep),
        (422, "POST", "/api/v1/documents", deep),
        (422, "POST", "/api/v1/search", b'{"collection": "docs", "query": "x", "filter": {"page": 1e999}}'),
        (422, "POST", "/api/v1/search", b'{"collection": "docs", "query": "x", "filter": {"page": -1e999}}'),
        (422, "POST", "/api/v1/search", b'{"collection": "docs", "query": "x", "filter": {"page": ' + b"9" * 5000 + b"}}"),
        (422, "POST", "/api/v1/search", b'{"query": "\xff"}'),
        (404, "POST", "/api/v1/search", b'{"collection": "docs", "query": "x"}'),
        (500, "GET", "/api/v1/collections", b""),
    ]
    for status, method, path, body in cases:
        reply = await client.request(method, path, headers={**good, "Content-Type": "application/json"}, content=body)
        error = reply.json()["error"]
        assert reply.status_code == status, (path, body[:60], reply.text)
        assert list(error) == ["message", "type", "code", "param", "hint", "request_id"] and error["message"]
        assert error["request_id"] == reply.headers["x-request-id"] and "secret detail" not in reply.text
        assert status != 422 or (error["code"] == "invalid_input" and error["hint"]), (body[:60], error)
        assert error["type"] == {404: "not_found_error", 500: "api_error"}.get(status, "invalid_request_error")


async def test_t31_bodies_have_limits(home: Home, client: Client, key: Callable[..., str]) -> None:
    good = {**bearer(key()), "Content-Type": "application/json"}
    began = time.monotonic()
    declared = await client.post("/api/v1/search", headers={**good, "Content-Length": str(2**40)}, content=b"{}")
    assert declared.status_code == 413 and time.monotonic() - began < 3

    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b" " * 65536

    for path in ("/api/v1/search", "/api/v1/documents"):
        sent = 0
        reply = await client.post(path, headers=good, content=endless())
        limit = home.settings.server.max_upload_mb if "documents" in path else home.settings.server.max_body_mb
        assert reply.status_code == 413 and reply.json()["error"]["code"] == "too_large"
        assert sent <= limit * 1024 * 1024 + 2 * 65536
    many = await client.post("/v1/chat/completions", headers=good, json={"model": "rag", "messages": [{"role": "user", "content": ""}] * 10_000})
    assert many.status_code == 422 and many.json()["error"]["param"] == "messages"


async def test_a_server_that_cannot_load_says_so(home: Home, key: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.rooms.PATIENCE", 0.05)
    app, token = make_app(home), key()
    async with Client(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        reply = await client.get("/v1/models", headers=bearer(token))
        assert reply.status_code == 503 and reply.json()["error"]["code"] == "unavailable" and reply.headers["retry-after"]
        ready = await client.get("/readyz")
        assert ready.status_code == 503 and not ready.json()["parts"]["encoder"]["ok"]
        assert (await client.get("/healthz")).status_code == 200
        for path, status in (("/healthz", 200), ("/readyz", 503)):
            assert (await client.head(path)).status_code == status


async def test_t21_strangers_see_of_a_failure_its_code_alone(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(home)
    rooms = app.state.rooms

    def broken() -> None:
        raise ConfigurationError("route 'secret-route', target 1: unknown provider")

    rooms._open = broken
    loading = asyncio.create_task(rooms.load())
    await asyncio.wait([loading], timeout=0.2)
    assert rooms.failure
    await app.state.health.refresh()
    async with Client(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        ready = await client.get("/readyz")
    loading.cancel()
    assert ready.json()["parts"]["store"] == {"ok": False, "detail": "configuration_error"} and "secret-route" not in ready.text
    assert "secret-route" in caplog.text
