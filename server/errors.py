"""Every error of the API in one shape, as OpenAI's clients read it:

    {"error": {"message", "type", "code", "param", "hint", "request_id"}}

What we raise on purpose says all it knows. What we did not foresee says nothing but its request id; the log has the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from llmops.errors import FREE_SPACE, DiskFull, LLMOpsError, ProviderRefused, StoreError, is_disk_full
from llmops.redact import redact
from llmops.types import Json

Model = TypeVar("Model", bound=BaseModel)
log = logging.getLogger("llmops.server")

ERROR_TYPES = {401: "authentication_error", 402: "insufficient_quota", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_HINTS = {
    404: "GET /openapi.json lists every path",
    405: "the header Allow names the methods of this path",
    413: "send less at once; [server] of llmops.toml sets the limits",
}
_SHAPES = "GET /openapi.json tells what each request takes"


class BodyError(HTTPException):
    """A body that is refused while it is read. FastAPI lets only an HTTPException through from there."""

    def __init__(self, status: int, code: str, message: str, hint: str = "") -> None:
        super().__init__(status, message)
        self.code, self.hint = code, hint


def body_of(error: BaseException, request_id: str) -> tuple[int, Json]:
    """The HTTP status and the JSON body of an error; one that we did not foresee is logged here."""
    if isinstance(error, ProviderRefused):  # the provider's own words on what is wrong with the request
        said = {name: str(error.error[name]) for name in ("message", "code", "param") if error.error.get(name)}
        return _shape(error.status, said.get("message", str(error)), said.get("code", error.code), said.get("param"), error.hint, request_id)
    if isinstance(error, DiskFull) or is_disk_full(error):
        log.warning("request %s: %s", request_id, error)
        return _shape(DiskFull.status, "the server's disk is full", DiskFull.code, None, FREE_SPACE, request_id)
    if isinstance(error, StoreError):  # where the store is, and how it failed, is for the log
        log.warning("request %s: %s", request_id, error)
        return _shape(error.status, "the store cannot answer now", error.code, None, "try again; GET /readyz tells when", request_id)
    if isinstance(error, LLMOpsError):
        return _shape(error.status, redact(str(error)), error.code, error.param, redact(error.hint), request_id)
    if isinstance(error, RequestValidationError):
        message, param, hint = _first_fault(error.errors())
        return _shape(422, message, "invalid_input", param, hint, request_id)
    if isinstance(error, HTTPException):
        phrase = HTTPStatus(error.status_code).phrase
        code = getattr(error, "code", "") or phrase.lower().replace(" ", "_").replace("'", "")
        hint = getattr(error, "hint", "") or _HINTS.get(error.status_code, "")
        return _shape(error.status_code, str(error.detail or phrase), code, None, hint, request_id)
    log.error("request %s failed", request_id, exc_info=error)
    hint = "the server's log has the details under this request_id"
    return _shape(500, "the server failed on this request", "internal_error", None, hint, request_id)


def respond(error: Exception, request_id: str) -> Response:
    """The whole response to an error, with Retry-After where waiting helps."""
    status, body = body_of(error, request_id)
    headers = dict(getattr(error, "headers", None) or {})
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    wait = getattr(error, "retry_after", None)
    if wait is None and status == 503:
        wait = 2
    if wait is not None:
        headers["Retry-After"] = str(max(1, round(wait)))
    return JSONResponse(body, status, headers)


def request_id(scope: Mapping[str, Any]) -> str:
    """The id that the outermost middleware gave this request."""
    return str(scope.get("state", {}).get("request_id", ""))


def add_handlers(app: FastAPI) -> None:
    """Answer every error that leaves a route in the one shape."""

    async def answer(request: Request, error: Exception) -> Response:
        response = respond(error, request_id(request.scope))
        if response.status_code == 405:
            response.headers["Allow"] = ", ".join(_methods(app, request.scope))
        return response

    for kind in (LLMOpsError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)


def _methods(app: FastAPI, scope: Scope) -> list[str]:
    """Every method of a path. Each is a route of its own here, and the one that refused knows only its own."""
    found = (route for route in app.router.routes if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE)
    return sorted({method for route in found for method in route.methods or ()})


def validated(model: type[Model], value: object) -> Model:
    """`value` as a `model`, for bodies that a route reads itself; it fails as FastAPI's own bodies do."""
    try:
        return model.model_validate(value)
    except ValidationError as invalid:
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in invalid.errors(include_url=False)]) from None


def _shape(status: int, message: str, code: str, param: str | None, hint: str, request: str) -> tuple[int, Json]:
    kind = ERROR_TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")
    return status, {"error": {"message": message, "type": kind, "code": code, "param": param, "hint": hint, "request_id": request}}


def _first_fault(faults: Sequence[Any]) -> tuple[str, str, str]:
    """The message, the field's path and the way out of the first thing that a validation found."""
    fault = faults[0]
    kind = fault["type"]
    if kind == "json_invalid":
        return f"the body is not JSON: {fault.get('ctx', {}).get('error', '')}", "body", "send one JSON object, in UTF-8"
    where = [str(part) for part in fault["loc"]]
    path = ".".join(where[1:] if where[:1] in (["body"], ["query"], ["path"]) else where) or "body"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if path == "body" and kind in ("missing", "model_attributes_type"):
        return "the body must be a JSON object, sent with Content-Type: application/json", "body", _SHAPES
    hint = {"missing": f"add {path}", "extra_forbidden": f"take {path} out, or check its spelling"}.get(kind, _SHAPES)
    return f"{path}: {message[0].lower()}{message[1:]}", path, hint
