"""The files of an order are opened in turn, and parsed ahead of it as far as that holds up nobody."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from vectorstore.load import Parsed
from vectorstore.load.limits import Limits
from vectorstore.load.pool import ParserPool
from vectorstore.reading import Piece, Reader
from vectorstore.sources import Order


@pytest.mark.parametrize("place", [0, 3])
def test_t55_a_file_that_nobody_had_parsed_before_its_turn_is_read_and_parses_no_other_thrice(store, tmp_path, place):
    """The others wait for room that only their own turns give: they make way once, and are ahead again behind it."""
    files = [tmp_path / f"{number}.jsonl" for number in range(8)]
    for file in files:
        file.write_text("".join(f'{{"text": "Row {row} of a file."}}\n' for row in range(300)))
    submitted: list[str] = []

    def is_wanted(piece: Piece, fingerprint: str) -> bool:
        return not fingerprint or piece.file != files[place]

    with ParserPool(Limits(seconds=20), room=2000) as pool:

        def parse(content, name, fields):
            submitted.append(name)
            return pool.submit(content, name, fields)

        engine = SimpleNamespace(ahead=3, limits=Limits(), parse=parse)
        reader = Reader(store, Order("docs", "s", root=str(tmp_path)), engine, is_wanted)
        pieces = [Piece(file.name, file=file, size=os.path.getsize(file)) for file in files]
        rows = 0
        for opened in reader.opened(pieces, lambda: None):
            rows += sum(isinstance(one, Parsed) for one in reader.parsed(opened, lambda: None))
            opened.drop()
    assert rows == 8 * 300
    assert max(map(submitted.count, submitted)) <= 2 and len(submitted) <= 8 + 4
