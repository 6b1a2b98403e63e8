"""Sentences, scripts and terms: what every room reads of a text."""

from __future__ import annotations

import pytest

from llmops.text import sentences


@pytest.mark.parametrize(
    "parts",
    [
        ["Run the tool with care.", "foo --bar prints a list… iPhones are not allowed.", "It ended."],
        ["3 when the system failed.", "llmops completion bash prints a script.", "Wait…", "What?"],
        ["Use the card “Acme Gold…” or cash.", "The trace of the answer ans_… is tr-… with the same digits."],
        ["Some, e.g. five, incl. tax, cf. the book, vs. them at 5 a.m. or so."],
        ["キーは llmops_… の形です。", "次の文です！", "「はい。」と言いました。"],
        ["And so on… [1]", "It stops. [1, 2]", "Then [3]"],
    ],
)
def test_sentences_end_where_a_reader_would_say(parts):
    text = " ".join(parts)
    assert [text[start:end] for start, end in sentences(text)] == parts


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["." * 200_000 + "x", " " * 200_000 + "x", "…" * 200_000 + "x", ".[1]" * 50_000])
def test_t31_odd_texts_cost_their_length(text):
    assert sentences(text)
