"""Server-sent events: each is sent as soon as it is made, and whoever makes them is told when the client leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from llmops.errors import Unavailable
from llmops.types import Json
from server.bodies import ClientGone, while_connected
from server.errors import body_of, request_id

WRITE_SECONDS = 60.0
"""A client that takes nothing for so long counts as gone."""


class Opened:
    """A generator of events whose first one is there already. Close it, or let an `EventStream` do so."""

    def __init__(self, first: Json, rest: AsyncGenerator[Json, None]) -> None:
        self._first: Json | None = first
        self._rest = rest

    def __aiter__(self) -> Opened:
        return self

    async def __anext__(self) -> Json:
        if self._first is None:
            return await anext(self._rest)
        first, self._first = self._first, None
        return first

    async def aclose(self) -> None:
        await self._rest.aclose()


async def opened(events: AsyncGenerator[Json, None]) -> Opened:
    """Wait for the first event, so that what fails before it is still an HTTP error. Closes the generator if it does."""
    try:
        return Opened(await anext(events), events)
    except BaseException:
        await events.aclose()
        raise


class EventStream(Response):
    """The response that sends them. It ends with `[DONE]` only when all went well; else with an `error` event."""

    media_type = "text/event-stream"

    def __init__(self, events: Opened) -> None:
        super().__init__(headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def push(data: str, *, more: bool = True) -> None:
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await send({"type": "http.response.body", "body": f"data: {data}\n\n".encode(), "more_body": more})
            except TimeoutError:
                raise ClientGone from None

        async def fail(error: BaseException) -> None:
            with suppress(ClientGone):
                await push(_json(body_of(error, request_id(scope))[1]), more=False)

        try:
            async with aclosing(self._events) as events, while_connected(receive):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                async for event in events:
                    await push(_json(event))
            await push("[DONE]", more=False)
        except ClientGone:
            return
        except asyncio.CancelledError:
            await fail(Unavailable("the server is stopping", hint="ask again"))
            raise
        except Exception as error:  # the status is sent: the stream's last event is the only place left to say it
            await fail(error)


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
