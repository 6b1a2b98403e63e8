"""JSON Lines: each line an object, each object a document."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterable, Iterator

from vectorstore.load.decode import decoded_lines
from vectorstore.load.parsed import Failed, Fields, Parsed
from vectorstore.load.records import Row, documents


def load(content: bytes, name: str, fields: Fields) -> Iterator[Parsed | Failed]:
    """A document for each line that is not empty; a row's number is that of its line."""
    return documents(_rows(_lines(content)), name, fields)


def _lines(content: bytes) -> Iterator[str | None]:
    """The lines; None for one that is broken in a file of UTF-8."""
    broken = good = 0
    for text in map(_utf8, io.BytesIO(content)):
        broken += text is None
        good += text is not None and not text.isascii()
    if not broken or good < broken or content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return decoded_lines(content)  # UTF-8 without a fault, or another encoding
    return (text if text is None else text.strip("\r\n\ufeff") for text in map(_utf8, io.BytesIO(content)))


def _utf8(line: bytes) -> str | None:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _rows(lines: Iterable[str | None]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if line is None:
            yield number, f"line {number} is not UTF-8"
            continue
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_constant=_no_number)
        except json.JSONDecodeError as error:
            yield number, f"line {number} is not JSON: {error.msg} at column {error.colno}"
        except (ValueError, RecursionError) as error:
            yield number, f"line {number} is not JSON that can be kept: {str(error).split(';')[0]}"
        else:
            yield number, value if isinstance(value, dict) else f"line {number} is not a JSON object"


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
