"""A document in chunks: pieces of its text small enough for the encoder, cut where the document itself has joints.

Blocks under one heading are packed together; a block too long for a chunk is cut at line ends (code, tables), else at
sentence ends, else at white space, else anywhere. Chunks do not overlap, and every character but white space lies in
exactly one: `text[chunk.start:chunk.end]`, in code points.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from llmops.text import Span, sentences
from llmops.types import HEADING_JOINT
from vectorstore.load.parsed import Block, Parsed
from vectorstore.token_estimate import cumulative, estimate, spaces

SIZE = 180
"""Estimated tokens of a full chunk. With its context and the error of the estimate it fits into 256 tokens."""
TINY = 40
"""A section below this is put together with a neighbour where both fit into one chunk."""
CONTEXT = 32
"""Estimated tokens of the title and headings that are embedded with a chunk."""
LONGEST_HEADING = 1000


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece `text[start:end]` of a document, the headings it stands under, and its page, counted from 1."""

    start: int
    end: int
    heading: str = ""
    page: int | None = None


class _Piece(NamedTuple):
    """What is not cut any more: a block or a part of one."""

    start: int
    end: int
    is_heading: bool
    headings: tuple[str, ...]
    page: int | None


class _Draft(NamedTuple):
    start: int
    end: int
    cost: float
    only_headings: bool
    headings: tuple[str, ...]
    page: int | None


def chunks(parsed: Parsed, *, size: int = SIZE) -> list[Chunk]:
    """The chunks of a document, in order. `size` is in estimated tokens. Takes time linear in the text's length."""
    ruler = _Ruler(parsed.text)
    drafts: list[_Draft] = []
    for section in _sections(_pieces(parsed, ruler, size)):
        top = len(drafts)
        for draft in _packed_section(section, ruler, size):
            if drafts and _belong_together(drafts[-1], draft, size, same_section=len(drafts) > top):
                drafts[-1] = _together(drafts[-1], draft)
            else:
                drafts.append(draft)
    return [Chunk(draft.start, draft.end, HEADING_JOINT.join(draft.headings)[:LONGEST_HEADING], draft.page) for draft in drafts]


def text_hash_of(text: str) -> bytes:
    """SHA-256 of a text that is embedded: the name under which its vector is kept."""
    return hashlib.sha256(text.encode()).digest()


def embedded_text(title: str, heading: str, text: str) -> str:
    """What the encoder reads of a chunk: a line that says where it stands, then its text.

    A line too long loses the headings in the middle first: the title and the nearest heading say most.
    """
    path = [part for part in heading.split(HEADING_JOINT) if part]
    if title and title not in path[:1]:
        path.insert(0, title)
    if path and text.startswith(path[-1] + "\n"):
        path.pop()  # the chunk begins with that heading
    while len(path) > 2 and estimate(HEADING_JOINT.join(path)) > CONTEXT:
        del path[len(path) // 2]
    share = CONTEXT / max(len(path), 1)
    context = HEADING_JOINT.join(part if estimate(HEADING_JOINT.join(path)) <= CONTEXT else _shortened(part, share) for part in path)
    return f"{context}\n{text}" if context else text


def _shortened(text: str, size: float) -> str:
    return text[: max(int(np.searchsorted(cumulative(text), size, "right")) - 1, 0)].rstrip()


class _Ruler:
    """Measures spans of one text and cuts them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._costs = cumulative(text)
        self._cost_at = self._costs.data  # a memoryview: single values come out of it much faster
        self._spaces = spaces(text)

    def cost(self, start: int, end: int) -> float:
        return self._cost_at[end] - self._cost_at[start]

    def trimmed(self, start: int, end: int) -> Span:
        while start < end and self.text[start].isspace():
            start += 1
        while end > start and self.text[end - 1].isspace():
            end -= 1
        return Span(start, end)

    def lines(self, start: int, end: int) -> Iterator[Span]:
        while start < end:
            found = self.text.find("\n", start, end)
            found = found if found >= 0 else end
            line = self.trimmed(start, found)
            if line.start < line.end:
                yield line
            start = found + 1

    def sentences(self, start: int, end: int) -> Iterator[Span]:
        for sentence in sentences(self.text[start:end]):
            yield Span(start + sentence.start, start + sentence.end)

    def cut(self, start: int, end: int, size: float) -> Iterator[Span]:
        """Pieces of about equal cost, not above `size`, ended at white space where there is any."""
        while (cost := self.cost(start, end)) > size:
            target = self._costs[start] + cost / math.ceil(cost / size)
            stop = max(int(np.searchsorted(self._costs, target, "right")) - 1, start + 1)
            space = int(np.searchsorted(self._spaces, stop, "right")) - 1
            if space >= 0 and self._spaces[space] > start:
                stop = int(self._spaces[space])
            yield self.trimmed(start, stop)
            start = self.trimmed(stop, end).start
        if start < end:
            yield Span(start, end)


def _pieces(parsed: Parsed, ruler: _Ruler, size: int) -> Iterator[_Piece]:
    """The blocks, cut where they are longer than a chunk. What follows a heading leaves room for it."""
    room: float = size
    for block in _all_blocks(parsed):
        start, end = ruler.trimmed(block.start, block.end)
        if start == end:
            continue
        is_heading = block.kind == "heading" and ruler.cost(start, end) <= size / 2
        by_lines = block.kind in ("code", "table")
        for span in _split(ruler, start, end, max(room, size / 2), by_lines=by_lines):
            yield _Piece(span.start, span.end, is_heading, block.headings, block.page)
        room = room - ruler.cost(start, end) if is_heading else size


def _all_blocks(parsed: Parsed) -> Iterator[Block]:
    """The blocks, and what a loader left between them."""
    at = 0
    for block in parsed.blocks:
        if block.start > at:
            yield Block(at, block.start, "paragraph", block.headings, block.page)
        yield Block(max(block.start, at), block.end, block.kind, block.headings, block.page)
        at = max(at, block.end)
    yield Block(at, len(parsed.text), "paragraph")


def _split(ruler: _Ruler, start: int, end: int, size: float, *, by_lines: bool) -> list[Span]:
    """A span in pieces that each fit."""
    if ruler.cost(start, end) <= size:
        return [Span(start, end)]
    parts: list[Span] = []
    for span in ruler.lines(start, end) if by_lines else ruler.sentences(start, end):
        if ruler.cost(*span) <= size:
            parts.append(span)
        elif by_lines:
            parts += _split(ruler, *span, size, by_lines=False)
        else:
            parts += ruler.cut(*span, size)
    return _packed(parts, ruler, size)


def _packed(parts: Sequence[Span], ruler: _Ruler, size: float) -> list[Span]:
    """Neighbours put together up to `size`, so that the results are of about equal cost and no small rest is left."""
    packed: list[Span] = []
    remaining = sum(ruler.cost(*part) for part in parts)
    target = current = 0.0
    for part in parts:
        cost = ruler.cost(*part)
        if packed and current + cost <= size and current + cost / 2 <= target:
            packed[-1] = Span(packed[-1].start, part.end)
            current += cost
        else:
            target = remaining / max(math.ceil(remaining / size - 1e-9), 1)
            packed.append(part)
            current = cost
        remaining -= cost
    return packed


def _sections(pieces: Iterator[_Piece]) -> Iterator[list[_Piece]]:
    """Runs of pieces of one page under one heading. Headings with nothing under them belong to the section that they open."""
    section: list[_Piece] = []
    bare = True
    for piece in pieces:
        if section:
            above = section[-1].headings
            opens = bare and piece.headings[: len(above)] == above
            if piece.page != section[-1].page or not (piece.headings == above or opens):
                yield section
                section, bare = [], True
        section.append(piece)
        bare = bare and piece.is_heading
    if section:
        yield section


def _packed_section(section: list[_Piece], ruler: _Ruler, size: int) -> Iterator[_Draft]:
    """A section in drafts of chunks; a heading stays with the piece behind it."""
    units: list[Span] = []
    opened: int | None = None
    for piece in section:
        start = piece.start if opened is None else opened
        opened = start if piece.is_heading else None
        if opened is None or piece is section[-1]:
            units.append(Span(start, piece.end))
    headings, page, bare = section[-1].headings, section[-1].page, all(piece.is_heading for piece in section)
    for start, end in _packed(units, ruler, size):
        yield _Draft(start, end, ruler.cost(start, end), bare, headings, page)


def _belong_together(before: _Draft, after: _Draft, size: int, *, same_section: bool) -> bool:
    """Whether two neighbours make one chunk: one is tiny, both fit, and they are of one top-level section or both tiny."""
    if before.page != after.page or before.cost + after.cost > size:
        return False
    tiny = before.cost < TINY, after.cost < TINY
    if same_section or before.only_headings:
        return any(tiny)
    if before.headings and before.headings[:1] != after.headings[:1]:
        return all(tiny)
    return any(tiny) and before.cost < size / 2


def _together(before: _Draft, after: _Draft) -> _Draft:
    """Under the headings that both have in common, or those of the larger where it is a part of the other's section."""
    common = 0
    for one, other in zip(before.headings, after.headings, strict=False):
        if one != other:
            break
        common += 1
    headings = before.headings[:common]
    if headings == before.headings and after.cost > before.cost:
        headings = after.headings
    cost = before.cost + after.cost
    return _Draft(before.start, after.end, cost, before.only_headings and after.only_headings, headings, before.page)
