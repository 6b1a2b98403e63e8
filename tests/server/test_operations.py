"""The operations API: documents, jobs, search, collections, answers, feedback, health and metrics, on a live server."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tests.server.conftest import GUIDE, Server, events, finished, wait_until
from vectorstore.ingest import ANOTHERS
from vectorstore.tables import acls, documents

QUESTION = [{"role": "user", "content": "How do I stop the server?"}]


@pytest.fixture
def admin(live: Server) -> Iterator[httpx.Client]:
    with live.client() as client:
        yield client


def found(client: httpx.Client, query: str, **where: object) -> list[dict]:
    reply = client.post("/api/v1/search", json={"collection": "docs", "query": query, **where})
    assert reply.status_code == 200, reply.text
    return reply.json()["hits"]


def test_a_document_from_file_to_answer_and_away(admin: httpx.Client) -> None:
    text = "# Zebras\n\nA zebra has black and white stripes. Its young stand up within six minutes.\n"
    files = {"file": ("../../etc/zebra.md", text.encode())}
    accepted = admin.post("/api/v1/documents", data={"collection": "animals", "metadata": '{"kind": "mammal"}'}, files=files)
    assert accepted.headers["location"] == f"/api/v1/jobs/{accepted.json()['id']}"
    job = finished(admin, accepted)
    assert (job["state"], job["result"]["ready"], job["error"]) == ("done", 1, None)
    [hit] = found(admin, "zebra stripes", collection="animals", filter={"kind": "mammal"})
    assert hit["external_id"] == "zebra.md" and hit["source"] == "api" and hit["title"] == "Zebras" and "stripes" in hit["text"]
    assert found(admin, "zebra stripes", collection="animals", filter={"kind": "bird"}) == []
    document = admin.get(f"/api/v1/documents/{hit['document_id']}").json()
    assert document["state"] == "ready" and document["metadata"]["kind"] == "mammal" and document["chunks"]
    whole = admin.get(f"/api/v1/documents/{hit['document_id']}/text", params={"version": 1}).json()["text"]
    assert whole[hit["start"] : hit["end"]] == hit["text"]
    gone = admin.delete(f"/api/v1/documents/{hit['document_id']}").json()
    assert gone["withdrawn"] and found(admin, "zebra stripes", collection="animals") == []
    assert len(found(admin, "zebra stripes", collection="animals", at=gone["snapshot"]["seq"] - 1)) == 1
    assert admin.delete(f"/api/v1/documents/{hit['document_id']}").status_code == 404


def test_documents_as_json_in_pages(admin: httpx.Client) -> None:
    documents = [{"external_id": f"n{n}", "title": f"Number {n}", "text": f"The number {n} follows {n - 1}."} for n in range(5)]
    assert (
        finished(admin, admin.post("/api/v1/documents", json={"collection": "numbers", "source": "count", "documents": documents}))["result"]["ready"]
        == 5
    )
    seen, after = [], "0"
    while after is not None:
        page = admin.get("/api/v1/documents", params={"collection": "numbers", "limit": 2, "after": after}).json()
        seen += [row["external_id"] for row in page["data"]]
        after = page["next"]
    assert seen == ["n0", "n1", "n2", "n3", "n4"]
    again = finished(admin, admin.post("/api/v1/documents", json={"collection": "numbers", "source": "count", "documents": documents}))["result"]
    assert (again["ready"], again["unchanged"]) == (0, 5)
    jobs = admin.get("/api/v1/jobs", params={"limit": 1}).json()
    assert jobs["data"][0]["kind"] == "ingest" and jobs["next"] == jobs["data"][0]["id"]
    assert admin.get("/api/v1/jobs", params={"limit": 1, "after": jobs["next"]}).json()["data"][0]["id"] != jobs["next"]
    assert "numbers" in [row["name"] for row in admin.get("/api/v1/collections").json()["data"]]
    assert admin.get("/api/v1/collections/numbers").json()["documents"] == {"ready": 5, "failed": 0}


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"documents": [{"external_id": "a", "text": "b"}]}, 422, "collection"),
        ({"collection": "a b", "documents": [{"external_id": "a", "text": "b"}]}, 422, "collection"),
        ({"collection": "docs", "documents": []}, 422, "documents"),
        ({"collection": "docs", "documents": [{"external_id": "a"}]}, 422, "documents.0"),
        ({"collection": "docs", "documents": [{"external_id": "a", "text": "b", "url": "http://x"}]}, 422, "documents.0"),
        ({"collection": "docs", "documents": [{"external_id": "", "text": "b"}]}, 422, "documents.0.external_id"),
        ({"collection": "docs", "documents": [{"external_id": "a", "text": "b", "acl": ["alice"]}]}, 422, "documents.0.acl.0"),
        ({"collection": "docs", "documents": [{"external_id": "a", "text": "b", "metadata": {"x": {"y": 1}}}]}, 422, "metadata"),
        ({"collection": "docs", "documents": [{"external_id": "a", "url": "http://127.0.0.1:1/x"}]}, 422, "url"),
        ({"collection": "docs", "documents": [{"external_id": "a", "url": "file:///etc/passwd"}]}, 422, "url"),
        ({"collection": "docs", "documents": [{"external_id": "a", "url": "http://169.254.169.254/latest"}]}, 422, "url"),
    ],
)
def test_documents_that_cannot_be_taken(admin: httpx.Client, body: dict, status: int, param: str) -> None:
    reply = admin.post("/api/v1/documents", json=body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (status, param), reply.text


def test_forms_that_cannot_be_taken(admin: httpx.Client) -> None:
    def send(name: str = "a.md", **fields: str) -> tuple[int, str]:
        reply = admin.post("/api/v1/documents", data={"collection": "docs", **fields}, files={"file": (name, b"text")})
        return reply.status_code, reply.json()["error"]["param"]

    assert send(name="a.exe") == (422, "file")
    assert send(metadata="{broken") == (422, "metadata")
    assert send(metadata="[1]") == (422, "metadata")
    assert send(acl="alice") == (422, "acl.0")
    assert send(owner="me") == (422, "owner")
    assert send(collection="no way") == (422, "collection")
    assert admin.post("/api/v1/documents", data={"collection": "docs"}, files={"other": ("a.md", b"x")}).status_code == 422
    assert admin.post("/api/v1/documents", content=b"x", headers={"Content-Type": "multipart/form-data"}).status_code == 400
    assert admin.post("/api/v1/documents", data={"collection": "docs"}, files={"file": ("a.md", b"x" * 3_000_000)}).status_code == 413


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"collection": "dosc"}, 404),
        ({"query": " "}, 422),
        ({"query": "why " * 10_000}, 422),
        ({"k": 0}, 422),
        ({"k": 10**6}, 422),
        ({"at": -1}, 422),
        ({"at": 10**30}, 422),
        ({"at": 10**6}, 422),
        ({"filter": {"$nonsense": 1}}, 422),
        ({"filter": [1]}, 422),
    ],
)
def test_searches_that_cannot_be(admin: httpx.Client, body: dict, status: int) -> None:
    reply = admin.post("/api/v1/search", json={"collection": "docs", "query": "server", **body})
    assert reply.status_code == status and reply.json()["error"]["message"], reply.text


def test_a_filter_on_a_missing_field_finds_nothing(admin: httpx.Client) -> None:
    assert found(admin, "server", filter={"no_such_field": {"$gte": 3}}) == []


def test_t10_only_what_the_key_may_read(live: Server) -> None:
    query = "What is the salary of the director?"
    for role, may in (("alice", True), ("admin", False), ("application", False)):
        with live.client(role) as client:
            assert ("pay.md" in [hit["external_id"] for hit in found(client, query)]) == may
            reply = client.post("/v1/chat/completions", json={"model": "rag", "messages": [{"role": "user", "content": query}]}).json()
            assert ("100 gold coins" in json.dumps(reply)) == may
    with live.client("alice") as client:
        [document] = [row for row in client.get("/api/v1/documents", params={"collection": "docs"}).json()["data"] if row["external_id"] == "pay.md"]
        path = f"/api/v1/documents/{document['document_id']}"
        assert client.get(path).status_code == 200
        answer_id = client.post("/v1/chat/completions", json={"model": "rag", "messages": [{"role": "user", "content": query}]}).json()["llmops"][
            "answer_id"
        ]
        assert client.get(f"/api/v1/answers/{answer_id}").status_code == 200
    for role in ("admin", "other"):
        with live.client(role) as client:
            for hidden in (path, f"{path}/text", f"/api/v1/answers/{answer_id}"):
                assert client.get(hidden).status_code == 404
            assert client.delete(path).status_code == 404
            assert client.post("/api/v1/feedback", json={"answer_id": answer_id, "rating": "up"}).status_code == 404


QUESTIONS = [
    "How do I stop the server?",
    "What does `llmops keys create` make and show once?",
    "What does every request need, and for how long does the server drain?",
    "サーバーを停止するにはどうすればよいですか?",
    "What is the salary of the director?",
]


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["rag", "rag-citing"])
def test_t44_every_citation_names_what_was_retrieved_and_may_be_read(live: Server, model: str, stream: bool, question: str) -> None:
    """Of the sentences of documents, and of a language model that cites what there is and what there is not."""
    with live.client("alice") as client:
        answer, told = answered(client, {"model": model, "stream": stream, "messages": [{"role": "user", "content": question}]})
        row = client.get(f"/api/v1/answers/{told['answer_id']}").json()
        assert row["reply"] == answer and row["citations"] == told["citations"] != [], row
        retrieved = {passage["chunk_id"]: passage for passage in row["passages"]}
        numbers = [passage["chunk_id"] for passage in row["passages"]]
        for citation in told["citations"]:
            passage, document = retrieved[citation["chunk_id"]], f"/api/v1/documents/{citation['document_id']}"
            assert numbers[citation["marker"] - 1] == citation["chunk_id"] and passage["document_id"] == citation["document_id"]
            assert passage["start"] <= citation["start"] < citation["end"] <= passage["end"]
            text = client.get(f"{document}/text", params={"version": citation["version"]}).json()["text"]
            assert text[citation["start"] : citation["end"]] == citation["text"]
            assert citation["chunk_id"] in [chunk["chunk_id"] for chunk in client.get(document).json()["chunks"]]
            assert 0 <= citation["answer_start"] < citation["answer_end"] <= len(answer)
            said, after = answer[citation["answer_start"] : citation["answer_end"]], answer[citation["answer_end"] :]
            assert f"[{citation['marker']}]" in re.match(r" ?(\[\d+\])*", after)[0], "the marker stands behind what it speaks of"
            assert model == "rag-citing" or said == citation["text"], "a document's sentence is quoted as it is"
    # No marker of an answer is without its citation, whatever the model wrote.
    assert {int(number) for number in re.findall(r"\[(\d+)\]", answer)} == {citation["marker"] for citation in told["citations"]}


def answered(client: httpx.Client, body: dict) -> tuple[str, dict]:
    """The answer's text, and what `llmops` tells of it."""
    reply = client.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    if not body["stream"]:
        return reply.json()["choices"][0]["message"]["content"], reply.json()["llmops"]
    *chunks, done = events(iter(reply.text.splitlines()))
    assert done == "[DONE]"
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks), chunks[-1]["llmops"]


def test_t44_who_may_not_read_a_document_gets_no_citation_of_it(live: Server) -> None:
    for model in ("rag", "rag-citing"):
        for role, may in (("alice", True), ("eve", False)):
            with live.client(role) as client:
                question = {"role": "user", "content": "What is the salary of the director, and how do I stop the server?"}
                _, told = answered(client, {"model": model, "stream": False, "messages": [question]})
                listed = client.get("/api/v1/documents", params={"collection": "docs"}).json()["data"]
                readable = {row["document_id"] for row in listed}
                assert ("pay.md" in [row["external_id"] for row in listed]) == may
                assert {citation["document_id"] for citation in told["citations"]} <= readable


# --- T10: what a key may not read it may not change -------------------------------------------------------------------


def test_t10_a_key_that_may_write_cannot_take_over_what_it_may_not_read(live: Server) -> None:
    def facts() -> tuple[Any, ...]:
        """All that a replacement would change, as the store has it and as one sees it who may read it."""
        with live.store() as store:
            row = store.read(lambda c: c.execute(select(documents, acls.c.principals).join(acls).where(documents.c.external_id == "pay.md")).one())
        with live.client("alice") as client:
            path = f"/api/v1/documents/{row.id}"
            return row, client.get(path).json(), client.get(f"{path}/text").json()

    before = facts()
    assert before[0].principals == ["group:hr"] and before[0].state == "ready" and "100 gold coins" in before[2]["text"]
    same = before[2]["text"]
    tries = [
        {"text": "# Pay\n\nThe director works for nothing."},
        {"text": "# Pay\n\nThe director works for nothing.", "acl": ["user:eve"]},
        {"text": same, "acl": ["user:eve"]},  # only the rights would change
        {"text": same, "acl": ["workspace:poc"], "title": "Mine", "metadata": {"owner": "eve"}},
        {"text": ""},  # a document that fails would say so in the row
    ]
    with live.client("eve") as client:
        for wanted in tries:
            new = [{"external_id": "pay.md", **wanted}, {"external_id": "eve.md", "text": f"# Eve\n\nEve was here: {wanted}."}]
            job = finished(client, client.post("/api/v1/documents", json={"collection": "docs", "documents": new}))
            assert (job["state"], job["result"]["ready"], job["result"]["withdrawn"]) == ("done", 1, 0), "her own document is taken"
            assert job["result"]["failed"] == [{"external_id": "pay.md", "error": ANOTHERS}]
            assert facts() == before, wanted
        form = {"collection": "docs", "acl": "user:eve"}
        job = finished(client, client.post("/api/v1/documents", data=form, files={"file": ("pay.md", b"# Pay\n\nNothing.")}))
        assert job["result"]["failed"] == [{"external_id": "pay.md", "error": ANOTHERS}]
        assert client.delete(f"/api/v1/documents/{before[0].id}").status_code == 404
        assert facts() == before
        assert "pay.md" not in [hit["external_id"] for hit in found(client, "What is the salary of the director?")]
        assert "pay.md" not in [row["external_id"] for row in client.get("/api/v1/documents", params={"collection": "docs"}).json()["data"]]
        [mine] = [row for row in client.get("/api/v1/documents", params={"collection": "docs"}).json()["data"] if row["external_id"] == "eve.md"]
        assert mine["version"] == len(tries) and client.delete(f"/api/v1/documents/{mine['document_id']}").status_code == 200


def test_t10_rows_of_a_file_take_over_nothing_either(live: Server) -> None:
    """A row's name is made of its file's: a file of the same name must not reach what somebody else called so."""

    def listed(client: httpx.Client) -> list[dict]:
        return client.get("/api/v1/documents", params={"collection": "rows"}).json()["data"]

    with live.client("alice") as client, live.client("eve") as other:
        secret = {"external_id": "rows.jsonl#2", "text": "The vault opens at noon.", "acl": ["user:alice"]}
        assert finished(client, client.post("/api/v1/documents", json={"collection": "rows", "documents": [secret]}))["result"]["ready"] == 1
        [before] = listed(client)
        for count in (3, 1, 3):  # the second time the row is gone from her file, which must not withdraw it
            content = "".join(json.dumps({"text": f"Line {n} of {count} is Eve's."}) + "\n" for n in range(count)).encode()
            job = finished(other, other.post("/api/v1/documents", data={"collection": "rows"}, files={"file": ("rows.jsonl", content)}))
            assert ANOTHERS in [failed["error"] for failed in job["result"]["failed"]], job
            assert before in listed(client) and before not in listed(other)
        assert [hit["text"] for hit in found(client, "When does the vault open?", collection="rows", k=1)] == ["The vault opens at noon."]


def test_t09_another_workspace_has_nothing_of_ours(live: Server, admin: httpx.Client) -> None:
    """Whatever it names: collections, and the ids of jobs, documents and answers."""
    job_id = admin.get("/api/v1/jobs").json()["data"][0]["id"]
    document = next(row for row in admin.get("/api/v1/documents", params={"collection": "docs"}).json()["data"] if row["external_id"] == "serve.md")
    answer_id = answered(admin, {"model": "rag", "stream": False, "messages": QUESTION})[1]["answer_id"]
    at = f"/api/v1/documents/{document['document_id']}"
    nobody = [
        ("GET", f"/api/v1/jobs/{job_id}", None),
        ("POST", f"/api/v1/jobs/{job_id}/cancel", None),
        ("POST", f"/api/v1/jobs/{job_id}/retry", None),
        ("GET", "/api/v1/collections/docs", None),
        ("GET", "/api/v1/documents?collection=docs", None),
        ("GET", at, None),
        ("GET", f"{at}/text", None),
        ("GET", f"{at}/text?version=1", None),
        ("DELETE", at, None),
        ("GET", f"/api/v1/answers/{answer_id}", None),
        ("POST", "/api/v1/feedback", {"answer_id": answer_id, "rating": "up"}),
        ("POST", "/api/v1/search", {"collection": "docs", "query": "stop the server"}),
        ("POST", "/v1/chat/completions", {"model": "rag", "messages": QUESTION}),
        ("POST", "/v1/chat/completions", {"model": "rag", "messages": QUESTION, "llmops": {"collection": "docs", "at": 1}}),
    ]
    with live.client("other") as client:
        assert client.get("/api/v1/collections").json()["data"] == [] and client.get("/api/v1/jobs").json()["data"] == []
        for method, path, body in nobody:
            reply = client.request(method, path, json=body)
            assert reply.status_code == 404, (method, path, reply.text)
            assert not any(word in reply.text for word in ("serve.md", "Ctrl-C", "did you mean")), reply.text
    assert admin.get(at).json()["state"] == "ready"


def test_an_answer_is_on_record_before_its_last_byte(live: Server, admin: httpx.Client) -> None:
    reply = admin.post("/v1/chat/completions", json={"model": "rag", "messages": QUESTION}).json()
    record = admin.get(f"/api/v1/answers/{reply['llmops']['answer_id']}").json()
    assert record["answer_id"] == reply["llmops"]["answer_id"] and record["reply"] == reply["choices"][0]["message"]["content"]
    assert record["question"] == QUESTION[0]["content"] and record["state"] == "complete" and record["route"] == "default"
    assert {"auth", "embed", "scan", "rows"} <= set(record["timings"]) and record["asker"] == "key:admin"
    assert live.keys["admin"] not in json.dumps(record)


def test_feedback_is_kept_and_can_be_changed(live: Server, admin: httpx.Client) -> None:
    with live.client("application") as client:
        answer_id = client.post("/v1/chat/completions", json={"model": "rag", "messages": QUESTION}).json()["llmops"]["answer_id"]
        said = client.post("/api/v1/feedback", json={"answer_id": answer_id, "rating": "up"})
        changed = client.post("/api/v1/feedback", json={"answer_id": answer_id, "rating": 2, "better": "Ctrl-C.", "comment": "too long"})
        assert said.status_code == changed.status_code == 201 and said.json()["id"] == changed.json()["id"]
        assert changed.json()["rating"] == "2"
        for wrong, status in (
            ({"rating": 6}, 422),
            ({"rating": True}, 422),
            ({"answer_id": "ans_0"}, 404),
            ({"better": "x" * 20_001}, 422),
            ({"rater": "x"}, 422),
        ):
            assert client.post("/api/v1/feedback", json={"answer_id": answer_id, "rating": "up", **wrong}).status_code == status


def test_metrics_name_routes_and_parts_and_nobody(live: Server, admin: httpx.Client) -> None:
    admin.post("/v1/chat/completions", json={"model": "rag", "messages": QUESTION})
    admin.get("/api/v1/jobs/job_nothing")
    text = admin.get("/metrics").text
    assert 'llmops_http_requests_total{method="POST",route="/v1/chat/completions",status="200"}' in text
    assert 'route="/api/v1/jobs/{job_id}",status="404"' in text and "job_nothing" not in text
    assert 'llmops_chain_part_seconds_count{chain="rag",part="embed"}' in text
    assert 'llmops_jobs_waiting{priority="urgent"}' in text and 'llmops_jobs_longest_wait_seconds{priority="bulk"}' in text
    assert "alice" not in text and "key:" not in text


def test_readiness_names_each_part(admin: httpx.Client) -> None:
    report = httpx.get(f"{admin.base_url}/readyz", trust_env=False).json()
    assert report["status"] == "ready" and {"store", "encoder", "worker", "outbox"} <= set(report["parts"])


def test_probes_answer_while_others_work(live: Server, admin: httpx.Client) -> None:
    with ThreadPoolExecutor(4) as pool:
        texts = [f"{GUIDE} {n}" for n in range(64)]
        busy = [pool.submit(admin.post, "/v1/embeddings", json={"model": "minilm", "input": texts}) for _ in range(3)]
        answered = 0
        while not any(job.done() for job in busy):
            assert httpx.get(f"{live.url}/healthz", timeout=30, trust_env=False).status_code == 200
            answered += 1
        assert all(job.result().status_code == 200 for job in busy)
    assert answered > 3 * len(texts) // 16, "more often than the work is handed on in parts: it does not hold up the loop"


def test_t31_headers_have_limits(live: Server) -> None:
    where = httpx.URL(live.url)
    with socket.create_connection((where.host, where.port)) as flood:
        flood.settimeout(10)
        flood.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n")
        with suppress(ConnectionError):
            for number in range(8):
                flood.sendall(b"X-Long-%d: " % number + b"x" * 500_000 + b"\r\n")
        with suppress(ConnectionError):
            assert flood.recv(100).startswith(b"HTTP/1.1 400")
    with live.client("") as client:
        assert client.get("/v1/models", headers={"Authorization": "Bearer " + "x" * 1_000_000}).status_code == 401


def test_t05_a_revoked_key_is_refused_at_once(live: Server) -> None:
    import subprocess

    from tests.server.conftest import LLMOPS, environment, make_key

    live.keys["passing"] = make_key(live.folder, "passing", "admin")
    with live.client("passing") as client:
        assert client.get("/v1/models").status_code == 200
        subprocess.run([LLMOPS, "keys", "revoke", "passing"], cwd=live.folder, env=environment(live.folder), check=True, capture_output=True)
        wait_until(lambda: client.get("/v1/models").status_code == 401, 2)
