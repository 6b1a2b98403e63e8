"""Several turns: what to search for when a question leans on the one before it."""

from __future__ import annotations

import re

from chains.flow import text_of
from llmops.text import is_japanese, terms
from llmops.types import Message

FEW_TERMS = 4
"""A question of fewer terms than this rarely stands alone."""

_LEANS = re.compile(
    r"\b(it|its|that|this|these|those|they|them|their|he|she|him|her|there|then|one|ones|same|former|latter)\b"
    r"|^(and|but|so|or|also|why|how about|what about|what else)\b"
    r"|それ|その|これ|この|あれ|そこ|どうして|なぜ|では|じゃあ|また、|他に",
    re.IGNORECASE,
)


def search_query(messages: tuple[Message, ...], question: str) -> str:
    """The text to search with: the question, after the user's former one if it leans on it."""
    former = [text for message in messages[:-1] if message.get("role") == "user" and (text := text_of(message).strip())]
    if not former or not leans(question):
        return question
    return f"{former[-1][-1000:]}\n{question}"


def leans(question: str) -> bool:
    """Whether a question most likely needs the one before it to be understood."""
    few = FEW_TERMS * 2 if is_japanese(question) else FEW_TERMS
    return len(terms(question)) < few or bool(_LEANS.search(question))
