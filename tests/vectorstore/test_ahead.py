"""Files that are begun before their turn: in order, within bounds, and with their failures kept for their turn."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from llmops.errors import InvalidInput
from vectorstore import ahead
from vectorstore.ahead import Ahead


def test_files_are_begun_ahead_and_taken_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def bytes_of(piece: int) -> bytes:
        read.append(piece)
        if piece == 2:
            raise InvalidInput("vanished")
        return bytes(piece)

    def begin(piece: int, content: bytes) -> Future[str] | None:
        if piece == 3:
            raise InvalidInput("unknown kind")
        if piece == 4:
            return None
        parsed: Future[str] = Future()
        parsed.set_result(f"documents of {piece}")
        return parsed

    files: Ahead[int, str] = Ahead(2, bytes_of, begin)
    taken = []
    for piece in files.of(range(8)):
        assert len(read) <= piece + 3, "no more than two beside the one whose turn it is"
        try:
            content = files.content(piece)
            begun = files.documents()
            taken.append((len(content), begun and begun.result()))
        except InvalidInput as failure:
            taken.append((piece, str(failure)))
    assert taken == [(n, {2: "vanished", 3: "unknown kind", 4: None}.get(n, f"documents of {n}")) for n in range(8)]
    monkeypatch.setattr(ahead, "MOST_BYTES", 1)
    read.clear()
    files = Ahead(5, bytes_of, begin)
    assert [(piece, len(read)) for piece in files.of([9, 9, 9])] == [(9, 1), (9, 2), (9, 3)], "large ones wait for each other"


def test_without_a_width_a_file_is_read_when_its_turn_comes() -> None:
    read: list[int] = []
    files: Ahead[int, str] = Ahead(0, lambda piece: bytes(read.append(piece) or piece), lambda _piece, _content: None)
    for piece in files.of(range(3)):
        assert read == list(range(piece)), "nothing before it is asked for"
        assert files.content(piece) == bytes(piece) and files.documents() is None
