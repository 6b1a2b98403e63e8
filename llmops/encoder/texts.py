"""Texts as a tokenizer can take them."""

from __future__ import annotations

from collections.abc import Sequence

from llmops.errors import InvalidInput


def well_formed(texts: Sequence[str]) -> list[str]:
    """The texts, with U+FFFD for each surrogate that stands alone, for no tokenizer takes one."""
    if isinstance(texts, str):
        raise InvalidInput("embed takes a list of texts, not one text", hint="embed([text])")
    return [_well_formed(place, text) for place, text in enumerate(texts)]


def _well_formed(place: int, text: str) -> str:
    if not isinstance(text, str):
        raise InvalidInput(f"text {place} is not a string but {type(text).__name__}", hint="the encoder reads strings")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
