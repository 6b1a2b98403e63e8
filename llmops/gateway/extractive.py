"""The embedded chat model: it answers with one or two sentences of the passages it is given, word for word, each with its marker.

It generates nothing, and says so. Where no sentence has enough to do with the question it says that instead.
`llmops.gateway.sentences` chooses.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from llmops import text as texts
from llmops.gateway.providers import ProviderContext
from llmops.gateway.sentences import Sentence, choose
from llmops.sections import Target
from llmops.types import ChatChunk, ChatRequest, Embedder, Passage, Provider, Quote, Usage

if TYPE_CHECKING:
    from llmops.types import Vectors

MODEL = "extractive"

NO_PASSAGES = (
    "This is the embedded extractive model of this installation. It can only quote documents, and this request brings none. "
    "Ask a chain such as `rag`, which finds documents first, or configure a route to a model that generates."
)
NO_PASSAGES_JA = (
    "これは組み込みの抽出型モデルです。文書の引用しかできませんが、このリクエストには文書がありません。"
    "先に文書を検索するチェーン（`rag` など）に質問するか、文章を生成するモデルへのルートを設定してください。"
)
NO_ANSWER = "The documents found do not answer this question."
NO_ANSWER_JA = "見つかった文書には、この質問への答えがありません。"


def make(target: Target, context: ProviderContext) -> Provider:
    """The embedded model; its target names nothing but the provider."""
    return Extractive(context.encoder)


class Extractive:
    """Quotes. Loads the encoder when the first question comes that it can read."""

    def __init__(self, encoder: Callable[[], Embedder]) -> None:
        self._encoder = encoder

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        """A chunk for each sentence if the request streams, else one. `usage` is estimated (`estimate_tokens`)."""
        question = request.question or last_question(request)
        sentences = await asyncio.to_thread(self._choose, question, request.passages)
        chunks = list(_quoted(sentences)) or [_declined(question, bool(request.passages))]
        usage = Usage(
            sum(map(estimate_tokens, [question, *(passage.text for passage in request.passages)])),
            sum(estimate_tokens(chunk.text) for chunk in chunks),
        )
        if request.stream:
            for chunk in chunks:
                yield chunk
            yield ChatChunk(finish_reason="stop", usage=usage, model=MODEL, abstained=chunks[0].abstained)
            return
        text, quotes = "".join(chunk.text for chunk in chunks), tuple(quote for chunk in chunks for quote in chunk.quotes)
        yield ChatChunk(text, "stop", usage, MODEL, abstained=chunks[0].abstained, quotes=quotes)

    def _choose(self, question: str, passages: Sequence[Passage]) -> list[Sentence]:
        return choose(question, passages, self._embed if self._reads(question) else None) if passages else []

    def _reads(self, question: str) -> bool:
        """Whether most of the question is in a script that the encoder was trained to read."""
        shares = texts.scripts(question)
        return bool(shares) and sum(share for script, share in shares.items() if script in self._encoder().scripts) > 0.5

    def _embed(self, question: str, sentences: Sequence[str]) -> tuple[Vectors, Vectors]:
        encoder = self._encoder()
        return encoder.embed([question], "query")[0], encoder.embed(sentences)


def last_question(request: ChatRequest) -> str:
    """The text of the last message that a user wrote."""
    for message in reversed(request.messages):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            parts = content if isinstance(content, list) else []
            return " ".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))
    return ""


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has: a quarter of its UTF-8 bytes. No tokenizer is asked."""
    return (len(text.encode("utf-8", "replace")) + 3) // 4


def _declined(question: str, has_passages: bool) -> ChatChunk:
    """What is said where there is nothing to quote."""
    japanese = texts.is_japanese(question)
    if has_passages:
        return ChatChunk(NO_ANSWER_JA if japanese else NO_ANSWER, model=MODEL, abstained=True)
    return ChatChunk(NO_PASSAGES_JA if japanese else NO_PASSAGES, model=MODEL)


def _quoted(sentences: Iterable[Sentence]) -> Iterator[ChatChunk]:
    """`One. [1]`, ` Two. [2]`: a new line instead of the space where the sentence before has no full stop."""
    joint = ""
    for sentence in sentences:
        number = sentence.passage + 1
        yield ChatChunk(f"{joint}{sentence.text} [{number}]", model=MODEL, quotes=(Quote(sentence.text, number),))
        joint = " " if texts.is_ended(sentence.text) else "\n"
