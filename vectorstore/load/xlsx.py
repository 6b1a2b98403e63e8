"""Workbooks to reading text: a section for each sheet; or, where fields are named, a document for each row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, groupby, islice
from typing import Any

from llmops.errors import InvalidInput
from llmops.types import CELL_JOINT
from vectorstore.load.drawing import add_lines, lines, shapes
from vectorstore.load.ooxml import Package, child, title_of
from vectorstore.load.parsed import LONGEST_TEXT, NO_TEXT, Failed, Fields, Parsed, TextBuilder
from vectorstore.load.records import Row as Record
from vectorstore.load.records import column_names, documents
from vectorstore.load.xlsx_cells import Row, Sheet, Value, Workbook

_SAMPLE = 50
"""Rows by which a table is told from a form."""
_LONGEST_NAME = 100
"""Characters of a column's name; a longer text is no name, and would stand in every row."""
_WIDEST_GAP = 32
"""Empty columns up to which a row keeps its columns apart."""


def load(content: bytes, name: str, fields: Fields) -> Iterable[Parsed | Failed]:
    """An XLSX or XLSM file as one document, or as one for each row where an id or text field is named.

    The name of a sheet is a heading, and not the title: most are called "Sheet1". Hidden sheets are named in the
    metadata and not read; rows that a filter hides are read, for a filter is easily left on.
    """
    package = Package(content, "XLSX")
    workbook = Workbook(package)
    if fields.id or fields.text:
        return _records(workbook, name, fields)
    builder = TextBuilder()
    for sheet in workbook.sheets:
        if not sheet.hidden:
            builder.leave(1)
            _Section(builder, sheet).add(workbook.rows(sheet), _boxes(package, sheet))
    core = package.core()
    title = title_of(core, TextBuilder(), name)
    hidden = ", ".join(sheet.name for sheet in workbook.sheets if sheet.hidden)
    return [builder.finish(title, {**core, **({"hidden_sheets": hidden[:1000]} if hidden else {})})]


class _Section:
    """What one sheet says. Its name comes first, and not at all where the sheet is empty."""

    def __init__(self, builder: TextBuilder, sheet: Sheet) -> None:
        self._builder, self._sheet = builder, sheet
        self._named = False

    def add(self, rows: Iterator[Row], boxes: list[Any]) -> None:
        """Rows between empty ones belong together; then the text boxes."""
        numbered = enumerate(rows)
        for _, region in groupby(numbered, key=lambda pair: pair[1].number - pair[0]):
            self._region(row for _, row in region)
        for box in boxes:
            found = list(lines(box))
            if found:
                self._name()
                add_lines(self._builder, found, bulleted=False)

    def _region(self, rows: Iterator[Row]) -> None:
        """Captions, then a table."""
        self._name()
        first: Row | None = None
        for first in rows:
            if len(first.values) > 1:
                break
            (value,) = first.values.values()
            self._builder.add("paragraph", shown(value))
            first = None
        if first is None:
            return
        sample = [first, *islice(rows, _SAMPLE)]
        everything = chain(sample, rows)
        if is_header(sample):
            self._builder.add("table", _joined(_labelled(everything)))
        else:
            self._builder.add("table", _joined(_plain(everything, min(min(row.values) for row in sample))))

    def _name(self) -> None:
        if not self._named:
            self._builder.heading(1, self._sheet.name)
            self._named = True


def is_header(rows: list[Row]) -> bool:
    """Whether the first row names the columns of the others: it has a text, each another, over every value below it."""
    header = rows[0].values
    if len(rows) < 2 or len(header) < 2 or not all(isinstance(value, str) and len(value) <= _LONGEST_NAME for value in header.values()):
        return False
    return len(set(header.values())) == len(header) and all(row.values.keys() <= header.keys() for row in rows[1:])


def _labelled(rows: Iterator[Row]) -> Iterator[str]:
    """A line for each row below the header, with the name of its column before each value.

    Not as `a | b` under one header: a long sheet is cut into chunks, and only the first of them would say what its
    numbers are. Measured on 80 tables of Wikipedia with 14 rows and more, 99 questions: the right table comes first for
    60 % of them (47 % under one header), its right row among the first five for 59 % (57 %).
    """
    header = {at: cell(value) for at, value in next(rows).values.items()}
    for row in rows:
        yield CELL_JOINT.join(f"{header[at]}: {cell(value)}" if at in header else cell(value) for at, value in row.values.items())


def _plain(rows: Iterator[Row], left: int) -> Iterator[str]:
    """A line for each row, an empty place for each empty cell, unless they are many more than the others."""
    for row in rows:
        first, last = min(left, min(row.values)), max(row.values)
        is_sparse = last - first > len(row.values) + _WIDEST_GAP
        yield CELL_JOINT.join(cell(row.values.get(at, "")) for at in (row.values if is_sparse else range(first, last + 1)))


def _joined(rows: Iterator[str]) -> str:
    """The lines of a table, given up before they fill the memory."""
    found: list[str] = []
    room = LONGEST_TEXT
    for row in rows:
        found.append(row)
        room -= len(row)
        if room < 0:
            hint = "with --text-field or --id-field each row becomes a document of its own"
            raise InvalidInput(f"has more than {LONGEST_TEXT // 10**6} million characters of text in a sheet", hint=hint)
    return "\n".join(found)


def shown(value: Value) -> str:
    """A value as a cell shows it."""
    return str(value).upper() if isinstance(value, bool) else f"{value:.15g}" if isinstance(value, float) else str(value)


def cell(value: Value) -> str:
    """The same on one line."""
    return shown(value).replace("\n", " ")


def _boxes(package: Package, sheet: Sheet) -> list[Any]:
    """The texts of the shapes that lie on a sheet."""
    root = package.part("drawing", package.relations(sheet.part))
    return [child(shape, "txBody") for shape in shapes(root)] if root is not None else []


def _records(workbook: Workbook, name: str, fields: Fields) -> Iterator[Parsed | Failed]:
    """A document for each row of every sheet whose header has the fields; their numbers go on from sheet to sheet."""
    wanted = [field for field in (fields.id, fields.text, fields.title) if field]
    other: list[Failed] = []
    usable = False
    columns: list[str] = []

    def rows() -> Iterator[Record]:
        nonlocal usable, columns
        number = 0
        for sheet in workbook.sheets:
            found = workbook.rows(sheet)
            header = next(found, None)
            if sheet.hidden or header is None:
                continue
            columns = column_names([cell(header.values.get(at, "")) for at in range(max(header.values) + 1)])
            missing = [field for field in wanted if field not in columns]
            if missing:
                other.append(
                    Failed(f"no column {missing[0]!r}; columns: {', '.join(columns[:12])}", part="sheet " + sheet.name[:60].replace("#", "_"))
                )
                continue
            usable = True
            for row in found:
                number += 1
                yield number, _record(columns, row, number)

    try:
        yield from documents(rows(), name, fields)
    except InvalidInput as error:
        if str(error) != NO_TEXT or usable or not other:
            raise
        raise InvalidInput(
            f"no column {next(field for field in wanted if field not in columns)!r}", hint="columns: " + ", ".join(columns[:12])
        ) from None
    yield from other


def _record(columns: list[str], row: Row, number: int) -> dict[str, Value] | str:
    if max(row.values) >= len(columns):
        return f"row {number} has {max(row.values) + 1} values for {len(columns)} columns"
    return {columns[at]: value for at, value in row.values.items()}
