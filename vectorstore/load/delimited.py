"""CSV and its kin: a header, then each row a document."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator

from llmops.errors import InvalidInput
from vectorstore.load.decode import decode
from vectorstore.load.parsed import NO_TEXT, Failed, Fields, Parsed
from vectorstore.load.records import Row, documents

_DELIMITERS = ",;\t|"
_SAMPLE_ROWS = 50
# "007" and "1e5" are names, not numbers.
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,17})?")
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the default refuses a field of 128 KiB


def load(content: bytes, name: str, fields: Fields) -> list[Parsed | Failed]:
    """A document for each row under the header. A row's number counts records, not lines.

    A column whose every value is a number is one of numbers, so that filters compare it as such.
    """
    text = decode(content)
    rows = list(_records(text, delimiter_of(text)))
    if not rows:
        raise InvalidInput(NO_TEXT)
    columns = _columns(rows.pop(0)[0])
    for field in (fields.id, fields.text, fields.title):
        if field is not None and field not in columns:
            raise InvalidInput(f"no column {field!r}", hint="columns: " + ", ".join(columns[:12]))
    if not rows:
        raise InvalidInput(NO_TEXT, hint="the file has a header and no rows")
    return documents(_rows(columns, rows), name, fields, numeric=_numeric(columns, [row for row, _ in rows]))


def delimiter_of(text: str) -> str:
    """The delimiter by which the first rows fall into the most columns, of the same number in the most rows."""
    header = text.lstrip("\n")[: _SAMPLE_ROWS * 1000]
    best, best_score = ",", (0.0, 0)
    for delimiter in _DELIMITERS:
        widths = []
        for row in csv.reader(io.StringIO(header, newline=""), delimiter=delimiter):
            widths.append(len(row))
            if len(widths) == _SAMPLE_ROWS:
                break
        if not widths or widths[0] < 2:
            continue
        score = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _records(text: str, delimiter: str) -> Iterator[tuple[list[str], str]]:
    """Each row, and what is wrong with it or nothing."""
    lines = [line + "\n" for line in text.split("\n")]
    reader = csv.reader(lines, delimiter=delimiter)
    first = 0
    for row in reader:
        wrong = ""
        if reader.line_num == len(lines) and sum(line.count('"') for line in lines[first:]) % 2 and lines[first].count('"'):
            wrong = f"the quote that line {first + 1} opens is never closed"
        first = reader.line_num
        if any(value.strip() for value in row):
            yield row, wrong


def _columns(header: list[str]) -> list[str]:
    """The names of the columns; one without a name, or with that of another, is called by its number."""
    columns: list[str] = []
    for number, cell in enumerate(header, 1):
        name = cell.strip() or f"column {number}"
        while name in columns:
            name = f"{name} {number}"
        columns.append(name)
    return columns


def _numeric(columns: list[str], rows: list[list[str]]) -> frozenset[str]:
    names = set()
    for index, column in enumerate(columns):
        values = [row[index].strip() for row in rows if index < len(row) and row[index].strip()]
        if values and all(map(_NUMBER.fullmatch, values)):
            names.add(column)
    return frozenset(names)


def _rows(columns: list[str], rows: list[tuple[list[str], str]]) -> Iterator[Row]:
    for number, (row, wrong) in enumerate(rows, 1):
        while len(row) > len(columns) and not row[-1].strip():
            row.pop()
        if wrong:
            yield number, f"row {number}: {wrong}"
        elif len(row) > len(columns):
            yield number, f"row {number} has {len(row)} values for {len(columns)} columns"
        else:
            yield number, {name: cell for name, cell in zip(columns, row, strict=False) if cell.strip()}
