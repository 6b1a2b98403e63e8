"""The fakes that ship: they need no model, no network and no key."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from llmops.errors import InvalidInput, LLMOpsError
from llmops.faulty_provider import FaultyProvider
from llmops.text import SCRIPTS, terms
from llmops.types import ChatChunk, ChatRequest, TextKind, Usage

if TYPE_CHECKING:
    from llmops.types import Vectors

__all__ = ["FaultyProvider", "HashEncoder", "ScriptedModel"]


class HashEncoder:
    """An `Embedder` without a model: texts that share terms have vectors that are near, and no more than that.

    A text's vector is the sum of its terms' vectors, and a term's are the 64 bytes of its hash, centred. A text without
    terms gets the vector of the term "". Equal texts have equal vectors in every process.
    """

    identity = "hash"
    dimension = 64
    scripts = SCRIPTS
    languages: frozenset[str] = frozenset()

    def embed(self, texts: Sequence[str], kind: TextKind = "passage") -> Vectors:
        """Unit vectors, float32, shape (len(texts), 64). `kind` changes nothing."""
        if isinstance(texts, str):
            raise InvalidInput("embed takes a list of texts, not one text", hint="embed([text])")
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for term in terms(text) or [""]:
                vectors[row] += _term_vector(term)
            vectors[row] /= np.linalg.norm(vectors[row])
        return vectors


@lru_cache(maxsize=65536)
def _term_vector(term: str) -> Vectors:
    digest = hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=HashEncoder.dimension).digest()
    return np.frombuffer(digest, dtype=np.uint8).astype(np.float32) - 127.5


class ScriptedModel:
    """A provider that replays replies in order and remembers the requests in `seen`. A reply that is an error is raised.

    To put it behind a route: `plugins.register("providers", "scripted")(lambda target, context: model)`.
    """

    def __init__(self, *replies: str | LLMOpsError, model: str = "scripted") -> None:
        self.replies, self.model = list(replies), model
        self.seen: list[ChatRequest] = []

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        """The next reply, word by word if the request streams. A token is a word."""
        self.seen.append(request)
        assert self.replies, f"ScriptedModel was asked {len(self.seen)} times and has no reply left"
        reply = self.replies.pop(0)
        if isinstance(reply, LLMOpsError):
            raise reply
        words = re.findall(r"\s*\S+|\s+$", reply)
        asked = sum(len(str(message.get("content") or "").split()) for message in request.messages)
        if request.stream:
            for word in words:
                yield ChatChunk(text=word, model=self.model)
        yield ChatChunk(text="" if request.stream else reply, finish_reason="stop", usage=Usage(asked, len(words)), model=self.model)
