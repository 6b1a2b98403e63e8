"""Which writing systems a model reads, told from its tokenizer's vocabulary."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from llmops.text import script_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WORDS = 100
_CHARACTERS = 1000


def scripts_of(tokenizer: Tokenizer) -> frozenset[str]:
    """The scripts that the vocabulary has words for.

    A script counts with 100 pieces of two or more letters, or with 1,000 pieces in all, as Han has in a vocabulary of
    single characters. Below that there are only stray letters: MiniLM's vocabulary has 500 Han characters, 190 of kana
    and 90 of Cyrillic, of which it makes nothing. A vocabulary is no proof of training, but its absence is one of none.
    """
    words: Counter[str] = Counter()
    pieces: Counter[str] = Counter()
    for number in range(tokenizer.get_vocab_size()):
        # Decoded, a piece of a byte-level vocabulary is text again; "##" and "▁" are no letters.
        letters = [script for character in tokenizer.decode([number]) if (script := script_of(character))]
        pieces.update(set(letters))
        if len(letters) > 1:
            words.update(set(letters))
    return frozenset(script for script in pieces if words[script] >= _WORDS or pieces[script] >= _CHARACTERS)
