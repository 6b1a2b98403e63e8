"""Who parses and embeds for an ingestion: this process, or the workers of a Ray cluster, with the same documents and vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from llmops.errors import InvalidInput, Unavailable, UnknownName
from vectorstore.ahead import awaited
from vectorstore.load import Failed, Fields, Parsed, parse

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.jobs.ray import RayActors
    from llmops.types import Embedder, TextKind, Vectors

LOCAL, RAY = "local", "ray"
Documents: TypeAlias = list[Parsed | Failed]


class Engine(Protocol):
    """`parse` fails with `InvalidInput` where a file as a whole cannot be read. `encoder` gives the vectors of the home's encoder.

    `ahead` is how many files it wants to have at hand beside the one whose turn it is.
    """

    ahead: int

    @property
    def encoder(self) -> Embedder: ...

    def parse(self, content: bytes, name: str, fields: Fields) -> Future[Documents]: ...


@contextmanager
def engine_for(home: Home, name: str, go_on: Callable[[], None]) -> Iterator[Engine]:
    """The engine of that name, ready to work. `go_on` is called while others are waited for, and ends the wait where it raises.

    Raises `UnknownName`, and `Unavailable` where a cluster is not to be had or not as we are.
    """
    if name == LOCAL:
        yield LocalEngine(home)
    elif name == RAY:
        from llmops.jobs.ray import RayActors

        arguments = {"encoder": {**home.settings.encoder.model_dump(), "threads": 1}}
        with RayActors(home.settings.ray, "ingest", arguments) as actors:
            yield RayEngine(home, actors, go_on)
    else:
        raise UnknownName("engine", name, [LOCAL, RAY])


class LocalEngine:
    """Parses in this thread, and embeds with the home's encoder."""

    ahead = 0

    def __init__(self, home: Home) -> None:
        self._home = home

    @property
    def encoder(self) -> Embedder:
        return self._home.encoder

    def parse(self, content: bytes, name: str, fields: Fields) -> Future[Documents]:
        parsed: Future[Documents] = Future()
        try:
            parsed.set_result(parse(content, name, fields))
        except Exception as failure:
            parsed.set_exception(failure)
        return parsed


class RayEngine:
    """Hands each file and each text to an actor. Every worker must have our version and our encoder, or other vectors would come back."""

    def __init__(self, home: Home, actors: RayActors, go_on: Callable[[], None]) -> None:
        from llmops import __version__

        self._actors, self.ahead = actors, 2 * len(actors)
        ours = {"llmops": __version__, "encoder": home.encoder.identity}
        for theirs in [actors.submit("about", to=number) for number in range(len(actors))]:
            if (found := awaited(theirs, go_on)) != ours:
                raise Unavailable(f"a Ray worker has {found}, here it is {ours}", hint="install the same version and the same encoder everywhere")
        self.encoder: Embedder = SpreadEncoder(home.encoder, actors, go_on)

    def parse(self, content: bytes, name: str, fields: Fields) -> Future[Documents]:
        parsed: Future[Documents] = Future()

        def settle(call: Future[Any]) -> None:
            if (failure := call.exception()) is not None:
                parsed.set_exception(failure)
            elif isinstance(found := call.result(), Refused):
                parsed.set_exception(InvalidInput(found.reason))
            else:
                parsed.set_result(found)

        self._actors.submit("parse", content, name, fields).add_done_callback(settle)
        return parsed


class SpreadEncoder:
    """An `Embedder` that splits texts over the actors and puts their vectors in order: each text is embedded alone anyway."""

    def __init__(self, ours: Embedder, actors: RayActors, go_on: Callable[[], None]) -> None:
        self.identity, self.dimension, self.scripts = ours.identity, ours.dimension, ours.scripts
        self._actors, self._go_on = actors, go_on

    def embed(self, texts: Sequence[str], kind: TextKind = "passage") -> Vectors:
        """Unit vectors, float32, shape (len(texts), dimension)."""
        size = max(1, -(-len(texts) // len(self._actors)))
        calls = [self._actors.submit("embed", list(texts[first : first + size]), kind) for first in range(0, len(texts), size)]
        parts = [awaited(call, self._go_on) for call in calls]
        return np.vstack(parts) if parts else np.zeros((0, self.dimension), dtype=np.float32)


class Refused:
    """What an actor returns for a file that cannot be read."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class IngestActor:
    """The part of kind `actors` named `ingest`: what is done on a worker. It knows no store, no home and no key."""

    def __init__(self, encoder: Mapping[str, Any]) -> None:
        from llmops.encoder import load_encoder
        from llmops.sections import EncoderSettings

        self._encoder = load_encoder(EncoderSettings(**encoder))

    def about(self) -> dict[str, str]:
        from llmops import __version__

        return {"llmops": __version__, "encoder": self._encoder.identity}

    def parse(self, content: bytes, name: str, fields: Fields) -> Documents | Refused:
        try:
            return parse(content, name, fields)
        except InvalidInput as failure:
            return Refused(str(failure))

    def embed(self, texts: list[str], kind: TextKind) -> Vectors:
        return self._encoder.embed(texts, kind)
