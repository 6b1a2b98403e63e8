"""CSV and its kin: a header, then each row a document."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator
from itertools import dropwhile, islice

from llmops.errors import InvalidInput
from vectorstore.load.decode import decoded_lines
from vectorstore.load.parsed import NO_TEXT, Failed, Fields, Parsed
from vectorstore.load.records import Row, column_names, documents

_DELIMITERS = ",;\t|"
_SAMPLE_ROWS = 50
_SAMPLE_LINES = 1000
# "007" and "1e5" are names, not numbers.
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,17})?")
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the default refuses a field of 128 KiB


def load(content: bytes, name: str, fields: Fields) -> Iterator[Parsed | Failed]:
    """A document for each row under the header. A row's number counts records, not lines.

    A column whose every value is a number is one of numbers, so that filters compare it as such; to know them, the
    file is read twice and never held.
    """
    delimiter = delimiter_of("\n".join(islice(dropwhile(_is_empty, decoded_lines(content)), _SAMPLE_LINES)))
    header, _ = next(_records(content, delimiter), ([], ""))
    if not header:
        raise InvalidInput(NO_TEXT)
    columns = column_names(header)
    for field in (fields.id, fields.text, fields.title):
        if field is not None and field not in columns:
            raise InvalidInput(f"no column {field!r}", hint="columns: " + ", ".join(columns[:12]))
    numeric = _numeric(columns, (row for row, _ in islice(_records(content, delimiter), 1, None)))
    if numeric is None:
        raise InvalidInput(NO_TEXT, hint="the file has a header and no rows")
    yield from documents(_rows(columns, islice(_records(content, delimiter), 1, None)), name, fields, numeric=numeric)


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


def _records(content: bytes, delimiter: str) -> Iterator[tuple[list[str], str]]:
    """Each row, and what is wrong with it or nothing."""
    lines = _Lines(decoded_lines(content))
    before: tuple[list[str], list[str], int] | None = None
    first = 0
    reader = csv.reader(lines, delimiter=delimiter)
    for row in reader:
        if before and any(value.strip() for value in before[0]):
            yield before[0], ""
        before, first = (row, lines.taken(), first), reader.line_num
    if before and any(value.strip() for value in before[0]):
        row, source, start = before
        is_open = sum(line.count('"') for line in source) % 2 and source[0].count('"')
        yield row, f"the quote that line {start + 1} opens is never closed" if is_open else ""


class _Lines:
    """Lines on their way to the parser of CSV; `taken` gives those that it has asked for since the last call."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._taken.append(line)
        return line + "\n"

    def taken(self) -> list[str]:
        taken, self._taken = self._taken, []
        return taken


def _is_empty(line: str) -> bool:
    return not line


def _numeric(columns: list[str], rows: Iterator[list[str]]) -> frozenset[str] | None:
    """The columns that hold numbers and nothing else; None where there is no row."""
    candidates = set(range(len(columns)))
    filled: set[int] = set()
    is_empty = True
    for row in rows:
        is_empty = False
        for index in [at for at in candidates if at < len(row)]:
            if value := row[index].strip():
                filled.add(index)
                if not _NUMBER.fullmatch(value):
                    candidates.discard(index)
    return None if is_empty else frozenset(columns[index] for index in candidates & filled)


def _rows(columns: list[str], rows: Iterator[tuple[list[str], str]]) -> Iterator[Row]:
    for number, (row, wrong) in enumerate(rows, 1):
        while len(row) > len(columns) and not row[-1].strip():
            row.pop()
        if wrong:
            yield number, f"row {number}: {wrong}"
        elif len(row) > len(columns):
            yield number, f"row {number} has {len(row)} values for {len(columns)} columns"
        else:
            yield number, {name: cell for name, cell in zip(columns, row, strict=False) if cell.strip()}
