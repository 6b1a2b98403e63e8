"""One key for many end users, keys over HTTP, and what the audit log says of both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from llmops.access import audit, keys
from llmops.home import Home
from llmops.jobs.worker import finish
from llmops.settings import Settings
from server.app import make_app
from server.auth import MOST_REMEMBERED
from tests.conftest import OWNER
from tests.server.conftest import Client, bearer
from vectorstore import documents
from vectorstore.documents import Handed

SEARCH = {"collection": "docs", "query": "who may read this", "k": 10}


@pytest.fixture
def filled(home: Home) -> Home:
    """Three documents: Alice's, of the group sales-eu, and of the whole workspace."""
    acls = {"alice.md": ["user:alice"], "sales.md": ["group:sales-eu"], "all.md": None, "shop.md": ["user:shop"]}
    handed = [Handed(name, name, f"Who may read this is told in {name}.".encode(), acl=acl) for name, acl in acls.items()]
    assert finish(home, "poc", documents.accept(home, OWNER, "docs", handed)).result["ready"] == 4
    return home


async def found(client: Client, token: str, spoken_for: str | bytes = "") -> list[str]:
    headers: list[tuple[str, Any]] = [("Authorization", f"Bearer {token}")] + ([("Llmops-As", spoken_for)] if spoken_for else [])
    reply = await client.post("/api/v1/search", json=SEARCH, headers=headers)
    assert reply.status_code == 200, reply.text
    return sorted(hit["external_id"] for hit in reply.json()["hits"])


def log(home: Home, **only: str) -> list[audit.Entry]:
    return home.store.read(lambda c: audit.entries(c, "poc", 100, **only))


# --- Speaking for end users -------------------------------------------------------------------------------------------


async def test_t10_a_backends_key_gives_each_end_user_what_is_for_them(filled: Home, client: Client, key: Callable[..., str]) -> None:
    shop = key("application", user="shop", act_as=("user:*", "group:sales-*"))
    assert await found(client, shop) == ["all.md", "shop.md"]
    assert await found(client, shop, "user:alice") == ["alice.md", "all.md"], "nothing by the key's own user"
    assert await found(client, shop, "user:bob,group:sales-eu") == ["all.md", "sales.md"]
    assert await found(client, shop, "user:山田".encode()) == ["all.md"]
    assert await found(client, shop, "user:%61lice") == ["alice.md", "all.md"], "percent-encoded, for clients that send ASCII alone"


@pytest.mark.parametrize("beyond", ["group:hr", "user:alice,group:hr", "workspace:dev", "group:sales"])
async def test_t06_who_a_key_may_not_speak_for_is_refused_and_that_is_on_record(
    filled: Home, client: Client, key: Callable[..., str], beyond: str
) -> None:
    shop = key("application", act_as=("user:*", "group:sales-*"))
    reply = await client.post("/api/v1/search", json=SEARCH, headers={**bearer(shop), "Llmops-As": beyond})
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "not_permitted") and "hits" not in reply.json()
    [entry] = log(filled, action="key.act-as.refused")
    assert entry.detail["as"] == sorted(beyond.split(",")) and entry.object.startswith("key:application-")
    for _ in range(5):
        await client.post("/api/v1/search", json=SEARCH, headers={**bearer(shop), "Llmops-As": ",".join(f"group:g{n}" for n in range(500))})
    assert len(log(filled, action="key.act-as.refused")) == 1, "once a minute: nobody fills the log"
    plain = await client.post("/api/v1/search", json=SEARCH, headers={**bearer(key()), "Llmops-As": "user:alice"})
    assert plain.status_code == 403 and "--act-as" in plain.json()["error"]["hint"]


@pytest.mark.parametrize(
    "wrong", [" ", "alice", "role:admin", "user:", "user:alice,,group:x", "user:*", b"user:\xff", "user:" + "x" * 20_000], ids=str
)
async def test_a_header_that_names_nobody_is_no_way_to_be_the_key_itself(client: Client, key: Callable[..., str], wrong: str | bytes) -> None:
    headers: list[tuple[str, Any]] = [("Authorization", f"Bearer {key('application', act_as=('user:*',))}"), ("Llmops-As", wrong)]
    reply = await client.post("/api/v1/search", json=SEARCH, headers=headers)
    assert reply.status_code in (403, 422) and reply.json()["error"]["hint"], reply.text
    twice = [*headers[:1], ("Llmops-As", "user:alice"), ("Llmops-As", "user:bob")]
    assert (await client.post("/api/v1/search", json=SEARCH, headers=twice)).status_code == 422


async def test_what_is_done_for_somebody_names_both(filled: Home, client: Client, key: Callable[..., str]) -> None:
    shop = key("admin", act_as=("user:*",))
    name = f"key:{filled.store.read(lambda c: keys.authenticate(c, shop)).name} as user:alice"
    [document] = [row for row in filled.store.read(lambda c: documents.listed(c, OWNER, "docs")) if row["external_id"] == "alice.md"]
    path = f"/api/v1/documents/{document['document_id']}/acl"
    reply = await client.put(path, json={"acl": ["user:alice", "user:bob"]}, headers={**bearer(shop), "Llmops-As": "user:alice"})
    assert reply.status_code == 200, reply.text
    assert [entry.actor for entry in log(filled, action="document.share")] == [name]


# --- Keys over HTTP ---------------------------------------------------------------------------------------------------


async def test_t07_a_key_is_made_rotated_and_revoked_over_http(home: Home, client: Client, key: Callable[..., str]) -> None:
    boss = bearer(key("admin", act_as=("user:*", "group:*")))
    wanted = {"name": "shop", "role": "application", "groups": ["staff"], "act_as": ["user:*"], "scopes": ["search:use"], "expires": "90d"}
    made = await client.post("/api/v1/keys", json=wanted, headers=boss)
    assert made.status_code == 201 and made.json()["key"].startswith(f"llmops_{made.json()['id']}_")
    [shown] = [one for one in (await client.get("/api/v1/keys", headers=boss)).json()["data"] if one["name"] == "shop"]
    assert (shown["groups"], shown["act_as"], shown["scopes"], shown["state"]) == (["staff"], ["user:*"], ["search:use"], "active")
    again = await client.post("/api/v1/keys", json=wanted, headers=boss)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    rotated = await client.post("/api/v1/keys/shop/rotate", json={"grace": "1h"}, headers=boss)
    assert rotated.json()["id"] == shown["id"] and rotated.json()["key"] != made.json()["key"]
    assert (await client.delete("/api/v1/keys/shop", headers=boss)).json()["state"] == "revoked"
    for token in (made.json()["key"], rotated.json()["key"]):
        assert (await client.post("/api/v1/search", json=SEARCH, headers=bearer(token))).status_code == 401
    assert [entry.action for entry in log(home, object="key:shop")] == ["keys.revoke", "keys.rotate", "keys.create"]
    secret = made.json()["key"][-24:]
    assert not any(secret in str(entry) for entry in log(home))


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "root"},
        {"user": "a:b"},
        {"groups": ["a,b"]},
        {"expires": "soon"},
        {"scopes": []},
        {"scopes": ["all"]},
        {"act_as": ["*"]},
        {"name": "a b"},
    ],
    ids=str,
)
async def test_what_is_no_key_over_http(client: Client, key: Callable[..., str], wrong: dict[str, Any]) -> None:
    boss = bearer(key("admin", act_as=("user:*", "group:*")))
    reply = await client.post("/api/v1/keys", json={"name": "new", "role": "application", **wrong}, headers=boss)
    assert reply.status_code in (404, 422) and reply.json()["error"]["message"], reply.text
    assert [one["name"] for one in (await client.get("/api/v1/keys", headers=boss)).json()["data"] if one["name"] == "new"] == []


async def test_the_last_use_of_a_key_is_noted(home: Home, app: FastAPI, client: Client, key: Callable[..., str]) -> None:
    used, unused = key(), key()
    for _ in range(3):
        await client.get("/v1/models", headers=bearer(used))
    await app.state.rooms.keys.note_used()
    noted = {one.id: one.used_at for one in home.store.read(lambda c: keys.list_keys(c, "poc"))}
    assert noted[used.split("_")[1]] is not None and noted[unused.split("_")[1]] is None


async def test_what_is_remembered_of_keys_is_bounded(app: FastAPI, key: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.auth.MOST_REMEMBERED", 3)
    assert MOST_REMEMBERED <= 10_000
    for _ in range(6):
        await app.state.rooms.keys.find(key())
    assert len(app.state.rooms.keys._known) == 3


# --- The log over HTTP, and from where a call came --------------------------------------------------------------------


async def test_the_log_over_http_comes_in_pages_and_is_whole(home: Home, client: Client, key: Callable[..., str]) -> None:
    boss = bearer(key())
    for number in range(5):
        key(user=f"u{number}")
    seen, after = [], None
    while True:
        page = (await client.get("/api/v1/audit", headers=boss, params={"limit": 2, **({"after": after} if after else {})})).json()
        seen, after = seen + page["data"], page["next"]
        if after is None:
            break
    assert [entry["id"] for entry in seen] == sorted((entry["id"] for entry in seen), reverse=True) and len(seen) == 6
    verified = (await client.get("/api/v1/audit/verify", headers=boss)).json()
    assert verified == {"ok": True, "entries": 6, "head": seen[0]["hash"], "faults": []}
    assert (await client.get("/api/v1/audit/verify", headers=boss, params={"head": "0" * 64})).json()["ok"] is False


@pytest.mark.parametrize(
    ("peer", "forwarded", "origin"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # no proxy of ours: its word is not taken
        ("10.1.2.3", "203.0.113.9", "203.0.113.9"),
        ("10.1.2.3", "198.51.100.7, 203.0.113.9", "203.0.113.9"),  # what the client itself wrote stands before it
        ("10.1.2.3", "203.0.113.9, 10.9.9.9", "203.0.113.9"),
        ("10.1.2.3", "<script>", ""),
        ("10.1.2.3", "", "10.1.2.3"),
    ],
)
async def test_t22_only_trusted_proxies_say_where_a_call_came_from(settings: Settings, tmp_path: Any, peer: str, forwarded: str, origin: str) -> None:
    (tmp_path / "llmops.toml").write_text('[server]\ntrusted_proxies = ["10.0.0.0/8"]\n')
    home = Home(Settings.load(tmp_path / "llmops.toml"))
    token = home.store.write(lambda c: keys.create(c, OWNER, keys.Wanted("boss", "admin"))).key
    app = make_app(home)
    await app.state.rooms.load()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(peer, 1)), base_url="http://localhost") as client:
        headers = {**bearer(token), **({"X-Forwarded-For": forwarded} if forwarded else {})}
        assert (await client.post("/api/v1/keys", json={"name": "new", "role": "application"}, headers=headers)).status_code == 201
    assert log(home, object="key:new")[0].origin == (origin or None)
    await asyncio.to_thread(home.close)
