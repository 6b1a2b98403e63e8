"""Server-sent events from bytes that come as the network likes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.gateway.sse import Event, Malformed, events

STREAM = (
    '﻿: hello\r\ndata: {"a": "日本😀"}\r\n\r\nevent: error\ndata: one\ndata:two\nid: 7\nretry: 10\n\n\n\ndata\n\ndata: x\r\rdata: [DONE]\n\n'.encode()
)
EVENTS = [Event("", '{"a": "日本😀"}'), Event("error", "one\ntwo"), Event("", ""), Event("", "x"), Event("", "[DONE]")]


async def read(*chunks: bytes, limit: int = 1_000_000) -> list[Event]:
    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [event async for event in events(source(), limit)]


async def test_every_form_of_line_is_read() -> None:
    assert await read(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
async def test_t25_it_does_not_matter_where_the_network_cuts(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert await read(*(STREAM[a:b] for a, b in pairwise(places))) == EVENTS


async def test_t25_byte_by_byte() -> None:
    assert await read(*(bytes([byte]) for byte in STREAM)) == EVENTS


@given(st.lists(st.binary(max_size=40), max_size=10))
async def test_t25_no_bytes_make_anything_but_events_or_one_error(chunks: list[bytes]) -> None:
    with suppress(Malformed):
        assert all(isinstance(event, Event) for event in await read(*chunks, limit=50))


async def test_what_the_end_cut_is_dropped_but_a_bare_done_counts() -> None:
    assert await read(b"data: a\n\ndata: b") == [Event("", "a")]
    assert await read(b"data: a\n\ndata: [DONE]") == [Event("", "a"), Event("", "[DONE]")]
    assert await read(b"data: a\n") == [Event("", "a")]


@pytest.mark.parametrize("chunks", [[b"data: " + b"x" * 200], [b"data: " + b"x" * 60 + b"\n"] * 4, [b"x"] * 200])
async def test_t25_a_line_or_an_event_beyond_the_limit_ends_it(chunks: list[bytes]) -> None:
    with pytest.raises(Malformed, match="longer than 100 bytes"):
        await read(*chunks, limit=100)


async def test_bytes_that_are_not_utf_8_end_it() -> None:
    with pytest.raises(Malformed, match="UTF-8"):
        await read(b"data: \xff\xfe\n\n")
