"""JSON: an array of objects is rows, as in JSON Lines; any other value is one document."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from llmops.errors import InvalidInput
from vectorstore.load import jsonl
from vectorstore.load.decode import clean, decode
from vectorstore.load.parsed import NO_TEXT, Failed, Fields, Parsed, TextBuilder
from vectorstore.load.plain import add_paragraphs
from vectorstore.load.records import Row, documents

LONGEST_LINE = 200
"""Characters of a value that stands on one line behind its name."""
_MOST_DIGITS = 4300
"""Of a whole number; what Python itself turns into one."""
_SPACE = re.compile(r"[ \t\n\r]*")


def load(content: bytes, name: str, fields: Fields) -> Iterator[Parsed | Failed]:
    """A document for each object of an array that begins with one; else one document.

    JSON Lines under this name are read as such. A name that stands twice in an object, NaN and numbers of more than
    4,300 digits are refused, in an array for that element alone: no reading of them would be the writer's for sure.
    """
    text = decode(content).removeprefix("\ufeff")
    reader = _Reader()
    start = _skipped(text, 0)
    if start == len(text):
        raise InvalidInput(NO_TEXT)
    if text[start] == "[" and _starts_object(text, start + 1):
        yield from documents(_elements(reader, text, start + 1), name, fields)
        return
    value, end = reader.value(text, start)
    if _skipped(text, end) < len(text):
        if isinstance(value, dict) and "\n" not in text[start:end]:
            yield from jsonl.load(content, name, fields)
            return
        raise _not_json(text, end, "there is more behind the value")
    if reader.problem:
        raise InvalidInput(f"not JSON that can be kept: {reader.problem}", hint="correct the file")
    if isinstance(value, dict) and (fields.id or fields.text):
        yield from documents([(1, value)], name, fields)
    else:
        yield _document(value, name)


class _Reader:
    """Reads one value after the other. `problem` is what cannot be kept of the last one."""

    def __init__(self) -> None:
        self.problem = ""
        self._decoder = json.JSONDecoder(parse_constant=self._constant, parse_int=self._integer, object_pairs_hook=self._object)

    def value(self, text: str, start: int) -> tuple[Any, int]:
        """The value that begins at `start`, and where it ends."""
        self.problem = ""
        try:
            return self._decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            raise _not_json(text, error.pos, error.msg) from None

    def _constant(self, name: str) -> None:
        self.problem = self.problem or f"{name} is no JSON number"

    def _integer(self, digits: str) -> int:
        if len(digits) > _MOST_DIGITS:
            self.problem = self.problem or f"a number of {len(digits):,} digits"
            return 0
        return int(digits)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
            self.problem = self.problem or f"the name {twice[:100]!r} stands twice in one object"
        return found


def _elements(reader: _Reader, text: str, start: int) -> Iterator[Row]:
    """The elements of an array. All of it is read once before, for a file that is broken at its end is broken as a whole."""
    for _ in _values(reader, text, start):
        pass
    for number, value in enumerate(_values(reader, text, start), 1):
        if reader.problem:
            yield number, f"element {number} is not JSON that can be kept: {reader.problem}"
        else:
            yield number, value if isinstance(value, dict) else f"element {number} is not a JSON object"


def _values(reader: _Reader, text: str, at: int) -> Iterator[Any]:
    while True:
        value, at = reader.value(text, _skipped(text, at))
        yield value
        at = _skipped(text, at)
        if text[at : at + 1] == "]":
            if _skipped(text, at + 1) < len(text):
                raise _not_json(text, at + 1, "there is more behind the array")
            return
        if text[at : at + 1] != ",":
            raise _not_json(text, at, "Expecting ',' or ']'")
        at += 1


def _document(value: Any, name: str) -> Parsed:
    """One document: what stands at the top under its name as a heading, what is deeper as lines of `path: value`."""
    builder = TextBuilder()
    metadata: dict[str, Any] = {}
    if isinstance(value, dict):
        metadata = {key: one for key, one in value.items() if not isinstance(one, str) or len(one) <= LONGEST_LINE}
        for key, one in value.items():
            builder.leave(1)
            if isinstance(one, dict | list) and not _is_flat(one):
                builder.heading(1, key)
                _add(builder, one, "")
            else:
                _add(builder, one, key)
    else:
        _add(builder, value, "")
    title = value.get("title") if isinstance(value, dict) else None
    return builder.finish(title if isinstance(title, str) and title.strip() else PurePosixPath(name).stem, metadata)


def _add(builder: TextBuilder, value: Any, path: str) -> None:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            _add(builder, inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and not _is_flat(value):
        for number, inner in enumerate(value, 1):
            _add(builder, inner, f"{path}[{number}]" if path else str(number))
    elif isinstance(value, str) and (len(value) > LONGEST_LINE or "\n" in value):
        if path:
            builder.add("paragraph", f"{path}:")
        add_paragraphs(builder, clean(value))
    elif (text := _spelled(value)) != "":
        builder.add("table", f"{path}: {text}" if path else text, tight=bool(path))


def _is_flat(value: Any) -> bool:
    """Whether a list fits on one line: short values and nothing in them."""
    return isinstance(value, list) and not any(isinstance(one, dict | list) or (isinstance(one, str) and len(one) > LONGEST_LINE) for one in value)


def _spelled(value: Any) -> str:
    if value is None or value == {}:
        return ""
    if isinstance(value, list):
        return ", ".join(filter(None, map(_spelled, value)))
    return value if isinstance(value, str) else json.dumps(value)


def _skipped(text: str, at: int) -> int:
    """Where the white space from `at` on ends."""
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _starts_object(text: str, at: int) -> bool:
    return text.startswith("{", _skipped(text, at))


def _not_json(text: str, at: int, reason: str) -> InvalidInput:
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    return InvalidInput(f"not JSON: {reason} at line {line}, column {column}", hint="correct the file")
