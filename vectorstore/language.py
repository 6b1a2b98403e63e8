"""In which language a text is written."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING

from llmops.text import scripts
from vectorstore.language_model import arrays

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

FIELD = "language"
"""Of a document's metadata; what the file or the caller said goes before what is told here."""
UNKNOWN = "und"
"""What ISO 639-2 calls a language that cannot be told."""
SAMPLE = 160
"""Characters of a sample: identification costs a microsecond for each, and a document must cost little beside its vectors."""
_SAMPLES = 4
_FEWEST_LETTERS = 12
_FEWEST_HAN = 4
_LEAST_CERTAIN = 0.5


def language(text: str) -> str:
    """The ISO 639-1 code of a text's language; `UNKNOWN` for a text that is short, has no words, or could be of several.

    Kana is Japanese, Hangul Korean, Han alone Chinese. The others are told by `py3langid` (Lui and Baldwin, langid.py: an
    off-the-shelf language identification tool, 2012) from samples of the text.
    """
    sample = _sample(text)
    shares = scripts(sample)
    letters = sum(map(str.isalpha, sample))
    if shares.get("kana", 0) > 0.1 and letters >= _FEWEST_HAN:
        return "ja"
    if shares.get("hangul", 0) > 0.3 and letters >= _FEWEST_HAN:
        return "ko"
    if shares.get("han", 0) > 0.3 and letters >= _FEWEST_HAN:
        return "zh"
    if letters < _FEWEST_LETTERS:
        return UNKNOWN
    found, certainty = _identifier().classify(sample)
    return str(found) if certainty >= _LEAST_CERTAIN else UNKNOWN


def likelihood(text: str, languages: Collection[str]) -> float:
    """How likely the likeliest of these languages is, beside the likeliest of all: 1.0 where it is one of these, or nobody can tell.

    A quotient, for of a few words every language is unlikely, and that says nothing against any of them. Nobody can tell
    where one of them is none of those that are told apart, which are some ninety with codes of two letters.
    """
    shares = {label: float(share) for label, share in _identifier().rank(_sample(text))}
    if not languages or not shares.keys() >= set(languages):
        return 1.0
    return max(shares[label] for label in languages) / max(shares.values())


def _sample(text: str) -> str:
    """Up to four pieces of a text, for its beginning may be a list of names or a piece of code."""
    count = min(_SAMPLES, 1 + len(text) // (10 * SAMPLE))
    step = len(text) // count
    return "\n".join(text[first * step : first * step + SAMPLE] for first in range(count))


@cache
def _identifier() -> LanguageIdentifier:
    """Of the languages that ISO 639-1 has a code for."""
    from py3langid.langid import MODEL_DIR, MODEL_FILE, LanguageIdentifier

    # Its own way to load writes the model into a temporary file each time.
    model = arrays(MODEL_DIR / MODEL_FILE)
    learned = model["ptc"], model["pc"], model["classes"].tolist()
    states, rows = model["nextmove"].data, model["nextmove_row"].tolist()
    identifier = LanguageIdentifier(*learned, states, model["out_feat"].tolist(), norm_probs=True, tk_row=rows)
    identifier.set_languages([label for label in identifier.labels if len(label) == 2])
    return identifier
