"""Retrieval-augmented answers: search, decide whether to answer, ask the model, cite, record.

The whole flow of a request is `RagChain.ask`. Nothing is said before it is known whether the passages suffice, and
the answer's row is committed before the last piece leaves.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import prompts
from chains import records
from chains.citations import Citer
from chains.evidence import Evidence, abstention, weigh_evidence
from chains.flow import Ask, Chain, Rooms, last_question
from chains.rows import NewAnswer
from chains.turns import search_query
from llmops.errors import InvalidInput, LLMOpsError, ProviderError, UnknownName
from llmops.failpoints import failpoint
from llmops.redact import redact
from llmops.sections import Chain as ChainSettings
from llmops.types import Answer, ChatRequest, Message, Passage, Usage
from vectorstore.search import Found

MOST_PASSAGES = 50
LONGEST_REPLY = 1_000_000
"""Characters. A model that does not come to an end is cut off there."""


@dataclass(slots=True)
class Course:
    """What is known of an answer while it comes about; in the end it is its row."""

    ask: Ask
    chain: str
    question: str
    query: str
    prompt: str
    route: str
    found: Found
    evidence: Evidence
    citer: Citer
    answer_id: str = field(default_factory=lambda: f"ans_{uuid.uuid4().hex}")
    started_at: float = field(default_factory=time.time)
    timings: dict[str, float] = field(default_factory=dict)
    abstained: bool = False
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    finish_reason: str = "stop"


def make(rooms: Rooms, settings: ChainSettings) -> Chain:
    """The part of kind `chains` named `rag`."""
    return RagChain(rooms, settings)


class RagChain:
    """Answers from one collection by one route."""

    def __init__(self, rooms: Rooms, settings: ChainSettings) -> None:
        self._rooms, self._settings = rooms, settings

    async def ask(self, ask: Ask) -> AsyncGenerator[str | Answer, None]:
        """Pieces of the answer's text, then the answer itself, committed."""
        course = await self._begin(ask)
        failpoint("answer.searched")
        try:
            async with aclosing(self._pieces(course)) as pieces:
                async for piece in pieces:
                    yield piece
        except BaseException as failure:  # a cut stream or a client that left: what was said is on record all the same
            await self._record(course, "partial" if course.citer.text else "failed", _reason(failure))
            raise
        failpoint("answer.said")
        yield await self._record(course, "complete", None)

    async def _begin(self, ask: Ask) -> Course:
        """Search, and weigh what was found."""
        settings = self._settings
        route = ask.route or settings.route
        self._check(ask, route)
        question = last_question(ask.messages, self._rooms.home.settings.server.max_question_chars)
        query = search_query(ask.messages, question)
        prompt = prompts.get(settings.prompt)
        found = await self._rooms.searcher.search_async(
            query,
            collection=ask.collection or settings.collection,
            asker=ask.asker,
            k=settings.k if ask.k is None else ask.k,
            at=ask.at,
            filter=ask.filter,
        )
        timings = dict(ask.timings) | {name: seconds * 1000 for name, seconds in found.seconds.items()}
        citer = Citer([hit.passage for hit in found.hits])
        return Course(ask, settings.name, question, query, prompt.reference, route, found, weigh_evidence(query, found), citer, timings=timings)

    def _check(self, ask: Ask, route: str) -> None:
        """Refuse what cannot be carried out before anything is searched."""
        if ask.k is not None and not 1 <= ask.k <= MOST_PASSAGES:
            raise InvalidInput(
                f"k is {ask.k}, it must be between 1 and {MOST_PASSAGES}", hint="an answer reads a few passages; search returns more", param="k"
            )
        routes = [known.name for known in self._rooms.gateway.routes(ask.asker.workspace)]
        if route not in routes:
            raise UnknownName("route", route, routes)

    async def _pieces(self, course: Course) -> AsyncGenerator[str, None]:
        """The answer's text, sentence by sentence; or that there is none."""
        if not course.evidence.suffices:
            course.abstained = True
            course.model = "none"
            course.citer.text = abstention(course.question)
            yield course.citer.text
            return
        started = time.perf_counter()
        async with aclosing(self._rooms.gateway.stream(course.route, self._request(course), course.ask.asker.workspace)) as chunks:
            async for chunk in chunks:
                course.model = chunk.model or course.model
                course.abstained = course.abstained or chunk.abstained
                course.usage = chunk.usage or course.usage
                course.finish_reason = chunk.finish_reason or course.finish_reason
                said = "".join(map(course.citer.quote, chunk.quotes)) if chunk.quotes else course.citer.feed(chunk.text)
                if len(course.citer.text) > LONGEST_REPLY:
                    raise ProviderError(f"the model of route {course.route!r} did not end within {LONGEST_REPLY:,} characters")
                if said:
                    course.timings.setdefault("first_sentence", (time.perf_counter() - started) * 1000)
                    yield said
        if said := course.citer.finish():
            yield said
        if not course.citer.text:
            raise ProviderError(
                f"the model of route {course.route!r} gave an empty answer ({course.finish_reason})", hint="ask again, or another route"
            )
        course.timings["model"] = (time.perf_counter() - started) * 1000

    def _request(self, course: Course) -> ChatRequest:
        """The prompt with its passages, after the system's words and the turns so far."""
        passages = tuple(hit.passage for hit in course.found.hits)
        rendered = prompts.get(course.prompt).render(question=course.question, passages=_numbered(passages))
        system = tuple(message for message in rendered if message["role"] == "system")
        rest = tuple(message for message in rendered if message["role"] != "system")
        messages: tuple[Message, ...] = (*system, *course.ask.messages[:-1], *rest)
        return ChatRequest(course.route, messages, stream=course.ask.stream, passages=passages, question=course.query, extra=course.ask.parameters)

    async def _record(self, course: Course, state: str, error: str | None) -> Answer:
        """Commit the answer's row; shielded, so that a client that leaves takes nothing with it."""
        started = time.perf_counter()
        cost = self._rooms.gateway.price(course.model, course.usage)
        row = _row(course, state, error, cost, self._rooms.home.settings.digest())
        await self._rooms.home.store.write_async(lambda connection: records.record(connection, row), durable=False)
        failpoint("answer.recorded")
        course.timings["commit"] = (time.perf_counter() - started) * 1000
        return Answer(
            answer_id=course.answer_id,
            text=course.citer.text,
            citations=tuple(course.citer.citations),
            abstained=course.abstained,
            groundedness=None if course.abstained else course.citer.groundedness,
            prompt=course.prompt,
            snapshot=course.found.snapshot,
            route=course.route,
            model=course.model,
            usage=course.usage,
            finish_reason=course.finish_reason,
            timings=course.timings,
        )


def _numbered(passages: tuple[Passage, ...]) -> str:
    """The passages as the model reads them: numbered, each under its title."""
    return "\n\n".join(f"[{number}] {passage.title}\n{passage.text}" for number, passage in enumerate(passages, 1))


def _row(course: Course, state: str, error: str | None, cost: float, configuration: str) -> NewAnswer:
    ask, found = course.ask, course.found
    return NewAnswer(
        id=course.answer_id,
        workspace=ask.asker.workspace,
        asker=ask.asker.name,
        owner=ask.asker.owner,
        principals=sorted(ask.asker.principals),
        chain=course.chain,
        question=course.question,
        messages=[dict(message) for message in ask.messages],
        search_query=course.query,
        prompt=course.prompt,
        collection=found.snapshot.collection,
        seq=found.snapshot.seq,
        filter=dict(ask.filter) if ask.filter else None,
        encoder=found.encoder,
        query_vector=found.query_vector,
        hits=found.hits,
        route=course.route,
        model=course.model,
        parameters={"k": ask.k, "at": ask.at, **_plain(ask.parameters)},
        reply=course.citer.text,
        citations=tuple(course.citer.citations),
        abstained=course.abstained,
        evidence=course.evidence.value,
        groundedness=None if course.abstained else course.citer.groundedness,
        state=state,
        finish_reason=course.finish_reason,
        error=error,
        timings=course.timings,
        usage=course.usage,
        cost=cost,
        configuration=configuration,
        created_at=course.started_at,
    )


def _plain(parameters: Any) -> dict[str, Any]:
    return {str(key): value for key, value in dict(parameters).items()}


def _reason(failure: BaseException) -> str:
    if isinstance(failure, LLMOpsError):
        return redact(f"{failure.code}: {failure}")
    return "the client left" if isinstance(failure, GeneratorExit | asyncio.CancelledError) else type(failure).__name__
