"""What a loader hands on: text, and the blocks that say how it is built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from llmops.errors import InvalidInput
from llmops.types import Json
from vectorstore.load.decode import clean

BlockKind: TypeAlias = Literal["heading", "paragraph", "item", "code", "table"]
LONGEST_HEADING = 200
LONGEST_TITLE = 300
LONGEST_ID = 900
"""Code points of an external id; the store's column holds 1000, so that a row's number fits behind a file's path."""
LONGEST_ID_BYTES = 1800
"""The same in UTF-8: with its source an id must fit into a row of PostgreSQL's index, which holds 2,704 bytes."""
LONGEST_TEXT = 20_000_000
"""Code points of a document, about ten thousand pages. A small file may say one thing a million times."""
NO_TEXT = "no text"
UNREAD_PAGES = "pages_without_text"
"""The metadata of a document that say how many of its pages are pictures that nobody could read."""
PLAIN_PAGES = "pages_without_layout"
"""The metadata of a document that say of how many of its pages only the words were read, for want of time."""
READ_IN_PART = frozenset({UNREAD_PAGES, PLAIN_PAGES})
"""Metadata that tell that more might be read of a document, and that no author gives."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece `text[start:end]` of a document, in code points. `page` counts from 1."""

    start: int
    end: int
    kind: BlockKind
    headings: tuple[str, ...] = ()
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document as it will be read, searched and cited.

    `id` is the value of a row's id field, else `row` is its number; a whole file has neither. `part` names a document
    inside of a file, such as what is attached to a mail.
    The blocks are in order, do not overlap and cover all of the text but white space.
    """

    title: str
    text: str
    blocks: tuple[Block, ...]
    metadata: Json
    id: str | None = None
    row: int | None = None
    part: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A row or part that is no document, and why; the others of its file go on. Without `id`, `row` and `part` it is the whole file."""

    error: str
    id: str | None = None
    row: int | None = None
    part: str | None = None


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields of a row hold its id, text and title; None where none was named."""

    id: str | None = None
    text: str | None = None
    title: str | None = None


class TextBuilder:
    """Puts a document's text together block by block, and knows under which headings it stands."""

    def __init__(self) -> None:
        self.page: int | None = None
        self.first_heading = ""
        self._parts: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._path: list[tuple[int, str]] = []
        self._headings: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self._blocks

    def heading(self, level: int, text: str) -> None:
        """Begin a section; it ends the sections of the same or a deeper level."""
        text = " ".join(clean(text).split())
        if not text:
            return
        self.leave(level)
        self._path.append((level, text[:LONGEST_HEADING]))
        self._headings = tuple(name for _, name in self._path)
        self.first_heading = self.first_heading or text
        self.add("heading", text)

    def leave(self, level: int) -> None:
        """End the sections of this and deeper levels: what follows does not stand under their headings."""
        self._path = [(above, name) for above, name in self._path if above < level]
        self._headings = tuple(name for _, name in self._path)

    def add(self, kind: BlockKind, text: str, *, tight: bool = False) -> None:
        """Append a block, after an empty line or, where `tight`, on the next line. White space alone is no block."""
        text = clean(text)
        text = text.strip("\n").rstrip() if kind in ("code", "item") else text.strip()  # these may be indented
        if not text:
            return
        if self._parts:
            gap = "\n" if tight else "\n\n"
            self._parts.append(gap)
            self._length += len(gap)
        self._blocks.append(Block(self._length, self._length + len(text), kind, self._headings, self.page))
        self._parts.append(text)
        self._length += len(text)
        if self._length > LONGEST_TEXT:
            raise InvalidInput(f"has more than {LONGEST_TEXT // 10**6} million characters of text", hint="split the document")

    def finish(self, title: str, metadata: Mapping[Any, Any] | None = None, *, id: str | None = None, row: int | None = None) -> Parsed:
        """The document; `InvalidInput("no text")` where nothing was added."""
        if self.is_empty:
            raise InvalidInput(NO_TEXT)
        return Parsed(one_line(title), "".join(self._parts), tuple(self._blocks), scalars(metadata or {}), id, row)


def is_too_long(external_id: str) -> bool:
    """Whether no store could keep a document under this id."""
    return len(external_id) > LONGEST_ID or len(external_id.encode("utf-8", "replace")) > LONGEST_ID_BYTES


def one_line(title: str) -> str:
    """A title as the store keeps it."""
    return " ".join(clean(title).split())[:LONGEST_TITLE]


def scalars(fields: Mapping[Any, Any]) -> Json:
    """The fields that can be filtered on: strings, numbers and truth values; dates become ISO strings."""
    kept: Json = {}
    for name, value in fields.items():
        if isinstance(value, str):
            kept[clean(str(name))] = clean(value)
        elif isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
            kept[clean(str(name))] = value
        elif hasattr(value, "isoformat"):
            kept[clean(str(name))] = value.isoformat()
    return kept
