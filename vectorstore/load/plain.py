"""Plain text: paragraphs between empty lines."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from vectorstore.load.decode import clean, decode
from vectorstore.load.lines import unwrapped
from vectorstore.load.parsed import Failed, Fields, Parsed, TextBuilder

_EMPTY_LINES = re.compile(r"\n(?:[ \t\u3000]*\n)+")


def load(content: bytes, name: str, fields: Fields) -> list[Parsed | Failed]:
    """A text file as one document whose title is the file's stem."""
    builder = TextBuilder()
    add_paragraphs(builder, clean(decode(content)))
    return [builder.finish(PurePosixPath(name).stem)]


def add_paragraphs(builder: TextBuilder, text: str) -> None:
    """The paragraphs of a plain text, each a block."""
    for paragraph in _EMPTY_LINES.split(text):
        builder.add("paragraph", unwrapped(paragraph))
