"""The cells of a workbook as values: shared strings, dates, cached results of formulas; a sheet is read as it comes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from llmops.errors import InvalidInput
from vectorstore.load.ooxml import LONGEST_REPEATED, Package, Relation, attribute, child, forget, link, local

Value: TypeAlias = str | int | float | bool
MOST_CHARACTERS = 64_000_000
"""Of all cells together: one shared string may stand in a million of them."""
MOST_COLUMNS = 16_384
_MOST_MERGED = 50_000
_REFERENCE = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})")
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s[^<>]{0,200}?ref=[\"']([A-Z]{1,3}\d{1,7}):([A-Z]{1,3}\d{1,7})[\"']")
_LITERAL = re.compile(r"\"[^\"]*\"|\\.|_.|\*.|\[(?![hms]+\])[^\]]*\]", re.IGNORECASE)
_DATES = {14: "d", 15: "d", 16: "d", 17: "d", 18: "t", 19: "t", 20: "t", 21: "t", 22: "dt", 45: "t", 46: "t", 47: "t"}
_DATES |= dict.fromkeys([*range(27, 32), 36, *range(50, 59)], "d") | dict.fromkeys(range(32, 36), "t")  # those of East Asia
_PERCENTS = {9: "%", 10: "%"}
_DAY = 86_400


class Sheet(NamedTuple):
    """A sheet of a workbook, by the name on its tab."""

    name: str
    part: str
    hidden: bool


class Row(NamedTuple):
    """A row that is not empty: its values by their columns, counted from 0."""

    number: int
    values: dict[int, Value]


class Workbook:
    """The sheets of a package and what their cells refer to."""

    def __init__(self, package: Package) -> None:
        self._package = package
        relations = package.relations(package.main)
        root = package.tree(package.main)
        self._epoch = datetime(1904, 1, 1) if attribute(child(root, "workbookPr"), "date1904") in ("1", "true") else datetime(1899, 12, 30)
        self.sheets = list(_sheets(root, relations))
        self._forms = _forms(package.part("styles", relations))
        self._strings = list(_strings(package, relations))
        self._characters = 0

    def rows(self, sheet: Sheet) -> Iterator[Row]:
        """The rows of a sheet that hold anything. A cell merged over several rows has its value in each that has other cells."""
        merged = self._merged(sheet)
        current: dict[int, tuple[int, Value]] = {}
        number = 0
        values: dict[int, Value] = {}
        column = -1
        for event, element in self._package.elements(sheet.part, "row", "c"):
            name = local(element)
            if event == "start":
                if name == "row":
                    number, values, column = _row_number(element, number), {}, -1
                continue
            if name == "c":
                column = _column(element, column)
                value = self._value(element)
                if value != "" and column < MOST_COLUMNS:
                    values[column] = value
            elif values:
                own = dict(values)
                for at, (last, value) in list(current.items()):
                    if last < number:
                        del current[at]
                    elif at not in values:
                        values[at] = value
                for at, last in merged.pop(number, {}).items():
                    if at in own and len(str(own[at])) <= LONGEST_REPEATED:
                        current[at] = (last, own[at])
                yield Row(number, dict(sorted(values.items())))
            forget(element)

    def _merged(self, sheet: Sheet) -> dict[int, dict[int, int]]:
        """By first row and column the last row of what is merged downwards. It stands behind the cells, so the part is read once for it."""
        found: dict[int, dict[int, int]] = {}
        tail, count = b"", 0
        with self._package.archive.open(sheet.part) as entry:
            while piece := entry.read(2**18):
                seen = tail + piece
                end = 0
                for match in _MERGED.finditer(seen):
                    (left, top), (_, bottom) = _place(match[1].decode()), _place(match[2].decode())
                    end, count = match.end(), count + 1
                    if top < bottom and count <= _MOST_MERGED:
                        found.setdefault(top, {})[left] = bottom
                tail = seen[max(end, len(seen) - 300) :]
        return found

    def _value(self, cell: Any) -> Value:
        """What a cell shows, "" for nothing. A formula shows the result that was kept with it."""
        kind = cell.get("t") or "n"
        if kind == "inlineStr":
            inline = child(cell, "is")
            return self._counted(_text(inline) if inline is not None else "")
        kept = child(cell, "v")
        raw = (kept.text or "").strip() if kept is not None else ""
        if not raw:
            return ""
        if kind == "s":
            index = int(raw) if raw.isdecimal() else len(self._strings)
            return self._counted(self._strings[index] if index < len(self._strings) else "")
        if kind == "b":
            return raw in ("1", "true")
        if kind in ("str", "e", "d"):
            return self._counted(raw)
        style = cell.get("s") or "0"
        return self._shown(raw, self._forms.get(int(style), "") if style.isdecimal() else "")

    def _counted(self, text: str) -> str:
        self._characters += len(text)
        if self._characters > MOST_CHARACTERS:
            raise InvalidInput(f"has more than {MOST_CHARACTERS // 10**6} million characters in its cells", hint="split the workbook")
        return " ".join(text.split()) if "\n" not in text else "\n".join(" ".join(line.split()) for line in text.split("\n")).strip()

    def _shown(self, raw: str, form: str) -> Value:
        """A number as Excel shows it, with fifteen digits; as an ISO date or time, or per cent, where its format says so."""
        try:
            number = float(raw)
        except ValueError:
            return self._counted(raw)
        if form in ("d", "t", "dt") and 0 <= number < 2_958_466:
            return self._moment(number, form)
        if form == "%":
            return f"{number * 100:.12g}%"
        rounded = float(f"{number:.15g}")
        return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded

    def _moment(self, number: float, form: str) -> str:
        days, seconds = int(number), round(number % 1 * _DAY)
        if form == "t" and days == 0:
            return f"{seconds // 3600:02}:{seconds % 3600 // 60:02}" + (f":{seconds % 60:02}" if seconds % 60 else "")
        if form == "t":  # hours that go beyond a day
            total = round(number * _DAY)
            return f"{total // 3600}:{total % 3600 // 60:02}" + (f":{total % 60:02}" if total % 60 else "")
        if self._epoch.year == 1899 and days < 60:  # Excel counts a 29th of February 1900
            days += 1
        try:
            moment = self._epoch + timedelta(days=days, seconds=seconds)
        except OverflowError:  # beyond the year 9999, be it by a rounded second
            return f"{number:.15g}"
        return moment.date().isoformat() if form == "d" or not seconds else moment.isoformat(" ", "minutes" if not seconds % 60 else "seconds")


def _sheets(root: Any, relations: dict[str, Relation]) -> Iterator[Sheet]:
    """The sheets of cells, in the order of their tabs; a sheet that is a chart has none."""
    for element in root.iter("{*}sheet"):
        relation = relations.get(link(element))
        if relation is not None and relation.kind == "worksheet" and not relation.external:
            yield Sheet(element.get("name") or "", relation.target, element.get("state") in ("hidden", "veryHidden"))


def _strings(package: Package, relations: dict[str, Relation]) -> Iterator[str]:
    """The strings that cells share; formatted ones are put together, readings of Japanese words left out."""
    for relation in relations.values():
        if relation.kind == "sharedStrings" and relation.target in package.archive:
            for event, element in package.elements(relation.target, "si"):
                if event == "end":
                    yield _text(element)
                    forget(element)


def _text(element: Any) -> str:
    return "".join(inner.text or "" for inner in element.iter("{*}t") if local(inner.getparent()) != "rPh")


def _forms(root: Any | None) -> dict[int, str]:
    """What the numbers of a cell are, by its style: "d", "t" and "dt" for dates and times, "%", nothing for others."""
    codes = {one.get("numFmtId"): _form(one.get("formatCode") or "") for one in (root.iter("{*}numFmt") if root is not None else ())}
    known = {str(number): form for number, form in (_DATES | _PERCENTS).items()} | codes
    styles = child(root, "cellXfs")
    return {index: known.get(one.get("numFmtId"), "") for index, one in enumerate(styles if styles is not None else ())}


def _form(code: str) -> str:
    """What a number format shows."""
    shown = _LITERAL.sub("", code.split(";")[0]).lower()
    if "general" in shown:
        return ""
    has_date = any(letter in shown for letter in "yd") or ("m" in shown and not any(letter in shown for letter in "hs"))
    has_time = any(letter in shown for letter in "hs")
    return ("d" if has_date else "") + ("t" if has_time else "") or ("%" if "%" in shown else "")


def _row_number(element: Any, before: int) -> int:
    number = element.get("r") or ""
    return int(number) if number.isdecimal() and len(number) < 10 else before + 1


def _column(cell: Any, before: int) -> int:
    match = _REFERENCE.fullmatch(cell.get("r") or "")
    return _place(match[0])[0] if match else before + 1


def _place(reference: str) -> tuple[int, int]:
    """(column from 0, row) of a reference such as "AB12"."""
    match = _REFERENCE.fullmatch(reference)
    assert match is not None
    column = 0
    for letter in match[1]:
        column = column * 26 + ord(letter) - 64
    return column - 1, int(match[2])
