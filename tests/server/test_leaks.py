"""T10, T11: what is Bob's alone, through every route and every command: with Alice's key, and with one of another workspace.

The tables name every route and every command. A new one fails here until it says what it is to be asked.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from fastapi import FastAPI

from llmops.access import keys
from llmops.cli import main
from llmops.home import Home
from llmops.jobs.worker import finish
from llmops.types import Asker
from server.app import make_app
from server.door import OPEN_PATHS
from tests.conftest import OWNER
from tests.llmops.test_command_rights import OPEN as OPEN_COMMANDS
from tests.llmops.test_command_rights import every_command
from tests.server.conftest import bearer, routes
from vectorstore import documents
from vectorstore.documents import Handed

QUESTION = "What is the password of the vault?"
CANARIES = ("zanzibar", "quetzal", "okapi", "axolotl", "narwhal", "pangolin")
"""In Bob's text, title, id, metadata, in a document of his that failed, and in what he said of an answer."""
TEXT = "The password of the vault is zanzibar. The vault stands in the cellar behind the red door."
ASK = {"model": "rag", "messages": [{"role": "user", "content": QUESTION}]}
SEARCH = {"collection": "docs", "query": QUESTION}

ROUTES: dict[str, list[Any]] = {
    "POST /v1/chat/completions": [ASK, {**ASK, "stream": True}, {**ASK, "llmops": {"k": 50, "filter": {"$or": []}}}, {**ASK, "llmops": {"at": 1}}],
    "POST /v1/embeddings": [{"model": "minilm", "input": QUESTION}],
    "GET /v1/models": [None],
    "GET /v1/models/{model}": [None],
    "POST /api/v1/search": [
        SEARCH,
        {**SEARCH, "at": 1},
        {**SEARCH, "k": 1000},
        {**SEARCH, "filter": {"animal": {"$ne": "x"}}},
        {**SEARCH, "filter": {}},
    ],
    "POST /api/v1/documents": [{"collection": "docs", "documents": [{"external_id": "okapi.md", "text": "mine now"}]}],
    "GET /api/v1/documents": [{"collection": "docs"}],
    "GET /api/v1/documents/{document_id}": [None],
    "GET /api/v1/documents/{document_id}/text": [None, {"version": 1}],
    "GET /api/v1/documents/{document_id}/acl": [None],
    "PUT /api/v1/documents/{document_id}/acl": [{"acl": ["user:alice"]}, {"acl": None}],
    "GET /api/v1/documents/{document_id}/original": [None],
    "GET /api/v1/chunks/{chunk_id}": [None, {"around": 100000}],
    "DELETE /api/v1/documents/{document_id}": [None],
    "GET /api/v1/jobs": [None],
    "GET /api/v1/jobs/{job_id}": [None],
    "POST /api/v1/jobs/{job_id}/cancel": [{}],
    "POST /api/v1/jobs/{job_id}/retry": [{}],
    "GET /api/v1/collections": [None],
    "GET /api/v1/collections/{name}": [None],
    "GET /api/v1/collections/{name}/quality": [None, {"since": 0}],
    "GET /api/v1/collections/{name}/snapshot": [None, {"at": 1}],
    "GET /api/v1/collections/{name}/diff": [None, {"from": 1}],
    "POST /api/v1/collections": [{"name": "docs"}],
    "GET /api/v1/collections/{name}/acl": [None],
    "PUT /api/v1/collections/{name}/acl": [{"acl": ["user:alice", "workspace:poc"]}],
    "POST /api/v1/collections/{name}/copy": [{"to": "pipeline"}],
    "GET /api/v1/answers/{answer_id}": [None],
    "POST /api/v1/feedback": [{"answer_id": "{answer_id}", "rating": "up"}],
    "GET /api/v1/feedback": [None, {"limit": 1}],
    "GET /api/v1/keys": [None],
    "POST /api/v1/keys": [{"name": "mine", "role": "admin", "user": "bob"}, {"name": "ours", "role": "admin", "act_as": ["user:*"]}],
    "POST /api/v1/keys/{key}/rotate": [{}],
    "DELETE /api/v1/keys/{key}": [None],
    "GET /api/v1/audit": [None],
    "GET /api/v1/audit/verify": [None],
    "GET /metrics": [None],
    "GET /openapi.json": [None],
}
COMMANDS = [
    ["search", QUESTION, "--collection", "docs", "-k", "100"],
    ["ask", QUESTION],
    ["documents", "list", "--collection", "docs"],
    ["documents", "show", "{document_id}"],
    ["documents", "chunk", "{chunk_id}"],
    ["documents", "original", "{document_id}", "-o", "stolen.bin"],
    ["documents", "delete", "{document_id}"],
    ["collections", "list"],
    ["collections", "show", "docs"],
    ["collections", "show", "docs", "--quality"],
    ["collections", "snapshot", "docs", "--at", "1"],
    ["collections", "diff", "docs", "0", "--text"],
    ["collections", "create", "docs"],
    ["collections", "copy", "docs", "--to", "pipeline"],
    ["access", "show", "--document", "{document_id}"],
    ["access", "show", "--collection", "docs"],
    ["access", "set", "--document", "{document_id}", "--acl", "user:alice"],
    ["access", "set", "--collection", "docs", "--source", "api", "--acl", "user:alice"],
    ["jobs", "list"],
    ["jobs", "show", "{job_id}"],
    ["jobs", "wait", "{job_id}"],
    ["jobs", "retry", "{job_id}"],
    ["jobs", "cancel", "{job_id}"],
    ["feedback", "list"],
    ["feedback", "export"],
    ["feedback", "export", "--format", "csv"],
    ["keys", "list"],
    ["keys", "create", "mine", "--role", "admin", "--user", "bob"],
    ["keys", "rotate", "spare"],
    ["keys", "revoke", "none"],
    ["audit", "list"],
    ["audit", "export"],
    ["audit", "verify"],
    ["retention", "run"],
    ["backup", "stolen.zip"],
    ["restore", "stolen.zip"],
    ["doctor"],
    ["ingest", "okapi.md", "--collection", "docs", "--source", "api"],
]
SHOWS_BOB = {"POST /v1/chat/completions", "POST /api/v1/search", "GET /api/v1/documents", "GET /api/v1/documents/{document_id}"}
SHOWS_BOB |= {"GET /api/v1/documents/{document_id}/text", "GET /api/v1/answers/{answer_id}", "GET /api/v1/feedback", "GET /api/v1/jobs/{job_id}"}
SHOWS_BOB |= {"GET /api/v1/documents/{document_id}/original", "GET /api/v1/chunks/{chunk_id}"}


@dataclass
class Scene:
    """A home in which Bob has a document, a failed one, an answer, feedback on it and a job."""

    home: Home
    app: FastAPI
    tokens: dict[str, str]
    ids: dict[str, str] = field(default_factory=dict)

    def call(self, who: str, method: str, path: str, what: Any, **headers: str) -> httpx.Response:
        filled = json.loads(self.named(json.dumps(what)))
        how = {"params": filled} if method == "GET" else {"json": filled} if filled is not None else {}
        return asyncio.run(self._call(method, self.named(path), headers={**bearer(self.tokens[who]), **headers}, **how))

    async def _call(self, method: str, path: str, **how: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            return await client.request(method, path, **how)

    def named(self, text: str) -> str:
        return re.sub(r"\{(\w+_id|name|key|model)\}", lambda part: self.ids[part[1]], text)


@pytest.fixture
def scene(store_home: Home) -> Scene:
    home = store_home
    bobs = home.store.write(lambda c: keys.create(c, OWNER, keys.Wanted("bob", "admin", "bob")))
    alices = home.store.write(lambda c: keys.create(c, OWNER, keys.Wanted("alice", "admin", "alice", ("staff",))))
    strangers = home.store.write(lambda c: keys.create(c, Asker("dev", owner=True), keys.Wanted("stranger", "admin", "bob")))
    shop = home.store.write(lambda c: keys.create(c, OWNER, keys.Wanted("shop", "admin", act_as=("user:*",))))
    home.store.write(lambda c: keys.create(c, OWNER, keys.Wanted("spare", "admin", "bob")))
    tokens = {"bob": bobs.key, "alice": alices.key, "stranger": strangers.key, "shop": shop.key}
    made = Scene(home, make_app(home), tokens, {"name": "docs", "key": "spare", "model": "rag"})
    asyncio.run(made.app.state.rooms.load())
    bob = home.store.read(lambda c: keys.authenticate(c, bobs.key)).asker()
    secret = Handed("okapi.md", "okapi.md", f"# The quetzal\n\n{TEXT}\n".encode(), metadata={"animal": "axolotl"}, acl=["user:bob"])
    failed = Handed("narwhal.md", "narwhal.md", b"", acl=["user:bob"])
    public = Handed("public.md", "public.md", b"# Opening hours\n\nThe bank opens at nine. Its vault is closed on Sundays.\n")
    made.ids["job_id"] = documents.accept(home, bob, "docs", [secret, failed, public])
    assert finish(home, "poc", made.ids["job_id"]).result["ready"] == 2
    answer = made.call("bob", "POST", "/v1/chat/completions", ASK).json()
    assert "zanzibar" in answer["choices"][0]["message"]["content"], answer
    made.ids |= {"answer_id": answer["llmops"]["answer_id"], "document_id": answer["llmops"]["citations"][0]["document_id"]}
    made.ids["chunk_id"] = f"chk_{made.ids['document_id'].removeprefix('doc_')}_1_0"
    said = {"answer_id": made.ids["answer_id"], "rating": "up", "better": "It is zanzibar.", "comment": "pangolin"}
    assert made.call("bob", "POST", "/api/v1/feedback", said).status_code == 201
    return made


def leaked(text: str) -> list[str]:
    return [canary for canary in CANARIES if canary in text.lower()]


def without_own_names(text: str) -> str:
    """A refusal repeats the name that the caller gave itself."""
    return text.replace("okapi.md", "") if "a document of that name is there" in text else text


def test_t10_the_tables_name_every_route_and_every_command() -> None:
    assert ROUTES.keys() == {f"{method} {route.path}" for route in routes() for method in route.methods if route.path not in OPEN_PATHS}
    named = {" ".join(arguments[:n]) for arguments in COMMANDS for n in (1, 2)} & every_command().keys()
    assert named | OPEN_COMMANDS == every_command().keys()


def test_t10_no_route_shows_what_is_anothers(scene: Scene) -> None:
    for name in SHOWS_BOB:  # else the test below could not fail
        method, path = name.split(" ")
        assert leaked(scene.call("bob", method, path, ROUTES[name][0]).text), name
        assert leaked(scene.call("shop", method, path, ROUTES[name][0], **{"Llmops-As": "user:bob"}).text) or path.startswith("/api/v1/jobs"), name
    for who, headers in (("alice", {}), ("shop", {"Llmops-As": "user:alice"}), ("shop", {}), ("stranger", {})):
        for name, bodies in ROUTES.items():
            method, path = name.split(" ")
            for body in bodies:
                reply = scene.call(who, method, path, body, **headers)
                told = without_own_names(reply.text)
                assert not leaked(told + str(reply.headers)), (who, name, body, reply.text)
                assert reply.status_code < 500, (who, name, reply.text)
                if ("_id}" in path and not path.startswith("/api/v1/jobs")) or name == "POST /api/v1/feedback":
                    assert reply.status_code == 404, (who, name, reply.text)
    assert leaked(scene.call("bob", "GET", "/api/v1/documents/{document_id}/text", None).text), "and nobody changed it"


def test_t09_a_key_of_another_workspace_gets_404_for_every_id(scene: Scene) -> None:
    for name, bodies in ROUTES.items():
        method, path = name.split(" ")
        if "{" in path and "{model}" not in path:
            reply = scene.call("stranger", method, path, bodies[0])
            assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_name"), (name, reply.text)
            unknown = scene.call("stranger", method, re.sub(r"\{\w+\}", "nothing", path), bodies[0])
            words = [re.sub(r"'[^']*'", "''", one.json()["error"]["message"]) for one in (reply, unknown)]
            assert words[0] == words[1], "what is another's reads like what is not there"


def test_t10_no_command_shows_what_is_anothers(scene: Scene, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "okapi.md").write_text("mine now")

    def run(who: str, arguments: list[str]) -> str:
        monkeypatch.setenv("LLMOPS_KEY", scene.tokens[who])
        ran = CliRunner().invoke(main, [scene.named(argument) for argument in [*arguments, "--json"]])
        assert ran.exit_code in (0, 2) and "unexpected" not in ran.stderr, (who, arguments, ran.stderr)
        return ran.output

    for shown in (["search", QUESTION, "--collection", "docs"], ["ask", QUESTION], ["feedback", "export"], ["documents", "show", "{document_id}"]):
        assert leaked(run("bob", shown)), shown
    for who in ("alice", "stranger"):
        for arguments in COMMANDS:
            told = without_own_names(run(who, arguments))
            assert not leaked(told), (who, arguments, told)
    assert leaked(run("bob", ["search", QUESTION, "--collection", "docs"])), "and nobody changed it"


def test_t10_a_job_tells_its_names_to_who_ordered_it_alone(scene: Scene) -> None:
    mine = scene.call("bob", "GET", "/api/v1/jobs/{job_id}", None).json()
    assert mine["result"]["failed"] == [{"external_id": "narwhal.md", "error": "no text"}]
    theirs = scene.call("alice", "GET", "/api/v1/jobs/{job_id}", None).json()
    assert theirs["result"] == {"ready": 2, "unchanged": 0, "skipped": 0, "withdrawn": 0, "failed": 1, "skipped_files": 0, "quality": None}
    assert mine["about"].startswith("docs/") and theirs["about"] is None


def test_t09_counts_are_of_what_may_be_read(scene: Scene) -> None:
    counted = {who: scene.call(who, "GET", "/api/v1/collections/docs", None).json() for who in ("bob", "alice")}
    assert (counted["bob"]["documents"], counted["alice"]["documents"]) == ({"ready": 2, "failed": 1}, {"ready": 1, "failed": 0})
    assert counted["alice"]["chunks"] == 1 < counted["bob"]["chunks"]
    told = {who: scene.call(who, "GET", "/api/v1/collections/docs/quality", None).json() for who in ("bob", "alice")}
    assert [(told[who]["documents"]["ready"], told[who]["empty"]) for who in ("bob", "alice")] == [(2, 1), (1, 0)]
    assert told["alice"]["characters"]["total"] < told["bob"]["characters"]["total"]


def test_t11_an_answer_is_gone_with_the_right_to_what_it_was_made_from(scene: Scene) -> None:
    path = "/api/v1/documents/{document_id}/acl"
    assert scene.call("bob", "PUT", path, {"acl": ["user:alice"]}).json() == {
        "document_id": scene.ids["document_id"],
        "acl": ["user:alice"],
        "inherited": False,
    }
    for name in SHOWS_BOB - {"GET /api/v1/jobs/{job_id}"}:
        method, route = name.split(" ")
        assert set(leaked(scene.call("bob", method, route, ROUTES[name][0]).text)) <= {"narwhal"}, name
        assert leaked(scene.call("alice", method, route, ROUTES[name][0]).text), name
    assert scene.call("bob", "PUT", path, {"acl": ["user:bob"]}).status_code == 404, "it is not Bob's to share any more"


def test_t10_traces_quote_no_document_unless_they_are_told_to(scene: Scene) -> None:
    from chains import rows, traces
    from vectorstore.rows.hits import texts_of

    [answer] = scene.home.store.read(lambda c: rows.answers_by_id(c, [scene.ids["answer_id"]]))
    assert not leaked(json.dumps(traces.trace_of(answer)))
    texts = scene.home.store.read(lambda c: texts_of(c, answer["passages"]))
    told = traces.trace_of(answer, texts)
    assert "zanzibar" in told["reply"] and any("zanzibar" in place.get("text", "") for span in told["spans"] for place in span.get("outputs", []))


def test_t10_what_waits_for_other_stores_quotes_no_document(scene: Scene) -> None:
    from sqlalchemy import select

    from llmops.store.tables import outbox

    found = scene.home.store.read(lambda c: [dict(row) for row in c.execute(select(outbox)).mappings()])
    assert found and not leaked(json.dumps(found, default=str))
