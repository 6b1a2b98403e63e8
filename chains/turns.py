"""Several turns: what to search for when a question leans on the one before it."""

from __future__ import annotations

import re

from chains.evidence import NOTHING_FOUND, NOTHING_FOUND_JA
from chains.flow import text_of
from llmops.gateway.extractive import NO_ANSWER, NO_ANSWER_JA
from llmops.text import is_japanese, scripts, terms
from llmops.types import Message

FEW_TERMS = 4
"""A question of fewer terms than this rarely stands alone."""

_DECLINED = frozenset({NOTHING_FOUND, NOTHING_FOUND_JA, NO_ANSWER, NO_ANSWER_JA})
_PLEASANTRIES = re.compile(
    r"(hi|hello|hey|ok|okay|thanks|thank you|thanks a lot|thank you very much|great|good|nice|yes|no|bye"
    r"|こんにちは|ありがとう(ございます)?|了解(です)?)[\s!.！。]*",
    re.IGNORECASE,
)
_LEANS = re.compile(
    r"\b(it|its|that|this|these|those|they|them|their|he|she|him|her|there|then|one|ones|same|former|latter)\b"
    r"|^(and|but|so|or|also|why|how about|what about|what else)\b"
    r"|それ|その|これ|この|あれ|そこ|どうして|なぜ|では|じゃあ|また、|他に",
    re.IGNORECASE,
)


def search_query(messages: tuple[Message, ...], question: str) -> str:
    """The text to search with: the question, on a line of its own after the user's former one if it leans on it.

    One that leans itself is passed over for the one that it leans on. One that found no answer is not leaned on:
    it is about something that the documents do not hold.
    """
    question, former = " ".join(question.split()), ""
    if not leans(question):
        return question
    for message in messages[:-1]:
        text = text_of(message).strip()
        if message.get("role") == "user" and text and not (former and leans(text)):
            former = " ".join(text.split())[-1000:]
        elif message.get("role") == "assistant" and text in _DECLINED:
            former = ""
    return f"{former}\n{question}" if former else question


def leans(question: str) -> bool:
    """Whether a question most likely needs the one before it to be understood."""
    if _PLEASANTRIES.fullmatch(question.strip()) or not scripts(question):
        return False
    few = FEW_TERMS * 2 if is_japanese(question) else FEW_TERMS
    return len(terms(question)) < few or bool(_LEANS.search(question))
