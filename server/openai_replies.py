"""OpenAI's replies. A field that OpenAI adds, or a provider, may stand beside those that are named here."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.shapes import Count
from server.shapes_answers import ToldShape


class Open(BaseModel):
    """A JSON object that may hold more than these fields."""

    model_config = ConfigDict(extra="allow")


class AnswerMessage(Open):
    role: Literal["assistant"]
    content: str


class AnswerChoice(Open):
    index: Literal[0]
    message: AnswerMessage
    finish_reason: str


class TokenCounts(Open):
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count


class Completed(Open):
    """A chain's answer, with `llmops` beside OpenAI's fields."""

    id: str
    object: Literal["chat.completion"]
    created: Count
    model: str
    choices: list[AnswerChoice] = Field(min_length=1, max_length=1)
    usage: TokenCounts
    llmops: ToldShape


class Passed(Open):
    """What the provider of a route answered, untouched: of all that it may hold only `choices` are sure to be there."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["llmops"]}})
    choices: list[dict[str, Any]] = Field(min_length=1)


class Embedding(Open):
    """A unit vector: numbers, or little-endian float32 in base64."""

    object: Literal["embedding"]
    index: Count
    embedding: list[float] | str


class TextCounts(Open):
    prompt_tokens: Count
    total_tokens: Count


class Embeddings(Open):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: TextCounts
