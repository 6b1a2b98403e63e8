"""Who gets in: every route, with and without a key, before anything else of the request is read."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError
from starlette.responses import Response
from starlette.routing import BaseRoute

from llmops.access import keys
from llmops.access.roles import KINDS, PERMISSIONS, ROLES
from llmops.home import Home
from server.app import make_app
from server.door import OPEN_PATHS, Door, DoorRoute
from tests.conftest import OWNER
from tests.server.conftest import Client, bearer, routes


def calls() -> list[tuple[str, str]]:
    """Method and path of every route, with ids that fit."""
    return [(method, re.sub(r"\{\w+\}", "x", route.path)) for route in routes() for method in sorted(route.methods)]


CLOSED = [(method, path) for method, path in calls() if path not in OPEN_PATHS]


# --- T01, T06: every route has a door ---------------------------------------------------------------------------------


def test_t01_every_route_has_a_permission_or_is_on_the_list(app: FastAPI) -> None:
    def walk(found: list[BaseRoute]) -> Iterator[BaseRoute]:
        for route in found:
            yield route
            yield from walk(getattr(route, "routes", None) or [])

    for route in walk(app.routes):
        assert isinstance(route, DoorRoute), f"{route} did not come through a door"
        assert (route.permission in PERMISSIONS) != (route.path in OPEN_PATHS), route.path


def test_t01_a_route_without_a_permission_cannot_be_made() -> None:
    door = Door("test")
    for permission in ("", "chat:usee"):
        with pytest.raises(ValueError, match="permission"):
            door.get("/new", permission=permission)(lambda: None)
    with pytest.raises(TypeError):
        door.post("/new")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="permission"):
        door.open("/new")(lambda: None)
    assert not door.routes


@pytest.mark.parametrize(("method", "path"), CLOSED)
async def test_t01_no_route_answers_without_a_good_key(
    home: Home, client: Client, key: Callable[..., str], monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    entered: list[str] = []
    for route in routes():
        if route.path not in OPEN_PATHS:
            monkeypatch.setattr(route.dependant, "call", lambda **_: entered.append("!"))
    revoked, expired = key(), key(expires_at=time.time() + 0.5)
    home.store.write(lambda c: keys.revoke(c, OWNER, revoked.split("_")[1]))
    await asyncio.sleep(0.5)
    good = key()
    changed = good[:-1] + ("A" if good[-1] != "A" else "B")
    for headers in ({}, bearer("x"), bearer(changed), bearer(revoked), bearer(expired), {"Authorization": good}, {"Cookie": f"key={good}"}):
        reply = await client.request(method, path, headers=headers, content=b"{" * 100)
        assert reply.status_code == 401 and reply.headers["www-authenticate"] == "Bearer"
        assert reply.json()["error"]["code"] == "not_authenticated"
    assert not entered


# What each role may do, written down a second time: a slip of a line in llmops/access/roles.py, or of a permission on a route, must show.
# By kind of workspace, the roles that have it: Admin, data Scientist, Data engineer, Ml engineer, Business user, aPplication.
MATRIX = """
route                                        poc     dev     pipeline prod
POST /v1/chat/completions                    ASDMBP  AS-M-P  A-D---   A-DM-P
POST /v1/embeddings                          ASDMB-  AS-M--  A-D---   A-DM--
GET /v1/models                               ASDMB-  ASDM--  A-DM--   A-DM--
GET /v1/models/{model}                       ASDMB-  ASDM--  A-DM--   A-DM--
POST /api/v1/search                          ASDMBP  AS-M-P  A-D---   A-DM-P
POST /api/v1/documents                       ASDMB-  A-----  A-D---   ------
GET /api/v1/documents                        ASDMB-  AS-M--  A-D---   A-DM--
GET /api/v1/documents/{document_id}          ASDMB-  AS-M--  A-D---   A-DM--
GET /api/v1/documents/{document_id}/text     ASDMB-  AS-M--  A-D---   A-DM--
GET /api/v1/documents/{document_id}/original ASDMB-  AS-M--  A-D---   A-DM--
GET /api/v1/chunks/{chunk_id}                ASDMB-  AS-M--  A-D---   A-DM--
DELETE /api/v1/documents/{document_id}       ASDMB-  A-----  A-D---   ------
GET /api/v1/documents/{document_id}/acl      ASDMB-  AS-M--  A-D---   A-----
PUT /api/v1/documents/{document_id}/acl      ASDMB-  AS-M--  A-D---   A-----
GET /api/v1/jobs                             ASDMB-  ASDM--  A-DM--   A-DM--
GET /api/v1/jobs/{job_id}                    ASDMB-  ASDM--  A-DM--   A-DM--
POST /api/v1/jobs/{job_id}/cancel            ASDMB-  AS-M--  A-D---   A-DM--
POST /api/v1/jobs/{job_id}/retry             ASDMB-  A--M--  A-DM--   A-----
GET /api/v1/collections                      ASDMB-  ASDM--  A-DM--   A-DM--
GET /api/v1/collections/{name}               ASDMB-  ASDM--  A-DM--   A-DM--
GET /api/v1/collections/{name}/quality       ASDMB-  ASDM--  A-DM--   A-DM--
GET /api/v1/collections/{name}/snapshot      ASDMB-  ASDM--  A-DM--   A-DM--
GET /api/v1/collections/{name}/diff          ASDMB-  AS-M--  A-D---   A-DM--
POST /api/v1/collections                     ASDMB-  A-----  A-D---   ------
POST /api/v1/collections/{name}/copy         A--M--  A--M--  A-DM--   A-----
GET /api/v1/collections/{name}/acl           ASDMB-  AS-M--  A-D---   A-----
PUT /api/v1/collections/{name}/acl           ASDMB-  AS-M--  A-D---   A-----
GET /api/v1/answers/{answer_id}              ASDMB-  AS-M--  A-D---   A-DM--
POST /api/v1/feedback                        ASDMBP  AS-M-P  A-D---   A-DM-P
GET /api/v1/feedback                         ASDMB-  AS-M--  A-----   A--M--
GET /api/v1/keys                             A-----  A-----  A-----   A-----
POST /api/v1/keys                            A-----  A-----  A-----   A-----
POST /api/v1/keys/{key}/rotate               A-----  A-----  A-----   A-----
DELETE /api/v1/keys/{key}                    A-----  A-----  A-----   A-----
GET /api/v1/audit                            A-----  A-----  A-----   A-----
GET /api/v1/audit/verify                     A-----  A-----  A-----   A-----
GET /metrics                                 ASDMB-  ASDMB-  ASDMB-   ASDMB-
GET /openapi.json                            ASDMB-  ASDMB-  ASDMB-   ASDMB-
"""
BODY = {
    "model": "minilm",
    "input": "a",
    "collection": "docs",
    "documents": [{"external_id": "a", "text": "b"}],
    "name": "n",
    "role": "admin",
    "to": "dev",
}


def matrix() -> dict[tuple[str, str], dict[tuple[str, str], bool]]:
    """For each route, by method and path, whether each role may call it in a workspace of each kind."""
    (_, *kinds), *rows = (line.split() for line in MATRIX.strip().splitlines())
    assert kinds == list(KINDS) and all(set(cell) <= {*ROLES, "-"} for _, _, *cells in rows for cell in cells)
    return {
        (method, path): {(kind, role): letter in cell for kind, cell in zip(kinds, cells, strict=True) for letter, role in ROLES.items()}
        for method, path, *cells in rows
    }


def test_t06_the_matrix_names_every_route() -> None:
    assert matrix().keys() == {(method, route.path) for route in routes() for method in route.methods if route.path not in OPEN_PATHS}


@pytest.mark.parametrize("role", ROLES.values())
@pytest.mark.parametrize("kind", KINDS)
async def test_t06_each_role_gets_where_the_matrix_says_and_nowhere_else(
    client: Client, key: Callable[..., str], monkeypatch: pytest.MonkeyPatch, kind: str, role: str
) -> None:
    """In a workspace of each kind, with requests that are right in all but the role: no handler sees what is refused."""
    entered: list[str] = []

    async def enter(**_: Any) -> Response:
        entered.append("!")
        return Response()

    for route in routes():
        monkeypatch.setattr(route.dependant, "call", enter if inspect.iscoroutinefunction(route.endpoint) else lambda **_: asyncio.run(enter()))
    token = key(role, kind)
    for (method, path), may in matrix().items():
        entered.clear()
        reply = await client.request(method, re.sub(r"\{\w+\}", "x", path), headers=bearer(token), json=BODY)
        if may[kind, role]:
            assert reply.status_code in (200, 422) and entered == ["!"] * (reply.status_code == 200), (method, path, reply.text)
        else:
            assert (reply.status_code, reply.json()["error"]["code"]) == (403, "not_permitted"), (method, path, reply.text)
            assert reply.json()["error"]["hint"] and not entered


async def test_t06_a_workspace_that_is_configured_no_more_opens_to_nobody(home: Home, client: Client, key: Callable[..., str]) -> None:
    token = key("admin", "former")
    for method, path in CLOSED:
        reply = await client.request(method, path, headers=bearer(token), json={})
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "not_permitted"), (path, reply.text)


async def test_t06_the_scopes_of_a_key_narrow_its_role(client: Client, key: Callable[..., str]) -> None:
    token = key("admin", scopes=("models:read",))
    for (method, path), _ in matrix().items():
        reply = await client.request(method, re.sub(r"\{\w+\}", "x", path), headers=bearer(token), json={})
        assert (reply.status_code == 403) == ("/v1/models" not in path or "api" in path), (path, reply.text)


# --- T05: no key stands for another -----------------------------------------------------------------------------------


async def test_t05_a_key_that_another_home_revokes_is_refused_within_two_seconds(home: Home, client: Client, key: Callable[..., str]) -> None:
    kept, gone = key(), key()
    for token in (kept, gone):
        assert (await client.get("/v1/models", headers=bearer(token))).status_code == 200
    with Home(home.settings) as other:
        other.store.write(lambda c: keys.revoke(c, OWNER, gone.split("_")[1]))
    revoked = time.monotonic()
    while (await client.get("/v1/models", headers=bearer(gone))).status_code == 200:
        assert time.monotonic() - revoked < 2
        await asyncio.sleep(0.02)
    for _ in range(3):
        assert (await client.get("/v1/models", headers=bearer(gone))).status_code == 401
        assert (await client.get("/v1/models", headers=bearer(kept))).status_code == 200


async def test_t05_a_key_that_expires_or_is_rotated_is_refused_at_once(home: Home, client: Client, key: Callable[..., str]) -> None:
    boss, short = key(), key(expires_at=time.time() + 0.4)
    assert (await client.get("/v1/models", headers=bearer(short))).status_code == 200
    await asyncio.sleep(0.45)
    assert (await client.get("/v1/models", headers=bearer(short))).status_code == 401
    old = key()
    assert (await client.get("/v1/models", headers=bearer(old))).status_code == 200
    new = (await client.post(f"/api/v1/keys/{old.split('_')[1]}/rotate", headers=bearer(boss), json={})).json()["key"]
    assert [(await client.get("/v1/models", headers=bearer(token))).status_code for token in (old, new)] == [401, 200]
    newest = (await client.post(f"/api/v1/keys/{old.split('_')[1]}/rotate", headers=bearer(boss), json={"grace": "1h"})).json()["key"]
    assert [(await client.get("/v1/models", headers=bearer(token))).status_code for token in (old, new, newest)] == [401, 200, 200]


async def test_t05_keys_that_are_remembered_go_by_the_whole_of_them(client: Client, key: Callable[..., str]) -> None:
    good = key()
    assert (await client.get("/v1/models", headers=bearer(good))).status_code == 200
    for at in (0, 7, len("llmops_") + 3, len(good) // 2, len(good) - 1):
        like = good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]
        assert (await client.get("/v1/models", headers=bearer(like))).status_code == 401


async def test_t52_a_store_that_cannot_answer_makes_no_key_wrong(home: Home, client: Client, key: Callable[..., str]) -> None:
    token = key()

    def locked(*_: Any) -> None:
        raise OperationalError("select", {}, Exception("database is locked"))

    event.listen(home.store.read_engine, "before_cursor_execute", locked)
    for method, path in CLOSED:
        reply = await client.request(method, path, headers=bearer(token), json={})
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "store_unavailable"), (path, reply.text)
    event.remove(home.store.read_engine, "before_cursor_execute", locked)
    assert (await client.get("/v1/models", headers=bearer(token))).status_code == 200


# --- T02: nothing before the key --------------------------------------------------------------------------------------

_watching: list[str] | None = None


def _note(name: str, arguments: tuple[Any, ...]) -> None:
    if _watching is not None and name.split(".")[0] in {"open", "socket", "subprocess", "os"} and name not in {"socket.__new__"}:
        _watching.append(f"{name} {arguments}")


sys.addaudithook(_note)


@contextmanager
def watched(home: Home) -> Iterator[tuple[list[str], list[str]]]:
    """The SQL and the input and output of a block."""
    global _watching
    sql: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sql.append(statement)

    engines: list[Engine] = [home.store.read_engine, home.store.write_engine]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    _watching = []
    try:
        yield sql, _watching
    finally:
        _watching = None
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


async def test_t02_without_a_key_nothing_happens(home: Home, client: Client, key: Callable[..., str]) -> None:
    wrong = key()[:-2] + "zz"
    for headers in ({}, bearer(wrong)):
        await client.get("/v1/models", headers=headers)  # whatever is imported or connected once
    for method, path in CLOSED:
        with watched(home) as (sql, io):
            assert (await client.request(method, path, json={"a": 1})).status_code == 401
        assert not sql and not io, (path, sql, io)
        with watched(home) as (sql, io):
            assert (await client.request(method, path, headers=bearer(wrong), json={"a": 1})).status_code == 401
        selects = [statement for statement in sql if not statement.startswith("BEGIN")]
        assert len(selects) == 1 and "FROM keys" in selects[0].replace("\n", " ") and not io, (path, sql, io)


async def test_t02_the_body_is_not_read_before_the_key_is_known(app: FastAPI) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("somebody read the body")

    async def send(message: Any) -> None:
        sent.append(message)

    for method, path in CLOSED:
        sent.clear()
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(b"content-length", b"9999999999")],
            "root_path": "",
        }
        await app({**scope, "raw_path": path.encode(), "http_version": "1.1", "scheme": "http"}, receive, send)
        assert sent[0]["status"] == 401


# --- T03: what stands in the header -----------------------------------------------------------------------------------


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(token=st.one_of(st.binary(max_size=300), st.sampled_from([b"' OR 1=1--", b"llmops_' OR '1'='1_x", b"\x00", b"x" * 1_000_000, "鍵".encode()])))
def test_t03_no_header_opens_or_breaks_the_door(door_answer: Callable[[list[tuple[bytes, bytes]]], int], token: bytes) -> None:
    for value in (token, b"Bearer " + token, b"Bearer llmops_0123456789abcdef_" + token):
        assert door_answer([(b"authorization", value)]) == 401
    assert door_answer([(b"authorization", b"Bearer " + token)] * 50) == 401


@pytest.fixture
def door_answer(home: Home) -> Iterator[Callable[[list[tuple[bytes, bytes]]], int]]:
    app = make_app(home)
    with asyncio.Runner() as runner:
        runner.run(app.state.rooms.load())

        def answer(headers: list[tuple[bytes, bytes]]) -> int:
            status: list[int] = []

            async def send(message: Any) -> None:
                status.extend([message["status"]] if "status" in message else [])

            async def receive() -> dict[str, Any]:
                return {"type": "http.disconnect"}

            scope = {"type": "http", "method": "GET", "path": "/v1/models", "raw_path": b"", "query_string": b"", "root_path": ""}
            runner.run(app({**scope, "headers": headers, "http_version": "1.1", "scheme": "http"}, receive, send))
            return status[0]

        yield answer
