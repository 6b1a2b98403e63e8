"""Uploads as networks and other people's machines deliver them."""

from __future__ import annotations

import socket

import httpx
import pytest

from tests.server.conftest import Server, finished, wait_until

BOUNDARY = b"cut"
TEXT = b"# Harbour\n\nThe harbour of Zanzibar has nine piers.\n"


def form(filename: bytes, content: bytes) -> bytes:
    parts = [b'name="collection"\r\n\r\nuploads', b'name="file"; filename="%s"\r\n\r\n%s' % (filename, content)]
    return b"".join(b"--%s\r\nContent-Disposition: form-data; %s\r\n" % (BOUNDARY, part) for part in parts) + b"--%s--\r\n" % BOUNDARY


def names(live: Server) -> set[str]:
    with live.client() as client:
        return {row["external_id"] for row in client.get("/api/v1/documents", params={"collection": "uploads"}).json()["data"]}


@pytest.mark.parametrize("sent", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("way", ["a length", "chunks"])
def test_t34_an_upload_that_is_cut_in_the_middle_leaves_nothing(live: Server, sent: float, way: str) -> None:
    with live.client() as client:
        client.post("/api/v1/collections", json={"name": "uploads"})
    before = names(live)
    with live.client() as client:
        jobs = client.get("/api/v1/jobs").json()["data"]
    body = form(b"cut.md", TEXT * 20_000)
    where = httpx.URL(live.url)
    head = f"POST /api/v1/documents HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {live.keys['admin']}\r\n"
    head += f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}\r\n"
    part = body[: int(len(body) * sent)]
    with socket.create_connection((where.host, where.port), timeout=20) as wire:
        if way == "a length":
            wire.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + part)
        else:
            wire.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n{len(part):x}\r\n".encode() + part + b"\r\n")
    with live.client() as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/api/v1/jobs").json()["data"] == jobs
    assert names(live) == before


def test_a_file_name_in_shift_jis_is_taken_and_its_text_found(live: Server) -> None:
    with live.client() as client:
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
        accepted = client.post("/api/v1/documents", content=form("港の本.md".encode("cp932"), TEXT), headers=headers)
        assert finished(client, accepted)["result"]["ready"] == 1
        hits = client.post("/api/v1/search", json={"collection": "uploads", "query": "piers of Zanzibar"}).json()["hits"]
        assert "nine piers" in hits[0]["text"] and hits[0]["external_id"].endswith(".md")


def test_two_documents_of_one_name_in_one_request_are_refused(live: Server) -> None:
    before = names(live)
    with live.client() as client:
        files = [("file", ("x.md", text, "text/markdown")) for text in (b"The first.", b"The second.")]
        by_form = client.post("/api/v1/documents", data={"collection": "uploads"}, files=files)
        documents = [{"external_id": "x", "text": text} for text in ("The first.", "The second.")]
        by_json = client.post("/api/v1/documents", json={"collection": "uploads", "documents": documents})
    for refused in (by_form, by_json):
        error = refused.json()["error"]
        assert (refused.status_code, error["param"]) == (422, "external_id") and "handed in twice" in error["message"] and error["hint"]
    assert names(live) == before


@pytest.mark.parametrize("name", [b"../../etc/passwd.md", b"C:\\\\windows\\\\system.md", b".md", b"a/../b.md", b"%2e%2e%2fx.md"])
def test_t40_a_file_name_of_an_upload_is_never_a_path(live: Server, name: bytes) -> None:
    with live.client() as client:
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
        reply = client.post("/api/v1/documents", content=form(name, TEXT), headers=headers)
        if reply.status_code == 202:
            assert finished(client, reply)["state"] == "done"
        else:
            assert reply.status_code == 422 and reply.json()["error"]["hint"]
    assert not any("/" in one and not one.startswith("%") for one in names(live))


def test_t33_what_parses_is_in_no_process_that_serves(live: Server) -> None:
    """A file that takes its parser half a minute holds up neither the requests meanwhile nor the cancelling of its job."""
    slow = b"[a][b" * 400_000
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
    with live.client() as client:
        accepted = client.post("/api/v1/documents", content=form(b"slow.md", slow[: 2**21 - 2**12]), headers=headers).raise_for_status().json()
        parser = wait_until(lambda: [child for child in live.children() if "vectorstore.load.child" in child.cmdline()])
        for _ in range(20):
            client.post("/api/v1/search", json={"collection": "docs", "query": "How do I stop the server?"}).raise_for_status()
        served = [mapped.path for process in (*live.children("http"), *live.children("worker")) for mapped in process.memory_maps()]
        assert not [path for path in served if "pdfium" in path or "lxml" in path]
        assert client.get(f"/api/v1/jobs/{accepted['id']}").json()["state"] == "running"
        client.post(f"/api/v1/jobs/{accepted['id']}/cancel").raise_for_status()
        wait_until(lambda: not [child for child in parser if child.is_running()])
