"""HTTP/1.1 by httptools, with limits on what nobody asked for: before the body no key has been shown yet, and after an answer
that did not wait for the body's end nobody reads on.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.errors import BodyError, respond
from server.middleware import HEADERS, id_of

MOST_BYTES = 2 * 1024 * 1024
SECONDS = 20.0
LINGER_SECONDS = 2.0
LINGER_BYTES = 8 * 1024 * 1024
"""How long, and how far, the rest of a refused body is thrown away: a connection closed at once would take our answer with it."""


class BoundedHead(HttpToolsProtocol):
    """Closes a connection whose request line and headers grow too large, or do not end in time."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes = 0
        self._head_due: asyncio.TimerHandle | None = None
        self._lingering: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingering is not None:
            self._lingering += len(data)
            if self._lingering > LINGER_BYTES:
                self.transport.close()
            return
        super().data_received(data)
        if self._head_due is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_BYTES:
                self._head_came()
                self.send_400_response("The headers are too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        unread = self.cycle.more_body and not self.pipeline
        super().on_response_complete()
        if unread and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._linger()

    def send_400_response(self, msg: str) -> None:
        """Say in the one shape of all errors what is wrong with a request that no application has seen, and close."""
        response = respond(BodyError(400, "bad_request", msg, "send one HTTP/1.1 request with headers of a usual size"), name := id_of(""))
        headers = {**dict(response.headers), "x-request-id": name, "connection": "close", **HEADERS}
        head = "".join(f"{field}: {value}\r\n" for field, value in headers.items())
        self.transport.write(f"HTTP/1.1 400 Bad Request\r\n{head}\r\n".encode("latin-1") + bytes(response.body))
        self._linger()

    def _linger(self) -> None:
        """Say no more, throw away what still comes, and close soon."""
        self._lingering = 0
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _expect_head(self) -> None:
        if self._head_due is None:
            self._head_bytes = 0
            self._head_due = self.loop.call_later(SECONDS, self._close)

    def _head_came(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _close(self) -> None:
        self._head_due = None
        self.transport.close()
