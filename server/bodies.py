"""Reading a request's body within its limits, and noticing that a client has left."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import Request
from starlette.types import Message, Receive

from server.errors import BodyError

IDLE_SECONDS = 30.0
MEGABYTE = 1024 * 1024
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class ClientGone(Exception):
    """The client has closed its connection; nobody reads the answer."""


class StoredRequest(Request):
    """A request whose JSON is read by `read_json`."""

    async def json(self) -> Any:
        return read_json(await self.body())


def read_json(body: bytes) -> Any:
    """JSON that holds nothing that a store could not keep: no NaN, no infinity, no NUL, no half of a surrogate pair.

    Raises `json.JSONDecodeError` for what is not JSON, and `BodyError` for the rest.
    """
    try:
        given = body.decode("utf-8-sig")
        value = json.loads(given, parse_constant=_no_constant, parse_float=_finite)
        text = json.dumps(value, ensure_ascii=False) if "\\u" in given else ""
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise BodyError(422, "invalid_input", "the body is nested too deeply", "send lists and objects that are less deep") from None
    except UnicodeDecodeError:
        raise BodyError(422, "invalid_input", "the body is not UTF-8", "send text as UTF-8") from None
    except ValueError:
        raise BodyError(422, "invalid_input", "the body holds a number that is too long", "send it as a string") from None
    if _NUL.search(text):
        raise BodyError(422, "invalid_input", "the body holds a NUL character", "take it out")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BodyError(422, "invalid_input", "the body holds half of a surrogate pair", "send text as UTF-8") from None
    return value


def limited(request: Request, megabytes: float) -> Request:
    """The same request, whose body ends with a 413 when it grows too large, a 408 when it stops coming, and `ClientGone` when it is cut off.

    Nothing is read before somebody asks for it, so a length that is declared too large costs nothing.
    """
    limit = int(megabytes * MEGABYTE)
    declared = request.headers.get("content-length", "")
    receive = request.receive
    seen, complete = 0, False

    async def receive_limited() -> Message:
        nonlocal seen, complete
        if declared.isdigit() and int(declared) > limit:
            raise _too_large(megabytes)
        if complete:
            return await receive()
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                message = await receive()
        except TimeoutError:
            raise BodyError(408, "request_timeout", f"no more of the body came for {IDLE_SECONDS:.0f} s", "send it again") from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _too_large(megabytes)
        complete = not message.get("more_body", False)
        return message

    return StoredRequest(request.scope, receive_limited, request._send)


@asynccontextmanager
async def while_connected(receive: Receive) -> AsyncIterator[None]:
    """Cancel the block when the client leaves, and raise `ClientGone`. The body must have been read."""
    task = asyncio.current_task()
    assert task is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            continue
        gone = True
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if gone and task.uncancel() == 0:
            raise ClientGone from None
        raise
    finally:
        watcher.cancel()


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise BodyError(422, "invalid_input", f"the body holds a number that is too large: {text[:40]}", "send a smaller one")
    return value


def _no_constant(name: str) -> float:
    raise BodyError(422, "invalid_input", f"the body is not JSON: {name} is no number there", "leave the field out, or send null")


def _too_large(megabytes: float) -> BodyError:
    return BodyError(
        413, "too_large", f"the body is larger than {megabytes:g} MB", "send less at once, or raise the limit in [server] of llmops.toml"
    )
