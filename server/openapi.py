"""GET /openapi.json: every route, its permission, and the one shape of all errors."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from llmops.types import Json
from server.door import Door, DoorRoute

door = Door("operations")

_TEXT = {"type": "string"}
_FIELDS = {"message": _TEXT, "type": _TEXT, "code": _TEXT, "param": {"type": ["string", "null"]}, "hint": _TEXT, "request_id": _TEXT}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "object", "required": list(_FIELDS), "properties": _FIELDS}},
}
_FAILURE = {"description": "Any failure", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}


@door.get("/openapi.json", permission="openapi:read")
def openapi(request: Request) -> Response:
    """What this server can do."""
    app: FastAPI = request.app
    if app.openapi_schema is None:
        app.openapi_schema = describe(app)
    return JSONResponse(app.openapi_schema)


def describe(app: FastAPI) -> Json:
    """The OpenAPI document of the application."""
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Error"] = _ERROR
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "llmops keys create"}}
    for route in app.routes:
        if isinstance(route, DoorRoute) and route.include_in_schema:
            for method in route.methods or ():
                operation = document["paths"][route.path][method.lower()]
                operation["responses"] = {**{status: told for status, told in operation["responses"].items() if status != "422"}, "default": _FAILURE}
                operation["security"] = [{"key": []}] if route.permission else []
                operation["x-permission"] = route.permission or None
    return document
