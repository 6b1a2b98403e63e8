"""Server-sent events from bytes, as the HTML standard's section 9.2.6 reads them, within limits.

Lines end with LF, CRLF or CR, wherever the network cuts them. Comments and fields other than `event` and `data` are
passed over. What stands after the last line end is dropped, for it was cut; only a bare `data: [DONE]` is taken.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from typing import NamedTuple

MAX_LINE = 1_000_000
"""Bytes of one line, and of one event's data."""


class Malformed(ValueError):
    """What a provider sent cannot be read."""


class Event(NamedTuple):
    """One event: its name ("" for the usual one) and its data, lines joined by LF."""

    name: str
    data: str


async def events(chunks: AsyncIterable[bytes], limit: int = MAX_LINE) -> AsyncGenerator[Event, None]:
    """The events of a stream of bytes. `Malformed` for a line beyond `limit` bytes or one that is not UTF-8."""
    lines = _Lines(limit)
    name, data, size = "", list[str](), 0
    async for chunk in chunks:
        for line in lines.feed(chunk):
            if line:
                field, value = _field(line)
                if field == "data":
                    data.append(value)
                    size += len(value)
                    if size > limit:
                        raise Malformed(f"an event of the stream is longer than {limit} bytes")
                elif field == "event":
                    name = value
                continue
            if data:
                yield Event(name, "\n".join(data))
            name, data, size = "", [], 0
    if not data and lines.rest.strip() in {b"data: [DONE]", b"data:[DONE]"}:
        data = ["[DONE]"]
    if data:
        yield Event(name, "\n".join(data))


def _field(line: bytes) -> tuple[str, str]:
    """The name and the value of a line; a comment has the name ""."""
    try:
        name, _, value = line.decode("utf-8").partition(":")
    except UnicodeDecodeError as broken:
        raise Malformed("the stream is not UTF-8") from broken
    return name, value.removeprefix(" ")


class _Lines:
    """Cuts bytes into lines. `rest` is what stands after the last line end."""

    def __init__(self, limit: int) -> None:
        self.rest = b""
        self._limit = limit
        self._after_cr = False
        self._first = True

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if self._after_cr and chunk.startswith(b"\n"):  # the second half of a CRLF that the network cut
            chunk = chunk[1:]
            self._after_cr = False
        if not chunk:
            return
        self._after_cr = chunk.endswith(b"\r")
        lines = (self.rest + chunk).splitlines(keepends=True)
        self.rest = b"" if lines[-1].endswith((b"\n", b"\r")) else lines.pop()
        if len(self.rest) > self._limit:
            raise Malformed(f"a line of the stream is longer than {self._limit} bytes")
        for line in lines:
            if len(line) > self._limit:
                raise Malformed(f"a line of the stream is longer than {self._limit} bytes")
            if self._first:
                line = line.removeprefix(b"\xef\xbb\xbf")
                self._first = False
            yield line.rstrip(b"\r\n")
