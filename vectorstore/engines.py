"""Who parses and embeds for an ingestion: this process, or the workers of a Ray cluster, with the same documents and vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from llmops.errors import InvalidInput, Unavailable, UnknownName
from vectorstore.load import Failed, Fields, Parsed
from vectorstore.load.limits import Interrupted, Limits, OverLimit, can_read_pictures
from vectorstore.load.pool import ParserPool

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.jobs.ray import RayActors
    from llmops.types import Embedder, TextKind, Vectors

LOCAL, RAY = "local", "ray"
LOOK_EVERY = 0.2
"""Seconds between two looks whether the job must stop."""
_REFUSALS: dict[str, type[InvalidInput]] = {"over limit": OverLimit, "interrupted": Interrupted, "invalid": InvalidInput}
"""What may come of a file that cannot be read, by the name under which it travels; the last one is any other."""


class Parsing(Protocol):
    """A file on its way through a parser: vectorstore/load/pool.py says what the two mean."""

    def wait(self, seconds: float) -> bool: ...

    def documents(self, go_on: Callable[[], None]) -> Iterator[Parsed | Failed]: ...

    def drop(self) -> None: ...


class Engine(Protocol):
    """Where files are parsed, within `limits`, and where texts get the vectors of the home's encoder.

    `ahead` is how many files it wants to have at hand beside the one whose turn it is.
    """

    ahead: int

    @property
    def encoder(self) -> Embedder: ...

    @property
    def limits(self) -> Limits: ...

    def parse(self, content: bytes, name: str, fields: Fields) -> Parsing: ...


@contextmanager
def engine_for(home: Home, name: str, go_on: Callable[[], None]) -> Iterator[Engine]:
    """The engine of that name, ready to work. `go_on` is called while others are waited for, and ends the wait where it raises.

    Raises `UnknownName`, and `Unavailable` where a cluster is not to be had or not as we are.
    """
    parsing = home.settings.parsing
    limits = Limits(parsing.seconds, parsing.memory_mb, parsing.max_pages, pictures=can_read_pictures())
    if name == LOCAL:
        with ParserPool(limits) as parsers:
            yield LocalEngine(home, parsers, limits)
    elif name == RAY:
        from llmops.jobs.ray import RayActors

        arguments = {"encoder": {**home.settings.encoder.model_dump(), "threads": 1}, "limits": asdict(limits)}
        with RayActors(home.settings.ray, "ingest", arguments) as actors:
            yield RayEngine(home, actors, limits, go_on)
    else:
        raise UnknownName("engine", name, [LOCAL, RAY])


class LocalEngine:
    """Parses in processes of this machine, and embeds with the home's encoder."""

    ahead = 8

    def __init__(self, home: Home, parsers: ParserPool, limits: Limits) -> None:
        self._home, self._parsers, self.limits = home, parsers, limits

    @property
    def encoder(self) -> Embedder:
        return self._home.encoder

    def parse(self, content: bytes, name: str, fields: Fields) -> Parsing:
        return self._parsers.submit(content, name, fields)


class RayEngine:
    """Hands each file and each text to an actor. Every worker must have our version and our encoder, or other vectors would come back."""

    def __init__(self, home: Home, actors: RayActors, limits: Limits, go_on: Callable[[], None]) -> None:
        from llmops import __version__

        self._actors, self.limits, self.ahead = actors, limits, 2 * len(actors)
        ours = {"llmops": __version__, "encoder": home.encoder.identity}
        for theirs in [actors.submit("about", to=number) for number in range(len(actors))]:
            if (found := awaited(theirs, go_on)) != ours:
                raise Unavailable(f"a Ray worker has {found}, here it is {ours}", hint="install the same version and the same encoder everywhere")
        self.encoder: Embedder = SpreadEncoder(home.encoder, actors, go_on)

    def parse(self, content: bytes, name: str, fields: Fields) -> Parsing:
        return RemoteParsing(self._actors.submit("parse", content, name, fields))


class RemoteParsing:
    """A file that an actor parses: all of its documents come together."""

    def __init__(self, call: Future[Any]) -> None:
        self._call = call

    def wait(self, seconds: float) -> bool:
        try:
            self._call.exception(seconds)
        except TimeoutError:
            return False
        return True

    def drop(self) -> None:
        self._call.cancel()

    def documents(self, go_on: Callable[[], None]) -> Iterator[Parsed | Failed]:
        found, refused = awaited(self._call, go_on)
        yield from found
        if refused is not None:
            kind, reason, hint = refused
            raise _REFUSALS[kind](reason, hint=hint)


class SpreadEncoder:
    """An `Embedder` that splits texts over the actors and puts their vectors in order: each text is embedded alone anyway."""

    def __init__(self, ours: Embedder, actors: RayActors, go_on: Callable[[], None]) -> None:
        self.identity, self.dimension, self.scripts, self.languages = ours.identity, ours.dimension, ours.scripts, ours.languages
        self._actors, self._go_on = actors, go_on

    def embed(self, texts: Sequence[str], kind: TextKind = "passage") -> Vectors:
        """Unit vectors, float32, shape (len(texts), dimension)."""
        size = max(1, -(-len(texts) // len(self._actors)))
        calls = [self._actors.submit("embed", list(texts[first : first + size]), kind) for first in range(0, len(texts), size)]
        parts = [awaited(call, self._go_on) for call in calls]
        return np.vstack(parts) if parts else np.zeros((0, self.dimension), dtype=np.float32)


def awaited(future: Future[Any], go_on: Callable[[], None]) -> Any:
    """What a future gives. `go_on` is called while it is waited for, and may end the wait by raising."""
    while not wait([future], LOOK_EVERY).done:
        go_on()
    return future.result()


class IngestActor:
    """The part of kind `actors` named `ingest`: what is done on a worker. It knows no store, no home and no key."""

    def __init__(self, encoder: Mapping[str, Any], limits: Mapping[str, Any]) -> None:
        from llmops.encoder import load_encoder
        from llmops.sections import EncoderSettings

        self._encoder = load_encoder(EncoderSettings(**encoder))
        self._parsers = ParserPool(Limits(**limits), processes=1)

    def about(self) -> dict[str, str]:
        from llmops import __version__

        return {"llmops": __version__, "encoder": self._encoder.identity}

    def parse(self, content: bytes, name: str, fields: Fields) -> tuple[list[Parsed | Failed], tuple[str, str, str] | None]:
        """The documents of a file; and why it, or the rest of it, cannot be read: the kind of refusal, its reason and its way out."""
        found: list[Parsed | Failed] = []
        try:
            found.extend(self._parsers.submit(content, name, fields).documents())
        except InvalidInput as failure:
            kind = next(name for name, one in _REFUSALS.items() if isinstance(failure, one))
            return found, (kind, str(failure), failure.hint)
        return found, None

    def embed(self, texts: list[str], kind: TextKind) -> Vectors:
        return self._encoder.embed(texts, kind)
