"""Any server that speaks OpenAI's chat completions: OpenAI, vLLM, Ollama, llama.cpp, TGI, and many more.

The request's own fields pass through unread, and the provider's body or events come back untouched in `raw`. What is
ours alone (`passages`, `question`, `deadline`) is not sent.

| the provider                                        | the outcome                                            |
|-----------------------------------------------------|--------------------------------------------------------|
| answers 400 or 422                                  | `ProviderRefused`                                      |
| answers another error; 200 with an error inside     | `ProviderError`                                        |
| answers with no choices, a web page, malformed JSON | `ProviderError`                                        |
| cannot be reached; breaks the connection            | `ProviderError`, transient                             |
| ends a stream without `[DONE]` or a finish reason   | `ProviderError` "the stream was cut", transient        |
| is silent beyond a deadline                         | `ProviderError`                                        |
| ends a stream with a finish reason, then breaks     | the answer is whole                                    |
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, suppress
from typing import Any

from llmops.errors import ConnectionFailed, LLMOpsError, ProviderError, TooLarge
from llmops.gateway import failures, sse
from llmops.gateway.chunks import chunk_of_body, chunk_of_event, is_real, parse
from llmops.gateway.deadlines import Deadlines
from llmops.gateway.providers import ProviderContext, api_key, required
from llmops.gateway.sse import Malformed
from llmops.outbound import Reply
from llmops.sections import Target
from llmops.types import ChatChunk, ChatRequest, Json, Provider

MAX_BODY = 16_000_000
"""Bytes of a completion that is not streamed."""
_MAX_ERROR = 100_000
_DRAIN_SECONDS = 0.1


def make(target: Target, context: ProviderContext) -> Provider:
    """The provider of one target. `ConfigurationError` without `base_url` or `model`."""
    required(target, context, "base_url", "model")
    return OpenAI(target, context)


class OpenAI:
    """One model at one server."""

    def __init__(self, target: Target, context: ProviderContext) -> None:
        self._target, self._context = target, context
        self._url = target.base_url.rstrip("/") + "/chat/completions"

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        return self._events(request) if request.stream else self._whole(request)

    async def _whole(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        key = api_key(self._target, self._context)
        deadlines = Deadlines(self._context.name, self._context.timeouts, request.deadline, streams=False)
        try:
            raw = parse(await deadlines.wait(self._read(request, key)), "the answer")
            self._refuse_error(raw, key)
            chunk = chunk_of_body(raw, self._target.model)
        except (ConnectionFailed, TooLarge, Malformed) as failure:
            raise self._failed(failure) from failure
        yield chunk

    async def _events(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        key = api_key(self._target, self._context)
        deadlines = Deadlines(self._context.name, self._context.timeouts, request.deadline, streams=True)
        wants_usage = bool(_stream_options(request).get("include_usage"))
        answered = finished = False
        async with AsyncExitStack() as opened:
            reply = await self._open(request, key, deadlines, opened)
            events = await opened.enter_async_context(aclosing(sse.events(reply.chunks)))
            while True:
                try:
                    event = await deadlines.wait(anext(events, None))
                    if event is None or event.data == "[DONE]":
                        break
                    raw = parse(event.data, "a chunk of the stream")
                    self._refuse_error(raw, key)
                    chunk = chunk_of_event(raw, self._target.model, wants_usage=wants_usage)
                except (ConnectionFailed, Malformed, ProviderError) as failure:
                    if finished:  # the answer is whole; only what would follow it is missing
                        return
                    raise self._failed(failure) from failure
                answered = answered or is_real(chunk)
                finished = finished or chunk.finish_reason is not None
                if answered:
                    deadlines.answered()
                yield chunk
            if event is None and not finished:
                raise ProviderError(f"{self._context.name}: the stream was cut", transient=True)
            if not answered:
                raise ProviderError(f"{self._context.name}: the stream had no answer in it")
            await _drain(reply.chunks)

    async def _open(self, request: ChatRequest, key: str, deadlines: Deadlines, opened: AsyncExitStack) -> Reply:
        """The reply with status 200, its body yet to come."""
        try:
            reply = await deadlines.wait(opened.enter_async_context(self._post(request, key)))
            await opened.enter_async_context(aclosing(reply.chunks))
            if reply.status != 200:
                raise await deadlines.wait(self._error(reply, key))
        except ConnectionFailed as failure:
            raise self._failed(failure) from failure
        return reply

    async def _read(self, request: ChatRequest, key: str) -> bytes:
        async with self._post(request, key) as reply:
            if reply.status != 200:
                raise await self._error(reply, key)
            return await reply.read(MAX_BODY)

    def _post(self, request: ChatRequest, key: str) -> AbstractAsyncContextManager[Reply]:
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream" if request.stream else "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        body = json.dumps(self._body(request), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
        return self._context.http().post(self._url, body=body, headers=headers, connect=self._context.timeouts.connect)

    def _body(self, request: ChatRequest) -> Json:
        body = {**request.extra, "model": self._target.model, "messages": list(request.messages)}
        body.pop("stream", None)
        if request.stream:
            body["stream"] = True
            body["stream_options"] = {**_stream_options(request), "include_usage": True}
        return body

    async def _error(self, reply: Reply, key: str) -> ProviderError:
        try:
            body = await reply.read(_MAX_ERROR)
        except (TooLarge, ConnectionFailed):
            body = b""
        hint = f"check the key in {self._target.api_key_env or self._target.api_key_file}" if key else ""
        return failures.of_reply(self._context.name, reply.status, reply.headers, body, [key], hint)

    def _refuse_error(self, raw: Json, key: str) -> None:
        """Some servers answer 200 and put an error into the body, or into an event."""
        if raw.get("error"):
            raise failures.of_event(self._context.name, raw["error"], [key])

    def _failed(self, failure: LLMOpsError | Malformed) -> ProviderError:
        if isinstance(failure, ProviderError):
            return failure
        hint = failure.hint if isinstance(failure, LLMOpsError) else ""
        return ProviderError(f"{self._context.name}: {failure}", hint=hint, transient=isinstance(failure, ConnectionFailed))


def _stream_options(request: ChatRequest) -> dict[str, Any]:
    options = request.extra.get("stream_options")
    return dict(options) if isinstance(options, Mapping) else {}


async def _drain(chunks: AsyncIterable[bytes]) -> None:
    """Read on to the end, which is near: only then can the connection serve another call."""
    with suppress(ConnectionFailed, TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in chunks:
                pass
