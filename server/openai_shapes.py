"""OpenAI's chat completion as it comes in and goes out: https://platform.openai.com/docs/api-reference/chat."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema, model_validator

from llmops.types import Answer, Json, Usage
from server.shapes import WHOLE, Body
from server.shapes_filter import Filter

LATEST_SEQ = 2**53 - 1
"""The largest number that every reader of JSON takes for itself."""
MOST_MESSAGES = 2000
MOST_CHOICES = 128
MOST_TOKENS = 10_000_000
MOST_STOPS = 64
LONGEST_STOP = 1000

_CONTENT = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}, {"type": "null"}]}
_MESSAGE = {"type": "object", "required": ["role"], "properties": {"role": {"type": "string"}, "content": _CONTENT}}

_ASKED: list[JsonValue] = [{"role": "user", "content": "How do I stop the server?"}]
_EXAMPLES: list[JsonValue] = [{"model": "rag", "messages": _ASKED}, {"model": "rag", "messages": _ASKED, "stream": True, "llmops": {"k": 3}}]


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """A message's own fields stay as they are; only what everybody relies on is checked."""
    if not isinstance(message.get("role"), str):
        raise ValueError("`role` must be a string, as user or assistant")
    content = message.get("content")
    if not (content is None or isinstance(content, str) or (isinstance(content, list) and all(isinstance(part, dict) for part in content))):
        raise ValueError("`content` must be a string or a list of parts")
    return message


MessageBody = Annotated[dict[str, Any], AfterValidator(_message), WithJsonSchema(_MESSAGE)]


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    include_usage: bool | None = None


class Narrowing(Body):
    """The field `llmops` of a chain's request: where to look, and as of when. `at` may not lie ahead of the collection's sequence."""

    collection: str | None = Field(None, min_length=1, max_length=100)
    at: Annotated[int, Field(ge=0, le=LATEST_SEQ), WHOLE] | None = None
    k: Annotated[int, Field(ge=1, le=50), WHOLE] | None = None
    filter: Filter | None = None


class ChatBody(BaseModel):
    """A chat completion's request. Fields that we do not know are kept and passed on."""

    model_config = ConfigDict(extra="allow", strict=True, json_schema_extra={"examples": _EXAMPLES})
    model: str = Field(min_length=1, max_length=200)
    messages: list[MessageBody] = Field(min_length=1, max_length=MOST_MESSAGES)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    llmops: Narrowing | None = None

    @model_validator(mode="after")
    def _no_flood(self) -> ChatBody:
        """Bound what a model's server would work through for us; everything else about these fields is for the model to judge."""
        given = self.model_extra or {}
        for name, most in (("n", MOST_CHOICES), ("best_of", MOST_CHOICES), ("max_tokens", MOST_TOKENS), ("max_completion_tokens", MOST_TOKENS)):
            if isinstance(given.get(name), int | float) and given[name] > most:
                raise ValueError(f"`{name}` is larger than {most}")
        stops = given.get("stop")
        for stop in [stops] if isinstance(stops, str) else stops if isinstance(stops, list) else []:
            if len(str(stop)) > LONGEST_STOP:
                raise ValueError(f"an entry of `stop` is longer than {LONGEST_STOP} characters")
        if isinstance(stops, list) and len(stops) > MOST_STOPS:
            raise ValueError(f"`stop` has more than {MOST_STOPS} entries")
        return self

    @property
    def wants_usage(self) -> bool:
        """Whether a stream shall end with a chunk that counts tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def others(self) -> Json:
        """The fields that go to the model as they came."""
        options = {"stream_options": self.stream_options.model_dump(exclude_unset=True)} if self.stream_options else {}
        return {**(self.model_extra or {}), **options}


@dataclass(frozen=True, slots=True)
class Completion:
    """What all chunks of one completion have in common, and how they are written."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, text: str, finish_reason: str, usage: Usage) -> Json:
        """A completion that is not streamed."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage_json(usage)}

    def chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> Json:
        """A piece of a streamed one."""
        choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish_reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def usage_chunk(self, usage: Usage) -> Json:
        """The chunk without choices that only counts tokens."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage_json(usage)}

    def _head(self, kind: str) -> Json:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def usage_json(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.tokens_in,
        "completion_tokens": usage.tokens_out,
        "total_tokens": usage.tokens_in + usage.tokens_out,
    }


def whole_answer(completion: Completion, answer: Answer) -> Json:
    """A chain's answer as a completion, with `llmops` beside OpenAI's fields."""
    return {**completion.whole(answer.text, answer.finish_reason, answer.usage), "llmops": answer.to_json()}
