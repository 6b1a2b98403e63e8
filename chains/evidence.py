"""Whether the passages can answer the question at all: decided before the first word of an answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from llmops.text import is_japanese, scripts, terms
from llmops.types import Passage
from vectorstore.fusion import Reading
from vectorstore.index.postings import term_id
from vectorstore.search import Found

_HIRAGANA = re.compile("[ぁ-ゟ]+")
_FUNCTION_WORDS = frozenset(
    terms(
        "a an the this that these those it its i me my we us our you your he she they them his her their there here "
        "is are was were be been am do does did have has had can could will would shall should may might must "
        "what which who whom whose when where why how in on at of to for from by with as about into and or not if so any some"
    )
)
BY_BOTH = 0.4
"""Least mean of cosine and share of terms, where the encoder reads the question."""
BY_TERMS = 0.36
"""Least share of the question's terms, where it does not."""
LOOKED_AT = 5
"""How many of the best hits are looked at."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How strongly the passages speak to the question, and the least that is asked for. Both lie in [0, 1]."""

    value: float
    threshold: float

    @property
    def suffices(self) -> bool:
        return self.value >= self.threshold


def weigh_evidence(query: str, found: Found) -> Evidence:
    """The best cosine and the best weighted share of the query's terms among the hits: their mean, or the share alone.

    The share alone where the encoder does not read the question's language. On XQuAD the mean tells questions whose paragraph was taken away from
    answerable ones with an AUROC of 0.95, the cosine alone with 0.86.
    """
    hits = found.hits[:LOOKED_AT]
    if not scripts(query):  # signs and digits alone ask nothing
        return Evidence(0.0, BY_TERMS)
    share = max((_share(query, hit.passage, found.statistics.weights) for hit in hits), default=0.0)
    if found.reading is not Reading.LANGUAGE:
        return Evidence(share, BY_TERMS)
    cosine = max((hit.legs.get("dense", 0.0) for hit in hits), default=0.0)
    return Evidence((max(cosine, 0.0) + share) / 2, BY_BOTH)


def _share(query: str, passage: Passage, weights: Mapping[int, float]) -> float:
    """How much of the weight of a query's terms a passage holds; what is grammar alone is left out.

    Few pages say "how" and "I": those words are rare, and say nothing of what is asked.
    """
    asked = {term for term in terms(query) if term not in _FUNCTION_WORDS}
    asked = {term for term in asked if not _HIRAGANA.fullmatch(term)} or asked
    held = set(terms(f"{passage.title}\n{passage.heading}\n{passage.text}"))
    total = sum(weights.get(term_id(term), 0.0) for term in asked)
    return sum(weights.get(term_id(term), 0.0) for term in asked & held) / total if total else 0.0


NOTHING_FOUND = "I could not find an answer to this question in the documents."
NOTHING_FOUND_JA = "手元の文書からは、この質問の答えを見つけられませんでした。"


def abstention(question: str) -> str:
    """What is said in place of an answer, in the language of the question."""
    return NOTHING_FOUND_JA if is_japanese(question) else NOTHING_FOUND
