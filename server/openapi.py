"""GET /openapi.json: every route, its permission, and the one shape of all errors."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from llmops.types import Json
from server.door import Door, DoorRoute
from server.errors import ERROR_TYPES

door = Door("operations")

_RULES = """\
Every body is UTF-8. No text in it holds a NUL character or half of a surrogate pair, and no number is infinite or no number.
Fields that are not named here are refused, but in OpenAI's shapes. A number is never sent as a string.
"""
_TEXT = {"type": "string"}
_FIELDS = {
    "message": {"type": "string", "minLength": 1},
    "type": {"enum": [*sorted(ERROR_TYPES.values()), "invalid_request_error", "api_error"]},
    "code": {"type": "string", "minLength": 1},
    "param": {"type": ["string", "null"]},
    "hint": _TEXT,
    "request_id": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "object", "required": list(_FIELDS), "properties": _FIELDS, "additionalProperties": False}},
    "additionalProperties": False,
}
_ERROR_CONTENT = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
_HEADERS = {401: "WWW-Authenticate", 503: "Retry-After"}
_MEANING = {
    400: "An address that holds a NUL character, or a request that the model's provider refuses",
    401: "No key, or not a valid one",
    403: "A role without the permission, or a Host that is not this server's",
    404: "Nothing of that name that this key may see",
    408: "The body stopped coming",
    409: "The thing is in no state for this, or somebody else holds it",
    413: "The body is too large",
    422: "The request is wrong; `param` names the field",
    429: "A budget or a limit is used up",
    499: "The client has left; nobody reads this",
    500: "A fault of the server; its log has the details under `request_id`",
    502: "The model's provider failed",
    503: "A part of the server, or all targets of a route, cannot answer now",
}


class OpenAPIPage(BaseModel):
    """An OpenAPI document, version 3.1."""

    model_config = ConfigDict(extra="allow")
    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


@door.get("/openapi.json", permission="openapi:read", returns=OpenAPIPage)
def openapi(request: Request) -> Response:
    """What this server can do."""
    app: FastAPI = request.app
    if app.openapi_schema is None:
        app.openapi_schema = describe(app)
    return JSONResponse(app.openapi_schema)


def describe(app: FastAPI) -> Json:
    """The OpenAPI document of the application."""
    document = get_openapi(title=app.title, version=app.version, description=_RULES, routes=app.routes)
    schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Error"] = _ERROR
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "llmops keys create"}}
    for route in app.routes:
        if isinstance(route, DoorRoute) and route.include_in_schema:
            for method in route.methods or ():
                operation = document["paths"][route.path][method.lower()]
                told = {status: shown for status, shown in operation["responses"].items() if status != "422"}
                operation["responses"] = {**{str(status): _failure(status) for status in sorted(_failures(route, operation))}, **told}
                if method == "HEAD":
                    operation["responses"] = {status: _without_body(shown) for status, shown in operation["responses"].items()}
                operation["security"] = [{"key": []}] if route.permission else []
                operation["x-permission"] = route.permission or None
    return document


def _failures(route: DoorRoute, operation: Json) -> set[int]:
    """The statuses of a route's errors."""
    of_all = {400, 403, 500}
    of_doors = {401, 503} if route.permission else set()
    of_input = {422} if "parameters" in operation or "requestBody" in operation else set()
    of_bodies = {408, 413} if "requestBody" in operation else set()
    of_names = {404} if route.param_convertors else set()
    return of_all | of_doors | of_input | of_bodies | of_names | route.fails


def _failure(status: int) -> Json:
    if status == 499:
        return {"description": _MEANING[status]}
    headers = {_HEADERS[status]: {"required": True, "schema": _TEXT}} if status in _HEADERS else {}
    return {"description": _MEANING[status], "content": _ERROR_CONTENT, **({"headers": headers} if headers else {})}


def _without_body(response: Json) -> Json:
    return {name: value for name, value in response.items() if name not in ("content", "links")}
