"""Files that are read and parsed before their turn comes, so that the workers of an engine have something to do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from llmops.errors import LLMOpsError

Piece = TypeVar("Piece")
Found = TypeVar("Found")
MOST_BYTES = 64 * 2**20
"""Of the files that wait read; one larger than all of it is read when its turn comes nearly alone."""


_LOOK_EVERY = 0.2


def awaited(future: Future[Found], go_on: Callable[[], None]) -> Found:
    """What a future gives. `go_on` is called while it is waited for, and may end the wait by raising."""
    while not wait([future], _LOOK_EVERY).done:
        go_on()
    return future.result()


@dataclass(slots=True)
class Begun(Generic[Piece, Found]):
    """A file that was read, or could not be, and its documents where somebody parses it already."""

    piece: Piece
    content: bytes = b""
    failure: LLMOpsError | None = None
    documents: Future[Found] | None = None


class Ahead(Generic[Piece, Found]):
    """Iterate over `of(pieces)`; `width` files are begun before their turn, with none each is read when `content` asks for it.

    `read` gives the bytes of a piece, `begin` hands them to a parser, or returns None where they need not be parsed.
    """

    def __init__(self, width: int, read: Callable[[Piece], bytes], begin: Callable[[Piece, bytes], Future[Found] | None]) -> None:
        self._width, self._read, self._begin = width, read, begin
        self._begun: deque[Begun[Piece, Found]] = deque()
        self._now: Begun[Piece, Found] | None = None

    def of(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """The pieces in their order."""
        coming = iter(pieces)
        if not self._width:
            yield from coming
            return
        more = True
        while more or self._begun:
            while more and len(self._begun) <= self._width and sum(len(begun.content) for begun in self._begun) < MOST_BYTES:
                try:
                    self._begun.append(self._start(next(coming)))
                except StopIteration:
                    more = False
            if self._begun:
                self._now = self._begun.popleft()
                yield self._now.piece

    def content(self, piece: Piece) -> bytes:
        """The bytes of the piece whose turn it is. Raises what reading it raised."""
        if self._now is None:
            return self._read(piece)
        if self._now.failure is not None:
            raise self._now.failure
        return self._now.content

    def documents(self) -> Future[Found] | None:
        """What comes of the piece whose turn it is, where it was begun."""
        return None if self._now is None else self._now.documents

    def _start(self, piece: Piece) -> Begun[Piece, Found]:
        try:
            content = self._read(piece)
        except LLMOpsError as failure:
            return Begun(piece, failure=failure)
        try:
            return Begun(piece, content, documents=self._begin(piece, content))
        except LLMOpsError as failure:
            refused: Future[Found] = Future()
            refused.set_exception(failure)
            return Begun(piece, content, documents=refused)
