"""The OpenAPI page: each route says what it takes and gives, and saying it changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from llmops.access.principals import parse_principal
from llmops.errors import InvalidInput
from server.door import Door
from server.openapi import describe
from server.shapes import PRINCIPAL, Reply
from tests.server.conftest import Client, bearer, routes

OUR_OWN = "/api/v1/"


@pytest.fixture
def page(app: FastAPI) -> dict[str, Any]:
    return describe(app)


def operations(page: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{method.upper()} {path}": operation for path, methods in page["paths"].items() for method, operation in methods.items()}


def test_every_route_says_what_it_returns(page: dict[str, Any]) -> None:
    silent = [f"{route.methods} {route.path}" for route in routes() if route.returns is None]
    assert not silent, "name the shape: door.get(path, permission=..., returns=Shape)"
    told = operations(page)
    assert told.keys() == {f"{method} {route.path}" for route in routes() for method in route.methods}
    for name, operation in told.items():
        good = {status: response for status, response in operation["responses"].items() if status.startswith("2")}
        assert good, name
        schemas = [media.get("schema") for response in good.values() for media in response.get("content", {}).values()]
        assert name.startswith("HEAD") != bool(schemas) and all(schemas), name
        bad = {status: response for status, response in operation["responses"].items() if not status.startswith("2")}
        assert "default" not in operation["responses"] and {"400", "403", "500"} <= bad.keys(), name
        assert ("401" in bad) == bool(operation["security"]), name


def test_our_own_shapes_say_all_their_fields(page: dict[str, Any]) -> None:
    """Nothing may stand in a reply, or in a request, that the page does not name."""
    for name, operation in operations(page).items():
        bodies = [*operation["responses"].values(), operation.get("requestBody", {})]
        for kind, media in [content for body in bodies for content in body.get("content", {}).items()]:
            if OUR_OWN in name and kind != "application/octet-stream":
                assert _resolved(page, media["schema"])["additionalProperties"] is False, name


def test_bounds_are_written_as_json_schema_writes_them(page: dict[str, Any]) -> None:
    """A bound behind a validator, as in `Annotated[int | None, BeforeValidator(...), Field(ge=1)]`, is lost on the page."""
    lost = re.findall(r'\{[^{}]*"(?:ge|gt|le|lt|min_length|max_length)":[^{}]*\}', json.dumps(page))
    assert not lost


def test_every_link_leads_to_an_operation(page: dict[str, Any]) -> None:
    told = {operation["operationId"]: operation for operation in operations(page).values()}
    assert len(told) == len(operations(page))
    for name, operation in operations(page).items():
        for link in [link for response in operation["responses"].values() for link in response.get("links", {}).values()]:
            parameters = {parameter["name"] for parameter in told[link["operationId"]].get("parameters", [])}
            assert link.get("parameters", {}).keys() <= parameters, name


def _resolved(page: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return page["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


async def test_a_shape_leaves_the_reply_as_it_is(app: FastAPI, client: Client, key: Callable[..., str]) -> None:
    class Shape(Reply):
        number: int

    door = Door("test")
    door.get("/odd", permission="models:read", returns=Shape)(lambda: {"number": "7", "beside": None})
    door.hang(app)
    reply = await client.get("/odd", headers=bearer(key()))
    assert (reply.status_code, reply.json()) == (200, {"number": "7", "beside": None})


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/api/v1/search", {"collection": "docs", "query": "a", "k": "3"}, "k"),
        ("/api/v1/search", {"collection": "docs", "query": "a", "k": True}, "k"),
        ("/api/v1/search", {"collection": "docs", "query": " \u3000\x1f"}, "query"),
        ("/api/v1/search", {"collection": "docs", "query": "a", "filter": {"$and": {}}}, "filter.$and"),
        ("/api/v1/search", {"collection": "docs\n", "query": "a"}, "collection"),
        ("/api/v1/feedback", {"answer_id": "ans_1", "rating": "3"}, "rating"),
        ("/api/v1/feedback", {"answer_id": "ans_1", "rating": True}, "rating"),
        ("/api/v1/documents", {"collection": "docs", "documents": [{"external_id": 1, "text": "a"}]}, "documents.0.external_id"),
        ("/api/v1/documents", {"collection": "docs", "source": " ", "documents": [{"external_id": "1", "text": "a"}]}, "source"),
        ("/v1/chat/completions", {"model": "rag", "messages": [{"role": "user", "content": "a"}], "stream": "true"}, "stream"),
        ("/v1/embeddings", {"model": "minilm", "input": "a", "dimensions": "384"}, "dimensions"),
    ],
)
async def test_a_body_is_taken_as_it_is_written(client: Client, key: Callable[..., str], path: str, body: dict[str, Any], param: str) -> None:
    reply = await client.post(path, headers=bearer(key()), json=body)
    assert reply.status_code == 422 and reply.json()["error"]["param"].startswith(param), reply.text


async def test_allow_names_every_method_of_a_path(client: Client) -> None:
    for path, allowed in (
        ("/api/v1/documents", "GET, POST"),
        ("/api/v1/documents/doc_1", "DELETE, GET"),
        ("/healthz", "GET, HEAD"),
        ("/api/v1/jobs/job_1/cancel", "POST"),
    ):
        reply = await client.request("PATCH", path)
        assert (reply.status_code, reply.headers["allow"]) == (405, allowed) and reply.json()["error"]["code"] == "method_not_allowed"


async def test_a_path_with_a_slash_behind_it_is_another_path(client: Client) -> None:
    for path in ("/v1/models/", "/healthz/", "/api/v1//documents"):
        reply = await client.get(path)
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found")


_names = st.text(st.characters(codec="utf-8") | st.sampled_from(":,* \t\x85\u2028\u3000\ufeff\x1f"), max_size=185)


@given(st.sampled_from(["user", "group", "workspace", "role", ""]), _names)
def test_the_pattern_of_a_principal_says_what_is_one(kind: str, name: str) -> None:
    text = f"{kind}:{name}"
    try:
        fits = parse_principal(text) == text
    except InvalidInput:
        fits = False
    assert fits == bool(re.fullmatch(PRINCIPAL.removeprefix("^").removesuffix("$"), text))


async def test_a_process_makes_one_quality_report_at_a_time(client: Client, key: Callable[..., str]) -> None:
    from server.api_collections import _reporting

    headers, path = bearer(key("admin")), "/api/v1/collections/docs/quality"
    with _reporting:
        busy = await client.get(path, headers=headers)
    assert busy.status_code == 503 and busy.headers["Retry-After"]
    assert [(await client.get(path, headers=headers)).status_code for _ in range(2)] == [404, 404]
