"""T08: no body sets what is not its own, and no reply shows what is nobody's business."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import MetaData, Table, select

from llmops.home import Home
from llmops.store.metadata import metadata
from server.door import OPEN_PATHS
from tests.server.conftest import Client, bearer, routes

FORGED = {
    "workspace": "dev",
    "owner": True,
    "role": "admin",
    "principals": ["user:bob"],
    "spend": -5,
    "cost": 0,
    "asker": "key:boss",
    "created_at": 1,
}
FORGED |= {"id": "forged", "tenant": "dev", "user_id": "bob", "is_admin": True, "secret_hash": "0" * 64, "scopes": None, "row": 1}
BODIES: dict[str, dict[str, Any]] = {
    "POST /api/v1/search": {"collection": "docs", "query": "x"},
    "POST /api/v1/documents": {"collection": "docs", "documents": [{"external_id": "a", "text": "b"}]},
    "PUT /api/v1/documents/{document_id}/acl": {"acl": []},
    "POST /api/v1/collections": {"name": "docs"},
    "PUT /api/v1/collections/{name}/acl": {"acl": []},
    "POST /api/v1/collections/{name}/copy": {"to": "dev"},
    "POST /api/v1/feedback": {"answer_id": "ans_x", "rating": "up"},
    "POST /api/v1/keys": {"name": "new", "role": "application"},
    "POST /api/v1/keys/{key}/rotate": {},
}
PASSES_ON = {"POST /v1/chat/completions", "POST /v1/embeddings"}
"""OpenAI's bodies: what we do not know in them is the model's, or nobody's."""
NO_BODY = {"POST /api/v1/jobs/{job_id}/cancel", "POST /api/v1/jobs/{job_id}/retry"}
NEVER_SHOWN = ("secret_hash", "former_hash", "query_vector", "principals", "previous_hash", "idempotency", "payload", "acl_id", "blob_hash", "lease")


def test_t08_the_table_names_every_route_that_takes_a_body() -> None:
    writes = {f"{method} {route.path}" for route in routes() for method in route.methods if method in ("POST", "PUT")}
    assert writes == BODIES.keys() | PASSES_ON | NO_BODY


def rows(home: Home) -> dict[str, int]:
    tables: MetaData = metadata

    def count(table: Table) -> int:
        return home.store.read(lambda c: len(c.execute(select(table)).all()))

    return {table.name: count(table) for table in tables.sorted_tables if table.name not in ("keys", "audit", "audit_head")}


@pytest.mark.parametrize("name", BODIES)
async def test_t08_a_field_that_is_not_of_the_body_is_refused_and_nothing_is_done(
    home: Home, client: Client, key: Callable[..., str], name: str
) -> None:
    own = {*BODIES[name], "role", "scopes"} if name == "POST /api/v1/keys" else {*BODIES[name]}
    method, path = name.split(" ")
    before, token = rows(home), key()
    for field in FORGED.keys() - own:
        body = {**BODIES[name], field: FORGED[field]}
        reply = await client.request(method, re.sub(r"\{\w+\}", "x", path), headers=bearer(token), json=body)
        assert (reply.status_code, reply.json()["error"]["param"]) == (422, field), reply.text
        assert reply.json()["error"]["hint"]
    assert rows(home) == before


async def test_t08_what_a_chat_passes_on_makes_nobody_somebody_else(home: Home, client: Client, key: Callable[..., str]) -> None:
    body = {"model": "nothing", "messages": [{"role": "user", "content": "x"}], **FORGED}
    reply = await client.post("/v1/chat/completions", headers=bearer(key("application")), json=body)
    assert reply.status_code == 404 and "'nothing'" in reply.text
    for field in ("workspace", "principals", "owner", "asker"):
        wrong = {**body, "model": "rag", "llmops": {field: FORGED[field]}}
        reply = await client.post("/v1/chat/completions", headers=bearer(key("application")), json=wrong)
        assert (reply.status_code, reply.json()["error"]["param"]) == (422, f"llmops.{field}"), reply.text


async def test_t08_no_reply_has_a_field_that_is_nobodys_business(client: Client, key: Callable[..., str]) -> None:
    boss = key("admin", user="boss")
    made = {"collection": "docs", "documents": [{"external_id": "a", "text": "b"}]}
    assert (await client.post("/api/v1/documents", headers=bearer(boss), json=made)).status_code == 202
    for route in routes():
        for method in route.methods:
            if route.path in OPEN_PATHS or route.path == "/openapi.json":
                continue
            path = route.path.replace("{name}", "docs")
            body = BODIES.get(f"{method} {route.path}", {})
            reply = await client.request(method, re.sub(r"\{\w+\}", "x", path), headers=bearer(boss), **({"json": body} if method != "GET" else {}))
            if reply.headers["content-type"].startswith("application/json"):
                shown = json.dumps(reply.json())
                assert not [field for field in NEVER_SHOWN if f'"{field}"' in shown], (method, path, shown)
