"""JSON Lines: each line an object, each object a document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from vectorstore.load.decode import decoded_lines
from vectorstore.load.parsed import Failed, Fields, Parsed
from vectorstore.load.records import Row, documents


def load(content: bytes, name: str, fields: Fields) -> Iterator[Parsed | Failed]:
    """A document for each line that is not empty; a row's number is that of its line."""
    return documents(_rows(decoded_lines(content)), name, fields)


def _rows(lines: Iterable[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
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
