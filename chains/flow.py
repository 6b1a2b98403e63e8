"""Chains by name: what each is asked, and what it yields."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from llmops import plugins
from llmops.errors import InvalidInput, UnknownName
from llmops.text import storable
from llmops.types import Answer, Asker, Message

if TYPE_CHECKING:
    from llmops.gateway.gateway import Gateway
    from llmops.home import Home
    from llmops.sections import Chain as ChainSettings
    from vectorstore.search import Searcher


@dataclass(frozen=True, slots=True)
class Ask:
    """One call of a chain: the conversation so far, who asks, and what overrides the chain's settings.

    `parameters` go to the model as they are. `timings` are milliseconds that were spent before the chain began.
    """

    messages: tuple[Message, ...]
    asker: Asker
    collection: str | None = None
    at: int | None = None
    k: int | None = None
    filter: Mapping[str, Any] | None = None
    route: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = False
    timings: Mapping[str, float] = field(default_factory=dict)


class Chain(Protocol):
    """Yields pieces of text, in order, and at the end one `Answer` whose text they make up and which is committed."""

    def ask(self, ask: Ask) -> AsyncGenerator[str | Answer, None]: ...


@dataclass(frozen=True, slots=True)
class Rooms:
    """What a chain is built from."""

    home: Home
    searcher: Searcher
    gateway: Gateway


@asynccontextmanager
async def open_rooms(home: Home) -> AsyncIterator[Rooms]:
    """What chains are built from, for as long as the block runs. Home stays open."""
    from llmops.gateway.gateway import Gateway
    from vectorstore.search import Searcher

    gateway = Gateway(home.settings, lambda: home.encoder)
    try:
        yield Rooms(home, Searcher(home), gateway)
    finally:
        await gateway.aclose()


class Chains:
    """The chains of a home, each built when it is first asked."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self._built: dict[str, Chain] = {}

    @cached_property
    def _settings(self) -> dict[str, ChainSettings]:
        return {chain.name: chain for chain in self.rooms.home.settings.chains}

    def names(self, workspace: str) -> list[str]:
        """The chains that a workspace may ask."""
        return sorted(name for name, chain in self._settings.items() if chain.workspaces is None or workspace in chain.workspaces)

    def ask(self, name: str, ask: Ask) -> AsyncGenerator[str | Answer, None]:
        """Ask the chain of that name. Raises `UnknownName`, with near names, where the workspace has none."""
        if name not in self.names(ask.asker.workspace):
            raise UnknownName("chain", name, self.names(ask.asker.workspace))
        if name not in self._built:
            settings = self._settings[name]
            self._built[name] = plugins.find("chains", settings.kind)(self.rooms, settings)
        return self._built[name].ask(ask)


def text_of(message: Message) -> str:
    """The text of a message: its content, or the text parts of it."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text")
        return "\n".join(text for text in texts if isinstance(text, str))
    return ""


def last_question(messages: tuple[Message, ...], longest: int) -> str:
    """The text of the last user message. Raises `InvalidInput` if there is none, or it is empty or too long."""
    if not messages or messages[-1].get("role") != "user":
        raise InvalidInput("the last message is not the user's", hint='end `messages` with {"role": "user", "content": "..."}', param="messages")
    question = text_of(messages[-1]).strip()
    if not question:
        raise InvalidInput("the question is empty", hint="ask something", param="messages")
    if storable(question) != question:
        raise InvalidInput("the question is not plain text", hint="it holds NUL, or bytes that are not UTF-8", param="messages")
    if len(question) > longest:
        raise InvalidInput(
            f"the question has {len(question):,} characters, {longest:,} are allowed",
            hint="put long material into a document and ask about it",
            param="messages",
        )
    return question
