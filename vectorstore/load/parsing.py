"""A file on its way through a parser, and the room for what was parsed and not taken yet."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeAlias

from vectorstore.load.parsed import Failed, Fields, Parsed

MOST_WAITING = 64 * 2**20
"""Bytes of parsed documents that wait to be taken, of all files, before their parsers are held up."""
_LOOK_EVERY = 0.2

Told: TypeAlias = "Parsed | Failed | Exception | None"
"""What a parser says: a document, why there are no more, or that this was all."""


class Room:
    """How many bytes of parsed documents wait to be taken, over all parsers of a pool."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0
        self._changed = threading.Condition()

    def take(self, size: int, may_wait: Callable[[], bool]) -> None:
        """Return once there is room for so many bytes, or the caller may not wait any more."""
        with self._changed:
            while self._held and self._held + size > self._most and may_wait():
                self._changed.wait(_LOOK_EVERY)
            self._held += size

    def give_back(self, size: int) -> None:
        with self._changed:
            self._held -= size
            self._changed.notify_all()


class Parsing:
    """One file on its way through a parser."""

    def __init__(self, content: bytes, name: str, fields: Fields, room: Room) -> None:
        self.content, self.name, self.fields = content, name, fields
        self.dropped = threading.Event()
        self._told: queue.SimpleQueue[tuple[Told, int]] = queue.SimpleQueue()
        self._room = room
        self._begun, self._is_read, self._is_over = threading.Event(), False, False
        self._lock = threading.Lock()

    def wait(self, seconds: float) -> bool:
        """Whether its first document, or the reason why it has none, is there within so many seconds."""
        return self._begun.wait(seconds)

    def documents(self, go_on: Callable[[], None] = lambda: None) -> Iterator[Parsed | Failed]:
        """The documents of the file as they come; `go_on` is called while they are waited for, and may raise.

        Raises `InvalidInput` where the file, or the rest of it, cannot be read.
        """
        self._is_read = True
        while True:
            try:
                one, size = self._told.get(timeout=_LOOK_EVERY)
            except queue.Empty:
                go_on()
                continue
            self._room.give_back(size)
            if one is None or isinstance(one, Exception):
                self._is_over = True
            if one is None:
                return
            if isinstance(one, Exception):
                raise one
            yield one

    def drop(self) -> None:
        """Nobody reads the rest of it; its parser goes on to the next file."""
        with self._lock:
            if not self._is_over:
                self.dropped.set()
                while not self._told.empty():
                    self._room.give_back(self._told.get()[1])

    def tell(self, one: Told, size: int = 0) -> None:
        """Hand on what the parser said, of so many bytes; waits for room unless the file is being read now, for then it must go on."""
        self._begun.set()
        self._room.take(size, lambda: not (self._is_read and self._told.empty()) and not self.dropped.is_set())
        with self._lock:
            if self.dropped.is_set():
                self._room.give_back(size)
            else:
                self._told.put((one, size))
