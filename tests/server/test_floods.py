"""Far more than anybody needs, sent to a real server: it says no soon, and its memory stays as it was."""

from __future__ import annotations

import json
import socket
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.server.conftest import Server
from tests.test_layers import ROOT

SOON = 5.0
"""Seconds, on a machine that has other work too; alone it is some milliseconds."""
GIGABYTE = 1024**3
MOST_MEMORY = 64 * 1024**2
QUESTION = [{"role": "user", "content": "How do I stop the server?"}]


@contextmanager
def unharmed(server: Server) -> Iterator[None]:
    """The block ends soon, the server's memory does not grow by much, and afterwards it answers."""
    pids, before = {child.pid for child in server.children("http")}, _memory(server)
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < SOON, f"{took:.1f} s"
    assert {child.pid for child in server.children("http")} == pids, "a process died of it"
    assert _memory(server) - before < MOST_MEMORY
    with server.client() as client:
        assert client.get("/v1/models").status_code == 200


def _memory(server: Server) -> int:
    return sum(child.memory_info().rss for child in server.children("http"))


def raw(server: Server, head: str, body: Iterator[bytes] | None = None, key: str = "admin") -> tuple[int, dict[str, object], int]:
    """Send a request by hand; its status, its JSON, and how many bytes of the body the server let in before it hung up."""
    where = httpx.URL(server.url)
    sent = 0
    with socket.create_connection((where.host, where.port), timeout=SOON) as wire:
        authorization = f"Authorization: Bearer {server.keys[key]}\r\n" if key else ""
        wire.sendall(f"{head}\r\nHost: localhost\r\n{authorization}\r\n".encode())
        try:
            for piece in body or ():
                wire.sendall(piece)
                sent += len(piece)
        except OSError:  # it has hung up
            pass
        answer = b""
        try:
            while piece := wire.recv(65536):
                answer += piece
                if _whole(answer):
                    break
        except ConnectionError:
            pass
    top, _, rest = answer.partition(b"\r\n\r\n")
    return int(top.split()[1]), json.loads(rest), sent


def _whole(answer: bytes) -> bool:
    top, end, rest = answer.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in top.lower().split(b"\r\n") if line.startswith(b"content-length")]
    return bool(end and lengths and len(rest) >= lengths[0])


def chunks() -> Iterator[bytes]:
    """The start of a body of a gigabyte, and its end if anybody takes so much: one piece again and again."""
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    for _ in range(GIGABYTE // 65536):
        yield piece


@pytest.mark.parametrize("path", ["/api/v1/search", "/v1/chat/completions", "/api/v1/documents"])
def test_t31_a_gigabyte_is_refused_whether_declared_or_streamed(live: Server, path: str) -> None:
    post = f"POST {path} HTTP/1.1\r\nContent-Type: application/json"
    with unharmed(live):
        status, body, _ = raw(live, f"{post}\r\nContent-Length: {GIGABYTE}")
        assert status == 413 and body["error"]["code"] == "too_large"
    with unharmed(live):
        status, body, sent = raw(live, f"{post}\r\nTransfer-Encoding: chunked", chunks())
        assert status == 413 and body["error"]["code"] == "too_large"
        assert sent < 64 * 1024**2, "the server hung up long before the end"


@pytest.mark.parametrize(("key", "status"), [("", 401), ("application", 403)])
@pytest.mark.parametrize("way", ["declared", "chunked"])
def test_t31_a_body_that_nobody_may_send_is_not_read(live: Server, key: str, status: int, way: str) -> None:
    length = f"Content-Length: {GIGABYTE}" if way == "declared" else "Transfer-Encoding: chunked"
    with unharmed(live):
        got, body, sent = raw(live, f"POST /api/v1/documents HTTP/1.1\r\nContent-Type: application/json\r\n{length}", chunks(), key)
    assert got == status and body["error"]["code"] in ("not_authenticated", "not_permitted")
    assert sent < 64 * 1024**2


def test_t31_a_client_that_sends_all_before_it_reads_still_gets_the_answer(live: Server) -> None:
    for key, status in (("", 401), ("admin", 413)):
        with live.client(key) as client:
            reply = client.post("/api/v1/search", content=b" " * (3 * 1024**2), headers={"Content-Type": "application/json"})
            assert reply.status_code == status and reply.json()["error"]["message"]


MANY = [{"role": "user", "content": ""}] * 2001
TOO_MUCH = {
    "messages": {"model": "rag", "messages": MANY},
    "n of a chain": {"model": "rag", "messages": QUESTION, "n": 10**6},
    "n of a route": {"model": "route-ok", "messages": QUESTION, "n": 10**6},
    "n as a huge float": {"model": "route-ok", "messages": QUESTION, "n": 1e300},
    "max_tokens": {"model": "route-ok", "messages": QUESTION, "max_tokens": 10**12},
    "max_completion_tokens": {"model": "route-ok", "messages": QUESTION, "max_completion_tokens": 10**12},
    "stop": {"model": "route-ok", "messages": QUESTION, "stop": ["x"] * 10_000},
    "a long stop": {"model": "route-ok", "messages": QUESTION, "stop": "x" * 10_000},
    "k": {"model": "rag", "messages": QUESTION, "llmops": {"k": 10**9}},
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_t31_more_than_anybody_needs_is_refused(live: Server, name: str) -> None:
    with unharmed(live), live.client() as client:
        reply = client.post("/v1/chat/completions", json=TOO_MUCH[name])
        assert reply.status_code == 422 and reply.json()["error"]["code"] == "invalid_input", reply.text


def test_what_openais_clients_send_still_passes(live: Server) -> None:
    with live.client() as client:
        body = {"model": "route-ok", "messages": QUESTION, "n": 1, "max_tokens": 4096, "stop": ["\n", "###"], "temperature": 0}
        assert client.post("/v1/chat/completions", json=body).status_code == 200
        assert client.post("/v1/chat/completions", json={**body, "n": None, "stop": None, "max_tokens": None}).status_code == 200


def test_t31_a_hundred_thousand_messages_or_texts_are_refused(live: Server) -> None:
    with unharmed(live), live.client() as client:
        messages = b'{"model":"rag","messages":[' + b"{}," * 10**5 + b"{}]}"
        texts = b'{"model":"minilm","input":[' + b'"",' * 10**5 + b'""]}'
        documents = b'{"collection":"docs","documents":[' + b"{}," * 10**5 + b"{}]}"
        for path, body in (("/v1/chat/completions", messages), ("/v1/embeddings", texts), ("/api/v1/documents", documents)):
            reply = client.post(path, content=body, headers={"Content-Type": "application/json"})
            assert reply.status_code == 422 and len(reply.content) < 2000, reply.text[:300]
        whole = json.dumps({"model": "rag", "messages": [{"role": "user", "content": "hello"}] * 10**5})
        assert client.post("/v1/chat/completions", content=whole, headers={"Content-Type": "application/json"}).status_code == 413


@pytest.mark.parametrize("depth", [10_000, 100_000])
@pytest.mark.parametrize("open_", ["[", '{"a":'])
def test_t31_json_that_is_nested_deeply_is_refused(live: Server, depth: int, open_: str) -> None:
    close = "]" if open_ == "[" else "}"
    deep = open_ * depth + "1" + close * depth
    places = [
        ("/v1/chat/completions", '{"model": "rag", "messages": %s}'),
        ("/v1/chat/completions", '{"model": "rag", "messages": [{"role": "user", "content": "x", "more": %s}]}'),
        ("/v1/chat/completions", '{"model": "route-ok", "messages": [{"role": "user", "content": "x"}], "more": %s}'),
        ("/v1/embeddings", '{"model": "minilm", "input": %s}'),
        ("/api/v1/search", '{"collection": "docs", "query": "x", "filter": %s}'),
        ("/api/v1/documents", '{"collection": "docs", "documents": [{"external_id": "a", "text": "b", "metadata": {"a": %s}}]}'),
        ("/api/v1/feedback", '{"answer_id": "ans_x", "rating": %s}'),
    ]
    with unharmed(live), live.client() as client:
        for path, body in places:
            reply = client.post(path, content=body % deep, headers={"Content-Type": "application/json"})
            assert reply.status_code in (413, 422) and reply.json()["error"]["message"], (path, reply.text[:300])


# --- Forms --------------------------------------------------------------------------------------------------------------


def _part(name: str, content: str, headers: str = "") -> str:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n{headers}\r\n{content}\r\n'


FORMS = {
    "fields": lambda: "".join(_part(f"f{number}", "") for number in range(20_000)),
    "files": lambda: _part("collection", "docs") + _part('file"; filename="a.txt', "x") * 20_000,
    "headers of a part": lambda: _part("collection", "docs", "".join(f"X-{number}: y\r\n" for number in range(50_000))),
    "a header of a part": lambda: _part("collection", "docs", f"X-Long: {'y' * 1_000_000}\r\n"),
    "a field": lambda: _part("collection", "x" * 1_900_000),
    "nothing but line ends": lambda: "\r\n" * 900_000,
    "nothing but dashes": lambda: "-" * 1_900_000,
    "half ends of parts": lambda: _part("collection", "\r\n-" * 600_000),
    "no end": lambda: '--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' + "x" * 1_000_000,
    "a long name of a file": lambda: _part(f'file"; filename="{"x" * 1_000_000}.txt', "x"),
    "metadata that is nested deeply": lambda: _part("collection", "docs") + _part("metadata", "[" * 100_000) + _part('file"; filename="a.txt', "x"),
}


@pytest.mark.parametrize("name", FORMS)
def test_t31_floods_of_parts_and_headers_are_refused(live: Server, name: str) -> None:
    body = FORMS[name]().encode() + b"--b--\r\n"
    with unharmed(live), live.client() as client:
        reply = client.post("/api/v1/documents", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
        assert reply.status_code in (400, 413, 422) and reply.json()["error"]["message"], reply.text[:300]
        assert len(reply.content) < 5000


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "x" * 100_000, "; boundary=\x7f", "; boundary*=utf-8''%00"])
def test_t31_a_boundary_that_is_none_is_refused(live: Server, boundary: str) -> None:
    with unharmed(live), live.client() as client:
        kind = f"multipart/form-data{boundary}".encode("latin-1")
        reply = client.post("/api/v1/documents", content=b"--b--\r\n", headers={b"Content-Type": kind})
        assert reply.status_code in (400, 422) and reply.json()["error"]["message"], reply.text[:300]


@pytest.mark.parametrize("ranges", ["bytes=0-", "bytes=" + ",".join("0-" for _ in range(20_000)), "bytes=9" + "9" * 5000 + "-", "x"])
def test_t31_ranges_are_asked_for_in_vain(live: Server, ranges: str) -> None:
    with unharmed(live), live.client() as client:
        for path in ("/v1/models", "/openapi.json", "/metrics", "/healthz"):
            assert client.get(path, headers={"Range": ranges}).status_code == 200


def test_t31_the_parser_of_forms_is_new_enough() -> None:
    """Below 0.0.27 a form's part could have headers without end, below 0.0.26 a preamble without end cost time."""
    assert Version(version("python-multipart")) >= Version("0.0.27")
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    [ours] = [one for one in map(Requirement, requirements) if one.name == "python-multipart"]
    assert not ours.specifier.contains("0.0.26") and ours.specifier.contains(version("python-multipart"))


# --- What no application sees -------------------------------------------------------------------------------------------


def _long_headers() -> Iterator[bytes]:
    for number in range(8):
        yield b"X-Long-%d: " % number + b"x" * 500_000 + b"\r\n"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("GET /v1/models HTTP/1.1", _long_headers),
        ("NONSENSE", None),
        ("GET /v1/models HTTP/9.9", None),
        ("GET /v1/models HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2", None),
        ("POST /v1/models HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", None),
        ("GET /v1/models HTTP/1.1\r\nHost: elsewhere", None),
    ],
    ids=["headers without end", "no request", "an unknown version", "two lengths", "a length and chunks", "two hosts"],
)
def test_t31_what_is_no_request_is_refused_in_the_shape_of_all_errors(live: Server, head: str, body: Callable[[], Iterator[bytes]] | None) -> None:
    with unharmed(live):
        if body is None:
            status, said, _ = raw(live, head)
        else:
            status, said = _flooded(live, head, body)
    assert status == 400
    error = said["error"]
    assert error["message"] and error["hint"] and error["type"] == "invalid_request_error" and error["request_id"].startswith("req_")


def _flooded(server: Server, head: str, more: Callable[[], Iterator[bytes]]) -> tuple[int, dict[str, dict[str, str]]]:
    """The answer to headers that do not end."""
    where = httpx.URL(server.url)
    with socket.create_connection((where.host, where.port), timeout=SOON) as wire:
        wire.sendall(f"{head}\r\nHost: localhost\r\n".encode())
        answer = b""
        try:
            for piece in more():
                wire.sendall(piece)
        except OSError:
            pass
        while not _whole(answer) and (piece := wire.recv(65536)):
            answer += piece
    top, _, rest = answer.partition(b"\r\n\r\n")
    return int(top.split()[1]), json.loads(rest)


def test_a_405_names_every_method_of_the_path(live: Server) -> None:
    with live.client() as client:
        for path, methods in (("/api/v1/documents", "GET, POST"), ("/api/v1/documents/doc_x", "DELETE, GET"), ("/healthz", "GET, HEAD")):
            reply = client.put(path)
            assert reply.status_code == 405 and reply.headers["allow"] == methods and "Allow" in reply.json()["error"]["hint"]
