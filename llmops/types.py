"""The nouns of the system: plain frozen values that the rooms hand to each other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Vectors: TypeAlias = "NDArray[np.float32]"
Json: TypeAlias = dict[str, Any]
Message: TypeAlias = Mapping[str, Any]
"""One chat message in OpenAI's shape; fields we do not know are kept."""
HEADING_JOINT = " > "
"""Stands between the headings of a passage's heading path."""
CELL_JOINT = " | "
"""Stands between the cells of a table's row, as the loaders write it."""
TextKind: TypeAlias = Literal["query", "passage"]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: a workspace and the principals whose documents may be read.

    `owner` is the person at the machine (a CLI call without `--as`) and sees every document of the workspace;
    no key ever does. `name` is what the audit and the answer rows call the asker, `origin` where the call came from.
    `role` says what may be done (llmops/access/roles.py), never what may be read; `scopes` narrow it, None does not.
    `speaks_for` are patterns of the principals that may be spoken for, or given to a new key; `expires_at` is the end of the
    key, which no key that it makes outlives.
    """

    workspace: str
    principals: frozenset[str] = frozenset()
    owner: bool = False
    name: str = "owner"
    role: str = ""
    scopes: frozenset[str] | None = None
    speaks_for: frozenset[str] = frozenset()
    origin: str = ""
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk of a document as a reader gets it. `start` and `end` count code points in the document's text."""

    chunk_id: str
    document_id: str
    external_id: str
    source: str
    title: str
    text: str
    start: int
    end: int
    version: int = 1
    page: int | None = None
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that a search found. A higher score is better; `legs` holds each leg's own score."""

    passage: Passage
    score: float
    legs: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> Json:
        return {**asdict(self.passage), "score": self.score, "legs": dict(self.legs)}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A collection at one point of its sequence: a query asked as of it finds what was live then."""

    collection: str
    seq: int


@dataclass(frozen=True, slots=True)
class Citation:
    """A sentence of an answer and the sentence of a document that it rests on.

    `start` and `end` count code points in the document's text, `answer_start` and `answer_end` in the answer's.
    """

    document_id: str
    chunk_id: str
    external_id: str
    source: str
    title: str
    text: str
    start: int
    end: int
    answer_start: int
    answer_end: int
    marker: int
    version: int = 1
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model call."""

    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call of a model.

    `deadline` is a `time.monotonic()` value. `passages` are for models that use them structured (`extractive`);
    others find them in the prompt. `extra` holds the request's other fields, which pass through unknown.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    deadline: float | None = None
    passages: tuple[Passage, ...] = ()
    question: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence that a model took from a passage of its request, word for word. `number` counts the passages from 1."""

    text: str
    number: int


@dataclass(frozen=True, slots=True)
class ChatChunk:
    """A piece of a reply. `raw` is the provider's own body or event, untouched, where there was one.

    `abstained` is set by a model that can tell that the passages do not answer the question. A model that quotes gives
    its `quotes`; `text` then says the same, with markers.
    """

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    model: str = ""
    raw: Mapping[str, Any] | None = None
    abstained: bool = False
    quotes: tuple[Quote, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a chain answered, and everything that says why."""

    answer_id: str
    text: str
    citations: tuple[Citation, ...]
    abstained: bool
    groundedness: float | None
    prompt: str
    snapshot: Snapshot
    route: str
    model: str
    usage: Usage
    finish_reason: str = "stop"
    timings: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds by part."""

    def to_json(self) -> Json:
        """The `llmops` field of a chat completion."""
        return {
            "answer_id": self.answer_id,
            "citations": [asdict(citation) for citation in self.citations],
            "groundedness": self.groundedness,
            "abstained": self.abstained,
            "prompt": self.prompt,
            "snapshot": asdict(self.snapshot),
            "route": self.route,
        }


class Provider(Protocol):
    """Something that replies to a chat. A call that does not stream yields one final chunk with `raw` set.

    Who iterates closes: `async with contextlib.aclosing(provider.stream(request)) as chunks`.
    """

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]: ...


class Embedder(Protocol):
    """Something that turns texts into unit vectors, one row each, in order.

    `identity` names encoder, backend and weights: equal identities give equal vectors for equal texts.
    `scripts` are the writing systems it was trained to read, as `llmops.text.script_of` names them, and `languages` the languages
    in them, as ISO 639 codes; none: any.
    """

    identity: str
    dimension: int
    scripts: frozenset[str]
    languages: frozenset[str]

    def embed(self, texts: Sequence[str], kind: TextKind = "passage") -> Vectors: ...
