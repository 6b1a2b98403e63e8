"""Rows to documents: which fields are the id, the text and the title, and what happens to the others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from llmops.errors import InvalidInput
from vectorstore.load.decode import clean
from vectorstore.load.parsed import LONGEST_ID, LONGEST_ID_BYTES, NO_TEXT, Failed, Fields, Parsed, TextBuilder, is_too_long
from vectorstore.load.plain import add_paragraphs

Row: TypeAlias = tuple[int, "Mapping[str, Any] | str"]
"""The number of a row, counted from 1, and its fields, or why it has none."""


def documents(rows: Iterable[Row], name: str, fields: Fields, *, numeric: frozenset[str] = frozenset()) -> Iterator[Parsed | Failed]:
    """A document for each row, in order, as the rows come; a row that is none is a `Failed`, and so is a later one of the same id.

    `numeric` names the fields whose strings are numbers in the metadata.
    """
    seen: dict[str, int] = {}
    is_empty = True
    for number, row in rows:
        is_empty = False
        identity = None
        try:
            if isinstance(row, str):
                raise InvalidInput(row)
            if fields.id:
                identity = _unique(_identity(row, fields.id), number, seen)
            yield _document(row, identity, number, PurePosixPath(name).stem, fields, numeric)
        except InvalidInput as error:
            yield Failed(str(error), identity, number)
    if is_empty:
        raise InvalidInput(NO_TEXT)


def column_names(header: list[str]) -> list[str]:
    """The names of the columns; one without a name, or with that of another, is called by its number."""
    columns: list[str] = []
    taken: set[str] = set()
    for number, cell in enumerate(header, 1):
        name = cell.strip() or f"column {number}"
        while name in taken:
            name = f"{name} {number}"
        columns.append(name)
        taken.add(name)
    return columns


def _identity(row: Mapping[str, Any], field: str) -> str:
    value = row.get(field)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidInput(f"no id in the field {field!r}", hint=_known(row))
    name = clean(str(value)).strip()
    if not name:
        raise InvalidInput(f"no id in the field {field!r}")
    if is_too_long(name):
        raise InvalidInput(f"the id in the field {field!r} is longer than {LONGEST_ID} characters or {LONGEST_ID_BYTES} bytes")
    return name


def _unique(identity: str, number: int, seen: dict[str, int]) -> str:
    if identity in seen:
        raise InvalidInput(f"row {number}: the id {identity!r} is that of row {seen[identity]} too")
    seen[identity] = number
    return identity


def _document(row: Mapping[str, Any], identity: str | None, number: int, stem: str, fields: Fields, numeric: frozenset[str]) -> Parsed:
    builder = TextBuilder()
    if fields.text is None:
        for line in _lines(row):
            builder.add("table", line, tight=True)
    else:
        add_paragraphs(builder, clean(_text(row, fields.text)))
    used = set() if fields.text is None else {fields.id, fields.text, fields.title}
    title = row.get(fields.title or "title")
    return builder.finish(
        str(title) if isinstance(title, str | int | float) and str(title).strip() else stem,
        {key: _number(value) if key in numeric else value for key, value in row.items() if key not in used},
        id=identity,
        row=number,
    )


def _text(row: Mapping[str, Any], field: str) -> str:
    value = row.get(field)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n\n".join(value)
    if value is None or isinstance(value, bool | dict | list):
        raise InvalidInput(f"no text in the field {field!r}", hint=_known(row))
    return str(value)


def _number(digits: str) -> float:
    return float(digits) if "." in digits else int(digits)


def _lines(row: Mapping[str, Any]) -> Iterator[str]:
    for key, value in row.items():
        if value is None or value == "":
            continue
        yield f"{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"


def _known(row: Mapping[str, Any]) -> str:
    return "the row has: " + ", ".join(list(map(str, row))[:12])
