"""Which sentences of some passages answer a question.

A sentence's score is the mean of two figures between 0 and 1, or the first alone where no encoder reads the question:
- the share of the question's terms that it has, each weighted by its rarity (IDF as in BM25) among the sentences at hand;
  a term that stands only in the heading or the question above it counts half;
- the cosine of its vector and the question's.
A passage that was found earlier is a little ahead.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeAlias

from llmops import text as texts
from llmops.output import width
from llmops.types import CELL_JOINT, HEADING_JOINT, Passage

if TYPE_CHECKING:
    from llmops.types import Vectors

Embed: TypeAlias = "Callable[[str, Sequence[str]], tuple[Vectors, Vectors]]"
"""From a question and n sentences to unit vectors of shapes (d,) and (n, d)."""

EMBEDDED = 8
"""So many sentences are embedded at most: those with the best share of terms. An embedding costs milliseconds."""
LEAST = 0.22
"""Below this score nothing is an answer: of 573 answered English questions one in 300 has a best score below it."""
LEAST_BY_TERMS = 0.04
"""The same where terms alone are counted; of 1,500 answered Japanese questions one in 100."""
NOW, FORMER = 0.5, 0.4
"""Where a question comes with the one before it, on lines of their own: the weight of its own vector beside that of both,
and of the other question's terms."""
_SHORT = 60
_NEAR, _NEAR_SHORT, _NEAR_ELSEWHERE = 0.75, 0.5, 0.85
"""A second sentence follows where its score is this share of the first's: usually, where the first is narrower than
`_SHORT` columns, and where it is of another passage. With a second one always, 3 in 100 more English answers and 4 in 100
more Japanese ones hold the gold answer, and most second ones are beside the point."""
_LEAST_TERMS = 4
_CONTEXT_WEIGHT = 0.5
_RANK_WEIGHT = 0.02
_LEADING_MARKS = re.compile(r"(?:#{1,6}|[-*+>•・]|\d{1,3}[.)])\s+")
# Pairs of letters that are terms where words have no spaces: hiragana is mostly grammar, and a word in katakana has many.
_HIRAGANA, _KATAKANA = re.compile(r"[ぁ-ゟー]+"), re.compile(r"[ァ-ヿ]+")
_HIRAGANA_WEIGHT, _KATAKANA_WEIGHT = 0.1, 0.4
_FRAGMENT = 0.8
"""What a line without a full stop counts: a title, a link, a row of a table states less than a sentence."""
_QUESTION_ENDS = ("?", "？")


@dataclass(frozen=True, slots=True)
class Sentence:
    """`passages[passage].text[start:end]`, and how well it answers. `context` is the heading or question above it."""

    passage: int
    start: int
    end: int
    text: str
    context: str = ""
    score: float = 0.0


def choose(question: str, passages: Sequence[Passage], embed: Embed | None) -> list[Sentence]:
    """The one or two sentences that answer best, the best first; none where none has to do with the question.

    The question is the last line of `question`; the one before it, if it leans on it, stands on a line above.

    A second one follows where it is nearly as good, or good enough and the first is short.
    """
    candidates = _distinct(candidate for number, passage in enumerate(passages) for candidate in _candidates(number, passage))
    # A sentence that holds the very question, as an example may, asks it and does not answer it.
    now = _now(question)
    candidates = [candidate for candidate in candidates if now not in candidate.text]
    full = [candidate for candidate in candidates if len(texts.terms(candidate.text)) >= _LEAST_TERMS]
    ranked = score(question, full or candidates, embed)
    least = LEAST_BY_TERMS if embed is None else LEAST
    best = [sentence for sentence in ranked[:2] if sentence.score >= least]
    return best if len(best) < 2 or _follows(*best) else best[:1]


def _follows(best: Sentence, second: Sentence) -> bool:
    """Whether a second sentence adds to the answer."""
    least = _NEAR_SHORT if width(best.text) < _SHORT else _NEAR
    if second.passage != best.passage:
        least = max(least, _NEAR_ELSEWHERE)
    return second.score >= least * best.score


def score(question: str, sentences: Sequence[Sentence], embed: Embed | None) -> list[Sentence]:
    """The sentences with their scores, best first. With `embed`, only those that were embedded."""
    shares = _shares_of_terms(question, sentences)
    ranked = sorted(
        (
            replace(sentence, score=share * (1 if texts.is_ended(sentence.text) else _FRAGMENT) + _RANK_WEIGHT / (1 + sentence.passage))
            for sentence, share in zip(sentences, shares, strict=True)
        ),
        key=lambda sentence: -sentence.score,
    )
    if embed is None or not ranked:
        return ranked
    ranked = ranked[:EMBEDDED]
    asked, vectors = embed(question, [sentence.text for sentence in ranked])
    if (now := _now(question)) != question.strip():
        asked = (1 - NOW) * asked + NOW * embed(now, [])[0]
    scored = [replace(sentence, score=(sentence.score + float(cosine)) / 2) for sentence, cosine in zip(ranked, vectors @ asked, strict=True)]
    return sorted(scored, key=lambda sentence: -sentence.score)


def _shares_of_terms(question: str, sentences: Sequence[Sentence]) -> list[float]:
    own = [set(texts.terms(sentence.text)) for sentence in sentences]
    above = [set(texts.terms(sentence.context)) for sentence in sentences]
    asked = set(texts.terms(question))
    frequency = Counter(term for terms in own for term in terms & asked)
    now = set(texts.terms(_now(question)))
    weight = {
        term: _weight(term) * (1 if term in now else FORMER) * math.log(1 + (len(own) - frequency[term] + 0.5) / (frequency[term] + 0.5))
        for term in asked
    }
    total = sum(weight.values()) or 1.0
    return [
        sum(weight[term] * (1.0 if term in terms else _CONTEXT_WEIGHT) for term in asked & (terms | context)) / total
        for terms, context in zip(own, above, strict=True)
    ]


def _now(question: str) -> str:
    """The question itself, without the one that it leans on."""
    return question.strip().rpartition("\n")[2].strip()


def _weight(term: str) -> float:
    if _HIRAGANA.fullmatch(term):
        return _HIRAGANA_WEIGHT
    return _KATAKANA_WEIGHT if _KATAKANA.fullmatch(term) else 1.0


def _candidates(number: int, passage: Passage) -> Iterator[Sentence]:
    """The sentences of a passage that state something; headings, questions and a table's first row become the context of what follows."""
    context, header = passage.heading, ""
    headings = {passage.title, passage.heading, *passage.heading.split(HEADING_JOINT)}
    spans = texts.sentences(passage.text)
    for span, following in zip_longest(spans, spans[1:]):
        marks = _LEADING_MARKS.match(passage.text, span.start, span.end)
        start = marks.end() if marks else span.start
        sentence = passage.text[start : span.end]
        if not any(character.isalnum() for character in sentence):
            continue
        if CELL_JOINT not in sentence:
            header = ""
        elif not header:
            header = sentence
            if following is not None and CELL_JOINT in passage.text[following.start : following.end]:
                continue
        heading = passage.text.startswith("#", span.start) or any(title.endswith(sentence) for title in headings)
        if heading or sentence.endswith(_QUESTION_ENDS):
            context = sentence
        else:
            yield Sentence(number, start, span.end, sentence, f"{context} {header}" if header else context)


def _distinct(sentences: Iterator[Sentence]) -> list[Sentence]:
    """Pages repeat each other: a sentence that stands in several passages counts once, where it came first."""
    return list({sentence.text: sentence for sentence in reversed(list(sentences))}.values())[::-1]
