"""The files of an order, read in their order and parsed a few ahead by processes of their own.

A file that takes its parser long is put off to the end, so that the others do not wait for it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmops.errors import InvalidInput, LLMOpsError
from llmops.settings import canonical
from llmops.store import blobs
from vectorstore.engines import Engine, Parsing
from vectorstore.load import Failed, Parsed, loader_for
from vectorstore.sources import Order, Upload, read_file

if TYPE_CHECKING:
    from llmops.store.store import Store

RECIPE = "3"
"""Moves when parsing or chunking changes what comes out, so that unchanged files are read again."""
BYTES_AHEAD = 32 * 2**20
PATIENCE = 1.0
"""Seconds after which a file is put off."""
MOST_LATE = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of the order: its bytes are read only when its turn comes. `error` says why they cannot be."""

    path: str
    file: Path | None = None
    upload: Upload | None = None
    error: str = ""
    size: int = 0

    @property
    def name(self) -> str:
        """What says by its extension how to read it."""
        return self.upload.name if self.upload else self.path


@dataclass(slots=True)
class Opened:
    """A file whose turn comes, unless it is not for reading. `error` says why it cannot be; `parsing` is None where nobody had it parsed yet."""

    piece: Piece
    is_read: bool = True
    content: bytes = b""
    fingerprint: str = ""
    error: str = ""
    parsing: Parsing | None = None

    def drop(self) -> None:
        """Nobody reads what is left of it."""
        if self.parsing is not None:
            self.parsing.drop()


class Reader:
    """Opens the files of an order. `is_wanted` says, by a file and its fingerprint, whether it will have to be parsed."""

    def __init__(self, store: Store, order: Order, engine: Engine, is_wanted: Callable[[Piece, str], bool]) -> None:
        self._store, self._order, self._engine, self._is_wanted = store, order, engine, is_wanted
        self._ahead: deque[Opened] = deque()
        self._late: deque[Opened] = deque()

    def opened(self, pieces: Iterable[Piece], go_on: Callable[[], None]) -> Iterator[Opened]:
        """Each file once, in order but for those that take long. `go_on` is called while one is waited for, and may raise."""
        for piece in pieces:
            self._ahead.append(self._open(piece))
            if len(self._ahead) > self._engine.ahead or sum(len(one.content) for one in self._ahead) > BYTES_AHEAD:
                yield from self._next(go_on)
        while self._ahead:
            yield from self._next(go_on)
        while self._late:
            yield self._late.popleft()

    def parsed(self, opened: Opened, go_on: Callable[[], None]) -> Iterator[Parsed | Failed | InvalidInput]:
        """The documents of a file, and at last why it, or the rest of it, cannot be read."""
        try:
            if opened.parsing is None:
                dropped = self._make_way()
                opened.parsing = self._submit(opened)
                for other in dropped:  # behind this one
                    other.parsing = self._submit(other)
            yield from opened.parsing.documents(go_on)
        except InvalidInput as failure:
            yield failure

    def _next(self, go_on: Callable[[], None]) -> Iterator[Opened]:
        """The first of those ahead, unless it takes long, and what came late and is there now."""
        first = self._ahead.popleft()
        # With ids of their own two files may hold the same document, and the later one counts: their order must not depend on the load.
        if first.parsing is None or self._order.fields.id or first.parsing.wait(PATIENCE):
            yield first
        else:
            self._late.append(first)
        while self._late and (len(self._late) > MOST_LATE or _is_there(self._late[0], go_on)):
            yield self._late.popleft()

    def _make_way(self) -> list[Opened]:
        """Let the parsers go on for a file whose turn it is; returns those that wait to be read, which might hold them up for ever."""
        ahead = [other for other in (*self._late, *self._ahead) if other.parsing is not None]
        for other in ahead:
            other.drop()
        return ahead

    def with_limits(self, fingerprint: str) -> str:
        """The fingerprint of a file that could not be read for want of time, memory or Tesseract, or not all of it: another one with more."""
        return hashlib.sha256(f"{fingerprint} {self._engine.limits}".encode()).hexdigest()

    def _open(self, piece: Piece) -> Opened:
        opened = Opened(piece, is_read=self._is_wanted(piece, ""))
        if not opened.is_read:
            return opened
        try:
            opened.content = self._read(piece)
        except LLMOpsError as failure:
            opened.error = failure.with_hint
            return opened
        opened.fingerprint = self._fingerprint(piece, opened.content)
        if loader_for(piece.name) is not None and self._is_wanted(piece, opened.fingerprint):
            opened.parsing = self._submit(opened)
        return opened

    def _submit(self, opened: Opened) -> Parsing:
        if loader_for(opened.piece.name) is None:
            raise InvalidInput(f"unknown kind of file: {opened.piece.name}")
        return self._engine.parse(opened.content, opened.piece.name, self._order.fields)

    def _read(self, piece: Piece) -> bytes:
        if piece.error:
            raise InvalidInput(piece.error)
        if piece.upload:
            name = piece.upload.blob
            content = self._store.read(lambda c: blobs.load(c, name))
            if content is None:
                raise InvalidInput("its bytes are not kept")
            return content
        assert piece.file is not None
        root = Path(self._order.root)
        return read_file(piece.file, root if root.is_dir() else None)

    def _fingerprint(self, piece: Piece, content: bytes) -> str:
        upload = piece.upload
        acl = upload.acl if upload else self._order.acl
        options = [RECIPE, canonical(self._order.to_json()["fields"]), acl, [upload.name, upload.title, upload.metadata] if upload else None]
        return hashlib.sha256(content + b"\0" + canonical(options).encode()).hexdigest()


def _is_there(opened: Opened, go_on: Callable[[], None]) -> bool:
    go_on()
    return opened.parsing is None or opened.parsing.wait(0)
