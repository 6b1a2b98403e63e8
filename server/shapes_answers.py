"""An answer as it is shown again, and the field `llmops` of a chat completion."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from server.shapes import AnswerId, ChunkId, Count, DocumentId, Reply, SnapshotShape


class CitationShape(Reply):
    """A sentence of an answer and the sentence of a document that it rests on, both by their offsets in code points."""

    document_id: DocumentId
    chunk_id: ChunkId
    external_id: str
    source: str
    title: str
    text: str
    start: Count
    end: Count
    answer_start: Count
    answer_end: Count
    marker: int
    version: int = Field(ge=1)
    page: int | None = Field(ge=1)


class ToldShape(Reply):
    """What says why: `groundedness` is the share of sentences that cite, null where the chain abstained."""

    answer_id: AnswerId
    citations: list[CitationShape]
    groundedness: float | None = Field(ge=0, le=1)
    abstained: bool
    prompt: str
    snapshot: SnapshotShape
    route: str


class PassageShape(Reply):
    """What was retrieved, without its text: whoever may read it finds it by its id."""

    chunk_id: ChunkId
    document_id: DocumentId
    external_id: str
    source: str
    start: Count
    end: Count
    version: int = Field(ge=1)
    page: int | None = Field(ge=1)
    score: float
    legs: dict[str, float]


class AnswerShape(Reply):
    """An answer with all that it was made from and by. `messages` and `search_query` are for who asked alone."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"messages": ["search_query"], "search_query": ["messages"]}})
    answer_id: AnswerId
    workspace: str
    asker: str
    chain: str
    question: str
    messages: list[dict[str, Any]] = Field(default_factory=list)
    search_query: str = ""
    prompt: str
    collection: str
    seq: Count
    filter: dict[str, Any] | None
    encoder: str
    passages: list[PassageShape]
    route: str
    model: str
    parameters: dict[str, Any]
    reply: str
    citations: list[CitationShape]
    abstained: bool
    evidence: float
    groundedness: float | None = Field(ge=0, le=1)
    state: Literal["complete", "partial", "failed"]
    finish_reason: str
    error: str | None
    timings: dict[str, float]
    tokens_in: Count
    tokens_out: Count
    cost: float = Field(ge=0)
    configuration: str
    created_at: float
