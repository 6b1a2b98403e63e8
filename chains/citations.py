"""Citations to the sentence: markers in a reply become references to the sentences of documents that they rest on.

Works on a stream: a sentence leaves as soon as it is complete, with its markers checked. A marker that names no passage
of this request is taken out. A sentence without a marker that a passage plainly supports gets one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llmops.text import Span, is_ended, sentences, storable, terms
from llmops.types import CELL_JOINT, Citation, Passage, Quote

_ONE = r"[\[【［]\d{1,3}(?:\s?[,;、]\s?\d{1,3})*[\]】］]"
# Markers end their sentence, alone or in a list: `[1]`, `[1, 2]`, `[1][2]`, `[1], [2]`, `[1] and [2]`.
_LAST = re.compile(rf"(?P<free>[ \u3000]?){_ONE}(?:(?:[ \u3000]?|\s?(?:,|and|、)\s?){_ONE})*+(?=[.!?…。！？｡．]*$)")
# Inside a sentence they stand free; `values[2]` is the text's own.
_INNER = re.compile(rf"(?:(?<=[\n(（])|^|[ \u3000])(?:{_ONE})++(?=[\s,;:、。)）*|.]|$)")
_NUMBER = re.compile(r"\d+")
_MARKER_BEGUN = re.compile(r"[,、]?\s*(?:[\[【［][\d,;、\s\[\]【】［］]*)?")
_FENCE = re.compile(r"^\s*(```|~~~)")
PLAIN = 0.75
"""A sentence without a marker is attributed to a passage that holds at least this share of its terms."""
FEWEST = 4
"""Sentences of fewer terms are not attributed: too little to tell."""
LONGEST = 2000
"""Characters of a sentence that are waited for. A longer one leaves in parts, so that a reply without an end costs no more than another."""


class Citer:
    """Turns the pieces of one reply into checked sentences. `text` and `citations` are what has left so far."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        self._sentences = [sentences(passage.text) for passage in passages]
        self._terms = [[set(terms(passage.text[s:e])) for s, e in spans] for passage, spans in zip(passages, self._sentences, strict=True)]
        self._buffer = ""
        self._in_code = False
        self._last = ""
        self.text = ""
        self.citations: list[Citation] = []
        self.support: list[float] = []

    def feed(self, piece: str) -> str:
        """Take a piece of the reply; return what is ready to leave: whole sentences."""
        self._buffer += storable(piece)
        spans = _parts(self._buffer)
        # The last sentence may still grow; what looks like the beginning of a marker belongs to the one before it.
        if spans and _MARKER_BEGUN.fullmatch(self._buffer, spans[-1].start):
            spans.pop()
        # The space before the last one stays with it: a line's end there decides how a marker after it is read.
        return self._release(spans[:-1], spans[-2].end) if len(spans) > 1 else ""

    def quote(self, quote: Quote) -> str:
        """Take a sentence that was quoted word for word; it leaves at once, with its marker and nothing else changed."""
        joint = "" if not self.text else " " if is_ended(self._last) else "\n"
        self._last = quote.text
        self.support.append(1.0)
        self.citations.append(self._citation(quote.text, quote.number, len(self.text) + len(joint)))
        said = f"{joint}{quote.text} [{quote.number}]"
        self.text += said
        return said

    def finish(self) -> str:
        """What is left at the end of the reply."""
        return self._release(_parts(self._buffer), len(self._buffer))

    @property
    def groundedness(self) -> float:
        """The mean share of an answer sentence's terms that the best passage holds: lexical, and not calibrated."""
        return sum(self.support) / len(self.support) if self.support else 0.0

    def _release(self, spans: list[Span], upto: int) -> str:
        ready, self._buffer = self._buffer[:upto], self._buffer[upto:]
        out, at = "", 0
        for start, end in spans:
            out += ready[at:start]
            out += self._sentence(ready[start:end], len(self.text) + len(out))
            at = end
        out += ready[at:]
        self.text += out
        return out

    def _sentence(self, sentence: str, place: int) -> str:
        """A sentence with its markers checked; its citations are kept, with offsets from `place` on."""
        if _FENCE.match(sentence):
            self._in_code = not self._in_code
        if self._in_code or _FENCE.match(sentence):
            return sentence
        last = _LAST.search(sentence)
        if last and not last["free"] and last.start() and sentence[last.start() - 1].isalnum() and not self._known(last.group()):
            last = None  # `items[0]` ends the sentence, and is no marker
        body = sentence[: last.start()] + sentence[last.end() :] if last else sentence
        bare = _INNER.sub(self._checked, body).strip()
        plain = _INNER.sub("", bare)
        if not plain.strip():  # markers that stand alone say nothing of any sentence
            return ""
        named = [number for marker in _INNER.findall(bare) for number in self._known(marker)]
        closing = self._known(last.group()) if last else []
        if CELL_JOINT not in sentence:  # behind a row's last cell a marker of ours would end the table
            best = self._best(plain)
            if not named and not closing and best is not None and best[1] >= PLAIN:
                closing = [best[0] + 1]
            if len(terms(plain)) >= FEWEST:
                self.support.append(best[1] if best else 0.0)
        for number in dict.fromkeys([*named, *closing]):
            self.citations.append(self._citation(bare, number, place))
        return bare + (" " + "".join(f"[{number}]" for number in closing) if closing else "")

    def _known(self, markers: str) -> list[int]:
        """The numbers in some markers that are those of passages."""
        return [number for number in dict.fromkeys(map(int, _NUMBER.findall(markers))) if 1 <= number <= len(self._passages)]

    def _checked(self, marker: re.Match[str]) -> str:
        """A marker inside a sentence with the numbers that name a passage; nothing where none does."""
        known = "".join(f"[{number}]" for number in self._known(marker.group()))
        return known and marker.group()[: marker.group()[0] in " \u3000"] + known

    def _best(self, sentence: str) -> tuple[int, float] | None:
        """The passage that holds the largest share of the sentence's terms."""
        wanted = set(terms(sentence))
        if len(wanted) < FEWEST or not self._passages:
            return None
        shares = [len(wanted & set().union(*by_sentence)) / len(wanted) for by_sentence in self._terms]
        number = max(range(len(shares)), key=lambda i: shares[i])
        return number, shares[number]

    def _citation(self, sentence: str, number: int, place: int) -> Citation:
        """The sentence of the passage that says most of what the answer's sentence says."""
        passage, spans, known = self._passages[number - 1], self._sentences[number - 1], self._terms[number - 1]
        at = passage.text.find(sentence)
        if at >= 0:
            span = Span(at, at + len(sentence))
        elif spans:
            wanted = set(terms(sentence))
            best = max(range(len(spans)), key=lambda i: len(wanted & known[i]) / (len(known[i]) + 5))
            # Nothing in common, as between two languages: then the passage as a whole is what it rests on.
            span = spans[best] if wanted & known[best] else Span(0, len(passage.text))
        else:
            span = Span(0, len(passage.text))
        return Citation(
            document_id=passage.document_id,
            chunk_id=passage.chunk_id,
            external_id=passage.external_id,
            source=passage.source,
            title=passage.title,
            text=passage.text[span.start : span.end],
            start=passage.start + span.start,
            end=passage.start + span.end,
            answer_start=place,
            answer_end=place + len(sentence),
            marker=number,
            version=passage.version,
            page=passage.page,
        )


def _parts(text: str) -> list[Span]:
    """The sentences of a text; one beyond `LONGEST` in parts, cut at a space where its first characters have one."""
    parts: list[Span] = []
    for start, end in sentences(text):
        while end - start > LONGEST:
            stop = text.rfind(" ", start + 1, start + LONGEST)
            stop = stop if stop > 0 else start + LONGEST
            parts.append(Span(start, stop))
            start = stop + (text[stop] == " ")
        parts.append(Span(start, end))
    return parts
