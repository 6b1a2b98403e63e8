"""What every room needs to know of text: scripts, sentences with their offsets, and search terms.

Offsets count Unicode code points, as everywhere in this system.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

import Stemmer

# Scripts that put no space between words; their terms are pairs of neighbouring characters.
UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u1100-\u11ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff々〆ー"
    "\U00020000-\U0003ffff"
)
_RUNS = re.compile(rf"(?P<unspaced>[{UNSPACED}]+)|(?P<word>[^\W_{UNSPACED}]+)")

_SCRIPTS = (
    ("Hiragana", "kana"),
    ("Katakana", "kana"),
    ("CJK", "han"),
    ("Latin", "latin"),
    ("Hangul", "hangul"),
    ("Cyrillic", "cyrillic"),
    ("Arabic", "arabic"),
    ("Greek", "greek"),
    ("Hebrew", "hebrew"),
    ("Thai", "thai"),
    ("Devanagari", "devanagari"),
)

SCRIPTS = frozenset(script for _, script in _SCRIPTS)
"""The writing systems that this project tells apart by name."""

# Possessive, and never begun inside a run of stops: a long run costs its length, not its square.
_ENDS = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)]*+(?=\s|$|[\[【［]\d{1,3}[\]】］])|[。！？｡．]+[」』）】”’\"')\]]*|\n+")
_ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|No|Fig|Eq|Sec|Vol|vs|etc|cf|al|approx|incl|excl|resp|Inc|Ltd|Co|Corp|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)"
    r"|\b(?:e\.g|i\.e|U\.S|U\.K|a\.m|p\.m|Ph\.D))\.$"
)
_OPENS = '["“「『'
_SHORT_WORD = re.compile(r"(?:^|\W)\w{1,3}\.$")
_MARKER = re.compile(r"(?:(?:[ \u3000]?|\s?[,、]\s?)[\[【［]\d{1,3}(?:\s?[,;、]\s?\d{1,3})*[\]】］])+")
_local = threading.local()


def storable(text: str) -> str:
    """The text as every store can keep it: U+FFFD for NUL and for halves of surrogate pairs."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\x00", "\ufffd")


def storable_json(value: Any) -> Any:
    """A JSON value whose texts, keys too, are all storable; what is no text stays as it is."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): storable_json(inner) for key, inner in value.items()}
    return [storable_json(inner) for inner in value] if isinstance(value, list | tuple) else value


class Span(NamedTuple):
    """A piece of a text: `text[start:end]`."""

    start: int
    end: int


@lru_cache(maxsize=65536)
def script_of(character: str) -> str:
    """The writing system of a letter: latin, kana, han, ...; "" for what is no letter."""
    if not character.isalpha():
        return ""
    name = unicodedata.name(character, "")
    for prefix, script in _SCRIPTS:
        if name.startswith(prefix.upper()):
            return script
    return name.split(" ")[0].lower() or "unknown"


def scripts(text: str) -> dict[str, float]:
    """The share of each writing system among the letters of a text; empty where there are none."""
    counts = Counter(filter(None, map(script_of, text)))
    total = sum(counts.values())
    return {script: count / total for script, count in counts.items()}


def is_japanese(text: str) -> bool:
    """Whether a text is most likely Japanese: it has kana, or nothing but Han letters."""
    shares = scripts(text)
    return shares.get("kana", 0) > 0.05 or shares.get("han", 0) > 0.9


def sentences(text: str) -> list[Span]:
    """The sentences of a text, trimmed, in order. Citation markers after a full stop belong to its sentence."""
    spans: list[Span] = []
    start = 0
    for end_match in _ENDS.finditer(text):
        end = end_match.end()
        if end <= start or _goes_on(text, start, end_match):
            continue
        if "\n" not in end_match.group() and (marker := _MARKER.match(text, end)):
            end = marker.end()
        _append(spans, text, start, end)
        start = end
    _append(spans, text, start, len(text))
    return spans


def _goes_on(text: str, start: int, ending: re.Match[str]) -> bool:
    """Whether a stop belongs to an abbreviation, or to a sentence that goes on after it.

    「はい。」と goes on with a particle. After an ellipsis only a capital letter, a quotation or a marker begins a sentence:
    `ans_… is` and "Gold…" or cash do not. After a full stop a small letter may, as the name of a command does; not so
    where what stands before is as short as an abbreviation.
    """
    after = text[ending.end() : ending.end() + 3].lstrip(" ")[:1]
    if "…" in ending.group() or ending.group().startswith("..."):
        return bool(after) and not (after.isupper() or after.isspace() or after in _OPENS)
    if ending.group()[-1] in "」』":
        return "ぁ" <= after <= "ゟ"
    if ending.group() != ".":
        return False
    if _ABBREVIATION.search(text, max(start, ending.end() - 8), ending.end()):
        return True
    return after.islower() and _SHORT_WORD.search(text, max(start, ending.end() - 5), ending.end()) is not None


def _append(spans: list[Span], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    if trimmed := piece.strip():
        start += len(piece) - len(piece.lstrip())
        spans.append(Span(start, start + len(trimmed)))


def is_ended(sentence: str) -> bool:
    """Whether a sentence ends with a full stop or what stands for one, perhaps inside a bracket or a quotation."""
    return sentence[-1:] in ".!?…。！？｡．」』）】”’)\"'"


def folded(text: str) -> str:
    """A text without case and width (NFKC, then case folding), in time linear in its length whatever it holds.

    Normalisation sorts the marks on a letter in time quadratic in their number, so behind each 30 of them comes a U+034F, as in
    the stream-safe text format (UAX #15). It goes by blocks, so that other threads have their turn.
    """
    if text.isascii():
        return text.lower()
    maybe, marks, blocks = _marks()
    if maybe.search(text):
        text = marks.sub("\\g<0>\u034f", text)
    return "".join(unicodedata.normalize("NFKC", block).casefold() for block in blocks.findall(text))


@cache
def _marks() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """What is quick to look for and occurs wherever there are more than thirty marks; thirty with more behind them; and pieces of
    a text of which none begins with what could be composed with the letter before it.
    """
    marks = [point for point in range(0x80, 0x20000) if unicodedata.combining(_first(point))]
    composed = [point for point in range(0x80, 0x20000) if unicodedata.category(_first(point))[0] == "M" or "\u1160" <= _first(point) <= "\u11ff"]
    maybe = _class_of([*(point for point in marks if point < 0x10000), *range(0x10000, 0x20000)])
    exact = _class_of(marks)
    return re.compile(f"{maybe}{{31}}"), re.compile(f"{exact}{{30}}(?={exact})"), re.compile(f"(?s:.{{1,4096}}){_class_of(composed)}*+")


def _first(point: int) -> str:
    """What a character's compatibility decomposition begins with; none beyond the first two planes begins with a mark."""
    return unicodedata.normalize("NFKD", chr(point))[0]


def _class_of(points: list[int]) -> str:
    """A pattern for one of these characters, which are sorted."""
    starts = [point for point, before in zip(points, [-1, *points], strict=False) if point != before + 1]
    ends = [point for point, after in zip(points, [*points[1:], -1], strict=True) if point + 1 != after]
    return "[" + "".join(f"\\U{start:08x}-\\U{end:08x}" for start, end in zip(starts, ends, strict=True)) + "]"


def terms(text: str) -> list[str]:
    """The search terms of a text, repeats kept: stems of words, and pairs of characters where words have no spaces."""
    found: list[str] = []
    words: list[str] = []
    for run in _RUNS.finditer(folded(text)):
        if run.lastgroup == "word":
            words.append(run.group())
            continue
        letters = run.group()
        pairs = [letters[i : i + 2] for i in range(len(letters) - 1)]
        found.extend(pairs or [letters])
    found.extend(_stemmer().stemWords(words))
    return found


def _stemmer() -> Stemmer.Stemmer:
    """One for each thread: a stemmer keeps state while it works."""
    if not hasattr(_local, "stemmer"):
        _local.stemmer = Stemmer.Stemmer("english")
    stemmer: Stemmer.Stemmer = _local.stemmer
    return stemmer
