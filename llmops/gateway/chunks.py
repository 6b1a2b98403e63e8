"""OpenAI's bodies and events as chunks. `model` is the name in the configuration, by which prices go; the provider's own stays in `raw`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from llmops.gateway.sse import Malformed
from llmops.text import storable_json
from llmops.types import ChatChunk, Json, Usage


def parse(given: str | bytes, what: str) -> Json:
    """A JSON object that every store and encoder can take; `Malformed` that calls it `what` otherwise."""
    try:
        text = given.decode() if isinstance(given, bytes) else given
        value = json.loads(text, parse_constant=_number, parse_float=_number)
    except (ValueError, RecursionError):
        page = given[:60] if isinstance(given, bytes) else bytes(given[:60], "utf-8", "replace")
        raise Malformed(f"{what} is {'a web page' if page.lstrip().startswith(b'<') else 'malformed'}, not JSON") from None
    if not isinstance(value, dict):
        raise Malformed(f"{what} is JSON, but not an object")
    clean: Json = storable_json(value) if "\\u" in text else value
    return clean


def _number(text: str) -> float:
    """A number that JSON can hold again: NaN and the infinities are none."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no JSON number")
    return value


def chunk_of_body(raw: Json, model: str) -> ChatChunk:
    """The one chunk of a completion that was not streamed."""
    choice = _first_choice(raw)
    if choice is None:
        raise Malformed("the answer has no choices")
    return _chunk(raw, model, choice, choice.get("message"))


def chunk_of_event(raw: Json, model: str, *, wants_usage: bool) -> ChatChunk:
    """The chunk of a streamed event. One that only counts tokens has no `raw` for a caller who did not ask for it."""
    choice = _first_choice(raw)
    chunk = _chunk(raw, model, choice or {}, (choice or {}).get("delta"))
    if choice is None and chunk.usage is not None and not wants_usage:
        return ChatChunk(usage=chunk.usage, model=model)
    return chunk


def is_real(chunk: ChatChunk) -> bool:
    """Whether a chunk is part of an answer; a preamble that only names a role is not."""
    if chunk.text or chunk.finish_reason:
        return True
    choices = (chunk.raw or {}).get("choices") or ()
    return any(_says(choice.get("message") or choice.get("delta")) for choice in choices if isinstance(choice, dict))


def _says(message: Any) -> bool:
    return isinstance(message, dict) and any(value for field, value in message.items() if field != "role")


def _first_choice(raw: Json) -> Json | None:
    """The choice with index 0; an empty one where an event is of another choice, None where there are no choices."""
    choices = raw.get("choices")
    if choices is None or choices == []:
        return None
    if not isinstance(choices, list) or not isinstance(choices[0], dict):
        raise Malformed("the choices of the answer are malformed")
    return next((choice for choice in choices if isinstance(choice, dict) and choice.get("index", 0) == 0), {})


def _chunk(raw: Json, model: str, choice: Json, message: Any) -> ChatChunk:
    content = message.get("content") if isinstance(message, dict) else None
    reason = choice.get("finish_reason")
    return ChatChunk(
        text=content if isinstance(content, str) else "",
        finish_reason=reason if isinstance(reason, str) else None,
        usage=_usage(raw.get("usage")),
        model=model,
        raw=raw,
    )


def _usage(counts: Any) -> Usage | None:
    if not isinstance(counts, Mapping):
        return None
    return Usage(_count(counts.get("prompt_tokens")), _count(counts.get("completion_tokens")))


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
