"""What is refused of a PDF before it is read: streams that swell, and a number of pages that is not true."""

from __future__ import annotations

import io
import logging
import re
import zlib
from collections.abc import Iterator

from llmops.errors import InvalidInput

MOST_INFLATED = 96 * 2**20
"""Bytes of one stream, inflated. Images are not counted: they are not read."""
MOST_INFLATED_IN_ALL = 2 * 2**30
MOST_LAYERS = 4
_CHUNK = 2**20
_STREAM = re.compile(rb"stream\r?\n")
_IMAGE = re.compile(rb"/Subtype\s*/Image\b")
_PAGE = re.compile(rb"/Type\s*/Page\b(?!s)")
_DICTIONARY = 1500
"""Bytes before a stream in which its dictionary is looked for."""
logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it writes every oddity of a file to stderr


def refuse_bombs(content: bytes) -> None:
    """Raise `InvalidInput` for a file one of whose streams inflates to more than a reader of text needs."""
    left = MOST_INFLATED_IN_ALL
    for match in _STREAM.finditer(content):
        start = content.rfind(b"obj", max(match.start() - _DICTIONARY, 0), match.start())
        if b"FlateDecode" not in content[start : match.start()] or _IMAGE.search(content, start, match.start()):
            continue
        end = content.find(b"endstream", match.end())
        size = 0
        for inflated in _inflated(content[match.end() : end if end >= 0 else len(content)]):
            size += inflated
            if size > min(MOST_INFLATED, left):
                raise InvalidInput(
                    f"a stream of it inflates to more than {min(MOST_INFLATED, left) // 2**20} MB", hint="save it again from a PDF reader"
                )
        left -= size


def _inflated(data: bytes, layer: int = 1) -> Iterator[int]:
    """The sizes of what comes out, chunk by chunk, of each layer. What is not deflated, or broken, is for the reader to judge."""
    if layer > MOST_LAYERS:
        raise InvalidInput(f"a stream of it is deflated more than {MOST_LAYERS} times", hint="save it again from a PDF reader")
    inflate = zlib.decompressobj()
    small = bytearray()
    size = 0
    try:
        chunk = inflate.decompress(data, _CHUNK)
        while chunk:
            size += len(chunk)
            yield len(chunk)
            if size <= 4 * _CHUNK:
                small += chunk  # a bomb's inner layers are small
            chunk = inflate.decompress(inflate.unconsumed_tail, _CHUNK)
    except zlib.error:
        return
    if size <= 4 * _CHUNK and small[:1] == b"\x78":
        yield from _inflated(bytes(small), layer + 1)


def refuse_lost_pages(content: bytes, count: int) -> None:
    """Raise `InvalidInput` where the page tree holds more pages than it says: they would be missing without a word."""
    if sum(1 for _ in _PAGE.finditer(content)) <= count:
        return
    import pypdf

    try:
        held = sum(1 for _ in pypdf.PdfReader(io.BytesIO(content)).pages)
    except Exception:  # broken in another way, or pages of an earlier state of the file
        return
    if held > count:
        raise InvalidInput(f"broken PDF: it says that it has {count:,} pages, and holds {held:,}", hint="save it again from a PDF reader")
