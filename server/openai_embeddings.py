"""POST /v1/embeddings: the embedded encoder behind OpenAI's shape."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from llmops.encoder.sound import embed
from llmops.errors import InvalidInput, UnknownName
from llmops.types import Embedder, Json, TextKind, Vectors
from server.bodies import while_connected
from server.door import Door, RoomsOf
from server.openai_replies import Embeddings
from server.shapes import FILLED, WHOLE

if TYPE_CHECKING:
    from server.rooms import Rooms

door = Door("openai")
MOST_TEXTS = 2048
_AT_ONCE = 16
"""Texts embedded between two looks at whether the client is still there."""

_TEXT = {"type": "string", "pattern": FILLED}
_INPUT = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MOST_TEXTS}]}


class TokenArrays(InvalidInput):
    """The caller cut its texts into the tokens of another model."""

    code, status = "token_arrays", 400


class EmbeddingBody(BaseModel):
    """An embedding's request. `input_type` matters to encoders that embed questions and passages differently."""

    model_config = ConfigDict(extra="allow", strict=True, json_schema_extra={"examples": [{"model": "minilm", "input": ["a text", "another"]}]})
    model: str = Field(min_length=1, max_length=200)
    input: Annotated[str | list[Any], WithJsonSchema(_INPUT)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1), WHOLE] | None = None
    input_type: TextKind | None = None

    @field_validator("input", mode="before")
    @classmethod
    def _some_texts(cls, value: Any) -> Any:
        if not isinstance(value, str | list):
            raise ValueError("a text or a list of texts")
        if isinstance(value, list) and not 1 <= len(value) <= MOST_TEXTS:
            raise ValueError(f"1 to {MOST_TEXTS} texts, not {len(value)}")
        return value


@door.post("/v1/embeddings", permission="embeddings:use", returns=Embeddings, fails={404, 499})
async def embeddings(request: Request, body: EmbeddingBody, rooms: RoomsOf) -> Response:
    """A unit vector for each text, in order."""
    encoder = _encoder(rooms, body)
    texts = _texts(body.input)
    async with while_connected(request.receive):
        vectors = [
            await asyncio.to_thread(embed, encoder, texts[n : n + _AT_ONCE], body.input_type or "passage") for n in range(0, len(texts), _AT_ONCE)
        ]
    tokens = sum(_tokens(text) for text in texts)
    data = [_datum(index, vector, body.encoding_format) for index, vector in enumerate(np.concatenate(vectors))]
    return JSONResponse({"object": "list", "data": data, "model": body.model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})


def _encoder(rooms: Rooms, body: EmbeddingBody) -> Embedder:
    name = rooms.home.settings.encoder.name
    if body.model != name:
        raise UnknownName("model", body.model, [name])
    encoder = rooms.home.encoder
    if body.dimensions is not None and body.dimensions != encoder.dimension:
        raise InvalidInput(f"{name!r} has {encoder.dimension} dimensions, not {body.dimensions}", hint="leave `dimensions` out", param="dimensions")
    return encoder


def _texts(given: str | Sequence[Any]) -> list[str]:
    texts = [given] if isinstance(given, str) else list(given)
    if any(isinstance(text, int | list) for text in texts):
        raise TokenArrays(
            "token arrays are the tokens of another model; this encoder reads text",
            hint="send strings; with langchain-openai: OpenAIEmbeddings(check_embedding_ctx_length=False)",
            param="input",
        )
    for number, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise InvalidInput(
                f"input {number} is {'empty' if isinstance(text, str) else 'not a string'}", hint="send texts", param=f"input.{number}"
            )
    return texts


def _datum(index: int, vector: Vectors, encoding: str | None) -> Json:
    floats = vector.astype("<f4")
    embedding: Any = base64.b64encode(floats.tobytes()).decode() if encoding == "base64" else floats.tolist()
    return {"object": "embedding", "index": index, "embedding": embedding}


def _tokens(text: str) -> int:
    """About how many tokens a text has; nobody is billed by it."""
    return max(1, len(text.encode()) // 4)
