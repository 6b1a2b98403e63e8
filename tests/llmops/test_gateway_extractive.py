"""The embedded model: it quotes, marks what it quotes, and says when it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from llmops.gateway.extractive import NO_ANSWER, NO_ANSWER_JA, NO_PASSAGES, NO_PASSAGES_JA, Extractive
from llmops.testing import HashEncoder
from llmops.text import sentences
from llmops.types import ChatChunk, ChatRequest, Passage


class JapaneseBlind(HashEncoder):
    scripts = frozenset({"latin"})
    languages: frozenset[str] = frozenset()

    def embed(self, texts: Any, kind: Any = "passage") -> Any:
        assert not any("。" in text for text in texts), "a question that cannot be read is not embedded"
        return super().embed(texts, kind)


MODEL = Extractive(JapaneseBlind)
SERVER = "# Starting the server\n\nThe command `llmops serve` starts the server on port 8000 and loads all that it needs. It needs no key at first."
STOPPING = "How do I stop the server?\nPress Ctrl-C in the terminal where it was started before. What else could one want?\nNothing."
SAYAKA = "サーバーを起動するには llmops serve を実行します。停止するには Ctrl-C を押してください。"
WEATHER = "In the north of the island it rains on two days of three. The south is dry."


def passages(*bodies: str, heading: str = "") -> tuple[Passage, ...]:
    return tuple(Passage(f"c{n}", f"d{n}", f"e{n}", "s", f"t{n}", body, 0, len(body), heading=heading) for n, body in enumerate(bodies, 1))


async def reply(question: str, *bodies: str, stream: bool = False) -> list[ChatChunk]:
    messages = ({"role": "system", "content": "Answer."}, {"role": "user", "content": question})
    return [chunk async for chunk in MODEL.stream(ChatRequest("default", messages, stream=stream, passages=passages(*bodies)))]


async def test_it_answers_with_a_sentence_of_the_passage_and_its_marker() -> None:
    (chunk,) = await reply("Which command starts the server?", WEATHER, SERVER)
    assert chunk.text == "The command `llmops serve` starts the server on port 8000 and loads all that it needs. [2]"
    assert chunk.finish_reason == "stop" and chunk.model == "extractive" and chunk.raw is None
    assert chunk.usage is not None and chunk.usage.tokens_in > 40 and 20 < chunk.usage.tokens_out < 40


async def test_japanese_is_answered_without_an_encoder_that_reads_it() -> None:
    (chunk,) = await reply("サーバーを停止するにはどうしますか。", WEATHER, SAYAKA)
    assert chunk.text.startswith("停止するには Ctrl-C を押してください。 [2]")


async def test_what_stands_below_a_question_answers_it() -> None:
    (chunk,) = await reply("How do I stop the server?", WEATHER, STOPPING)
    assert chunk.text.startswith("Press Ctrl-C in the terminal where it was started before. [2]") and "?" not in chunk.text


async def test_the_heading_of_a_passage_counts_for_its_sentences() -> None:
    request = ChatRequest(
        "default",
        (),
        question="How do I restart everything?",
        passages=passages("Press the red button at the door twice.", heading="Restart everything"),
    )
    (chunk,) = [chunk async for chunk in MODEL.stream(request)]
    assert chunk.text == "Press the red button at the door twice. [1]"


async def test_markers_stand_at_the_ends_of_sentences_and_the_text_is_verbatim() -> None:
    body = "- The port of the server is 8000\n- The port of the console of the server is 9000\n"
    (chunk,) = await reply("What is the port of the server?", body)
    assert chunk.text == "The port of the server is 8000 [1]\nThe port of the console of the server is 9000 [1]"
    spans = [chunk.text[span.start : span.end] for span in sentences(chunk.text)]
    assert all(sentence.endswith("[1]") and sentence.removesuffix(" [1]") in body for sentence in spans) and len(spans) == 2


async def test_a_sentence_that_stands_in_two_passages_is_quoted_once() -> None:
    (chunk,) = await reply("What is the port?", "The port is 8000.", "The port is 8000.")
    assert chunk.text == "The port is 8000. [1]"


async def test_a_stream_is_a_sentence_a_chunk_and_the_same_text() -> None:
    body = "The server listens on port 8000. The server needs no key."
    whole = await reply("On which port does the server listen, and does the server need a key?", body)
    chunks = await reply("On which port does the server listen, and does the server need a key?", body, stream=True)
    assert "".join(chunk.text for chunk in chunks) == whole[0].text
    assert len(chunks) == 3 and [chunk.finish_reason for chunk in chunks] == [None, None, "stop"] and chunks[-1].usage == whole[0].usage


@pytest.mark.parametrize(("question", "says"), [("What is this?", NO_PASSAGES), ("これは何ですか？", NO_PASSAGES_JA), ("", NO_PASSAGES)])
async def test_without_passages_it_says_what_it_is_and_the_way_out(question: str, says: str) -> None:
    (chunk,) = await reply(question)
    assert chunk.text == says and "rag" in says and "[" not in says


@pytest.mark.parametrize(("question", "says"), [("Who won the football final?", NO_ANSWER), ("富士山の高さは？", NO_ANSWER_JA)])
async def test_passages_that_have_nothing_to_do_with_the_question_are_not_quoted(question: str, says: str) -> None:
    (chunk,) = await reply(question, "Zebras graze.", "シマウマ")
    assert chunk.text == says


@pytest.mark.parametrize("body", ["", " \n\n", "#", "?", "###\n\n---\n***", "1. 2. 3.", "x" * 20_000, "a. " * 3000])
async def test_odd_passages_do_no_harm(body: str) -> None:
    for question in ("", "?", "a", "What is x?"):
        assert (await reply(question, body))[-1].finish_reason == "stop"


async def test_the_question_is_the_text_of_the_last_user_message() -> None:
    messages = (
        {"role": "user", "content": "Where does it rain?"},
        {"role": "assistant", "content": "In the north."},
        {"role": "user", "content": [{"type": "text", "text": "Which command starts the server?"}, {"type": "image_url"}]},
        {"role": "assistant", "content": None},
    )
    request = ChatRequest("default", messages, passages=passages(WEATHER, SERVER))
    (chunk,) = [chunk async for chunk in MODEL.stream(request)]
    assert chunk.text.startswith("The command")
