"""What a parser's process runs: `python -m vectorstore.load.child SECONDS MEMORY_MB PAGES PARENT`.

Once it is confined it says `{"ready": true}`. Then it reads a line of JSON and so many bytes from its standard input, answers
with a line for each document and a last one, `{"end": true}` or `{"error": ..., "hint": ...}`, and waits for the next
file. It ends where a file took too much.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

from llmops.errors import InvalidInput
from llmops.types import Json
from vectorstore.load import limits, parse, wire
from vectorstore.load.confine import allow_seconds, confine
from vectorstore.load.parsed import Fields


def main() -> None:
    seconds, memory_mb, pages, parent = sys.argv[1:]
    kept = limits.Limits(float(seconds), int(memory_mb), int(pages))
    limits.keep(kept)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a parser that prints must not be taken for an answer
    logging.disable(logging.CRITICAL)
    confine(kept.memory_mb, int(parent))
    answers.write(wire.line({"ready": True}))
    answers.flush()
    while request := sys.stdin.buffer.readline():
        asked = wire.read(request)
        try:
            content = _exactly(sys.stdin.buffer, asked["size"])
        except MemoryError:
            os._exit(limits.OUT_OF_MEMORY)
        allow_seconds(asked["seconds"])
        for line in _answer(content, asked):
            answers.write(line)
            answers.flush()


def _answer(content: bytes, asked: Json) -> Iterator[bytes]:
    try:
        for one in parse(content, asked["name"], Fields(**asked["fields"])):
            yield wire.line_of(one)
    except InvalidInput as error:
        yield wire.line({"error": str(error), "hint": error.hint, "over": isinstance(error, limits.OverLimit)})
    except MemoryError:
        yield wire.line({"memory": True})
    else:
        yield wire.line({"end": True})


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) != size:
        os._exit(1)  # the parent went away in the middle
    return content


if __name__ == "__main__":
    main()
