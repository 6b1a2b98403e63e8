"""What surrounds every request: its id, its headers, its measure, and the answer to what nobody caught.

Plain ASGI all the way, so that a stream is neither buffered nor cut off from its client.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import BodyError, respond

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Observe = Callable[[Scope, int, float], None]
"""Told of every request at its end: its scope, its status (499: the client left before one), its seconds."""


class Frame:
    """The outermost layer. Nothing gets past it: an error that nobody foresaw becomes a 500 that names a request id."""

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self._app, self._observe = app, observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope)
        request_id = id_of(given.get("x-request-id", ""))
        scope.setdefault("state", {})["request_id"] = request_id
        began, status = time.monotonic(), 499

        async def send_framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
                raise BodyError(400, "invalid_input", "the address holds a NUL character")
            if len(given.getlist("host")) > 1:  # whoever stands before us may have judged the other one
                raise BodyError(400, "invalid_input", "more than one Host header", "send one")
            await self._app(scope, receive, send_framed)
        except Exception as error:
            response = respond(error, request_id)
            if status != 499:  # a response is under way: all that is left is to cut it off
                raise ConnectionAbortedError(f"request {request_id} failed within its response") from None
            await response(scope, receive, send_framed)
        finally:
            self._observe(scope, status, time.monotonic() - began)


class KnownHosts:
    """Refuse a request whose Host names none of ours: a page that rebinds its name to this machine stays outside."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app, self._hosts = app, frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._hosts and host_name(Headers(scope=scope).get("host", "")) not in self._hosts:
            raise BodyError(403, "unknown_host", "this server does not answer to that Host", "add the name to `hosts` of [server]")
        await self._app(scope, receive, send)


def host_name(header: str) -> str:
    """The name in a Host header, without its port and an IPv6 address's brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].rstrip(".").lower()


def id_of(given: str) -> str:
    """The caller's own id where it is harmless, else a new one."""
    return given if _REQUEST_ID.fullmatch(given) else f"req_{secrets.token_hex(12)}"
