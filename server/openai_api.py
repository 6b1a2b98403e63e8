"""POST /v1/chat/completions: `model` names a chain, which cites its sources, or a route, which passes through."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from llmops.errors import InvalidInput, ProviderError, UnknownName
from llmops.types import Answer, Asker, ChatChunk, ChatRequest, Json, Usage
from server import metrics
from server.bodies import while_connected
from server.door import AskerOf, Door, RoomsOf, link
from server.openai_replies import Completed, Passed
from server.openai_shapes import ChatBody, Completion, Narrowing, whole_answer
from server.streams import EventStream, opened

if TYPE_CHECKING:
    from server.rooms import Rooms

door = Door("openai")


_ANSWER = "/llmops/answer_id"
_EVENT = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "data": {"type": "string", "pattern": r"^(\[DONE\]$|\{)", "description": "A chunk or an error as JSON; after the last one [DONE]"}
    },
}


@door.post(
    "/v1/chat/completions",
    permission="chat:use",
    returns=Completed | Passed,
    responses={200: {"content": {"text/event-stream": {"schema": _EVENT}}}},
    links={"answer": link("answers_show", answer_id=_ANSWER), "rate": link("feedback_give", body={"answer_id": _ANSWER})},
    fails={404, 409, 499, 502},
)
async def chat(request: Request, body: ChatBody, rooms: RoomsOf, asker: AskerOf) -> Response:
    """OpenAI's chat completions. A chain's reply carries `llmops` beside OpenAI's fields; a stream has it in its last chunks."""
    events: AsyncGenerator[Json, None]
    if body.model in rooms.chains.names(asker.workspace):
        answering = _ask(rooms, body, asker, request.state.auth_milliseconds)
        events = _chain_events(answering, body) if body.stream else _chain_whole(answering, body)
    elif body.model in (routes := [route.name for route in rooms.gateway.routes(asker.workspace)]):
        if body.llmops is not None:
            raise InvalidInput(
                f"{body.model!r} is a route and searches nothing", hint="name a chain as `model`, or leave `llmops` out", param="llmops"
            )
        chunks = _call(rooms, body, asker)
        events = _route_events(chunks, body) if body.stream else _route_whole(chunks, body)
    else:
        raise UnknownName("model", body.model, [*rooms.chains.names(asker.workspace), *routes])
    async with while_connected(request.receive):
        first = await opened(events)
    if body.stream:
        return EventStream(first)
    async with aclosing(first):
        return JSONResponse(await anext(first))


def _ask(rooms: Rooms, body: ChatBody, asker: Asker, auth_milliseconds: float) -> AsyncIterator[str | Answer]:
    from chains.flow import Ask

    for number, message in enumerate(body.messages):
        if any(part.get("type") != "text" for part in message.get("content") or () if isinstance(part, dict)):
            raise InvalidInput("a chain reads text alone", hint='send parts of {"type": "text"}, or name a route', param=f"messages.{number}.content")
    others = body.others()
    if others.get("n") not in (None, 1):
        raise InvalidInput("a chain gives one answer", hint="leave `n` out, or name a route as `model`", param="n")
    where = body.llmops or Narrowing.model_construct()
    ask = Ask(
        messages=tuple(body.messages),
        asker=asker,
        collection=where.collection,
        at=where.at,
        k=where.k,
        filter=where.filter,
        parameters={name: value for name, value in others.items() if name != "stream_options"},
        stream=bool(body.stream),
        timings={"auth": auth_milliseconds},
    )
    return rooms.chains.ask(body.model, ask)


async def _chain_whole(answering: AsyncIterator[str | Answer], body: ChatBody) -> AsyncGenerator[Json, None]:
    async with aclosing(_closable(answering)) as parts:
        answer = [part async for part in parts if isinstance(part, Answer)][-1]
    metrics.observe_parts(body.model, answer.timings)
    yield whole_answer(Completion(body.model), answer)


async def _chain_events(answering: AsyncIterator[str | Answer], body: ChatBody) -> AsyncGenerator[Json, None]:
    completion = Completion(body.model)
    delta: dict[str, Any] = {"role": "assistant"}
    async with aclosing(_closable(answering)) as parts:
        async for part in parts:
            if isinstance(part, Answer):
                metrics.observe_parts(body.model, part.timings)
                last = {**completion.chunk(delta, part.finish_reason), "llmops": part.to_json()}
                yield last
                if body.wants_usage:
                    yield {**completion.usage_chunk(part.usage), "llmops": part.to_json()}
            elif part:
                yield completion.chunk({**delta, "content": part})
                delta = {}


def _call(rooms: Rooms, body: ChatBody, asker: Asker) -> AsyncIterator[ChatChunk]:
    call = ChatRequest(model=body.model, messages=tuple(body.messages), stream=bool(body.stream), extra=body.others())
    return rooms.gateway.stream(body.model, call, asker.workspace)


async def _route_whole(chunks: AsyncIterator[ChatChunk], body: ChatBody) -> AsyncGenerator[Json, None]:
    async with aclosing(_closable(chunks)) as parts:
        got = [part async for part in parts]
    if not got:
        raise ProviderError(f"route {body.model!r} gave no answer")
    final = got[-1]
    if final.raw is not None:
        yield dict(final.raw)
        return
    text = "".join(part.text for part in got)
    yield Completion(final.model or body.model).whole(text, final.finish_reason or "stop", _usage(got))


async def _route_events(chunks: AsyncIterator[ChatChunk], body: ChatBody) -> AsyncGenerator[Json, None]:
    """The provider's own events, untouched; for a provider of our own, events of the same shape."""
    completion: Completion | None = None
    delta: dict[str, Any] = {"role": "assistant"}
    async with aclosing(_closable(chunks)) as parts:
        async for part in parts:
            if part.raw is not None:
                yield dict(part.raw)
                continue
            completion = completion or Completion(part.model or body.model)
            if part.text or part.finish_reason:
                yield completion.chunk({**delta, "content": part.text} if part.text else delta, part.finish_reason)
                delta = {}
            if part.usage is not None and body.wants_usage:
                yield completion.usage_chunk(part.usage)


def _usage(chunks: list[ChatChunk]) -> Usage:
    return next((chunk.usage for chunk in reversed(chunks) if chunk.usage is not None), Usage())


def _closable(source: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    """Providers and chains are async generators; their contracts say only what is read of them."""
    return cast(AsyncGenerator[Any, None], source)
