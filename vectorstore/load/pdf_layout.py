"""The reading order of a page: columns, the lines in them, and the paragraphs that the lines make."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import median
from typing import Literal, TypeAlias

from vectorstore.load.lines import UNSPACED, joined, width
from vectorstore.load.pdf_glyphs import Run, Sheet, rows, together
from vectorstore.load.pdf_tables import Table, ruled_tables, unruled_tables

Item: TypeAlias = Run | Table
_HYPHENATED = re.compile(r"(?<=[^\W\d_])[-\u2010]\n(?=[a-zà-öø-ÿ])")
_BULLET = re.compile(r"(?:[•‣●○◦▪■□◆◇\uf0b7\uf0a7]\s*|[-–*・]\s+)(?=\S)")
_NUMBERED = re.compile(r"\(?(?:\d{1,3}|[a-zA-Z])[.)]\s+\S")
_STOPS = ".!?。！？…:：”\"'」)）"
_DEEPEST = 6
"""Cuts into columns within columns."""


@dataclass(slots=True)
class Part:
    """A paragraph, an item of a list, a listing, a table or what runs on every page, with what tells a heading: its size and weight, in points."""

    kind: Literal["paragraph", "item", "code", "table", "running"]
    text: str
    page: int
    size: float = 0.0
    bold: bool = False
    lines: int = 1
    alone: bool = True
    level: int = 0
    """Of a heading; 0 for what is none."""


def parts_of(sheet: Sheet, page: int) -> list[Part]:
    """What stands on a page, in the order in which it is read."""
    tables, runs = ruled_tables(sheet)
    parts: list[Part] = []
    for column in _ordered([*runs, *tables], _DEEPEST):
        found = _paragraphs(column, page)
        if parts and found and _goes_over(parts[-1], found[0]):
            parts[-1].text = _joined([parts[-1].text, found.pop(0).text])
        parts += found
    return parts


def _ordered(items: list[Item], deepest: int) -> list[list[Item]]:
    """The columns of a page, each as its items from top to bottom."""
    gutter = _gutter(items) if deepest and len(items) > 5 else None
    if gutter is None:
        return [items]
    found: list[list[Item]] = []
    band: list[Item] = []
    for item in sorted(items, key=lambda item: (item.y0 + item.y1) / 2):
        if item.x0 < gutter - 1 and item.x1 > gutter + 1:
            found += _band(band, gutter, deepest)
            found.append([item])
            band = []
        else:
            band.append(item)
    found += _band(band, gutter, deepest)
    return _with_neighbours(found)


def _band(band: list[Item], gutter: float, deepest: int) -> list[list[Item]]:
    sides = [[item for item in band if item.x0 < gutter], [item for item in band if item.x0 >= gutter]]
    return [column for side in sides if side for column in _ordered(side, deepest - 1)]


def _with_neighbours(columns: list[list[Item]]) -> list[list[Item]]:
    """Lines over the whole width that follow each other are one column."""
    found: list[list[Item]] = []
    was_single = False
    for column in columns:
        single = len(column) == 1
        if single and was_single:
            found[-1] += column
        else:
            found.append(list(column))
        was_single = single
    return found


def _gutter(items: Sequence[Item]) -> float | None:
    """Where a white band parts the page into columns of text; some lines may cross it."""
    left, right = min(item.x0 for item in items), max(item.x1 for item in items)
    steps = int((right - left) / 2) + 1
    if not 30 < steps < 5000:
        return None
    crossing = [0] * (steps + 2)
    for item in items:
        crossing[int((item.x0 - left) / 2)] += 1
        crossing[int((item.x1 - left) / 2) + 1] -= 1
    crossing = list(accumulate(crossing))
    size = median(item.size if isinstance(item, Run) else 10.0 for item in items)
    inner = range(steps // 7, steps - steps // 7)
    least = min(crossing[step] for step in inner)
    best: tuple[int, int] = (0, 0)
    start = None
    for step in [*inner, -1]:
        if step >= 0 and crossing[step] <= least:
            start = step if start is None else start
        elif start is not None:
            end = step if step >= 0 else inner[-1] + 1
            best = max(best, (end - start, start))
            start = None
    if best[0] * 2 < 0.8 * size:
        return None
    at = left + best[1] * 2 + best[0]
    return at if _parts_columns(items, at) else None


def _parts_columns(items: Sequence[Item], at: float) -> bool:
    """Whether both sides of a place are columns: lines beside lines, as long as lines of a text are."""
    sides = [[item for item in items if item.x1 <= at + 1], [item for item in items if item.x0 >= at - 1]]
    over = sum(isinstance(item, Run) and item.x0 < at - 1 and item.x1 > at + 1 for item in items)
    if any(len(side) < 3 for side in sides) or over > 0.7 * min(map(len, sides)) + 3:
        return False
    for side in sides:
        texts = [sum(width(run.text) + 1 for run in row) for row in rows([item for item in side if isinstance(item, Run)])]
        if texts and median(texts) < 16:
            return False
    tops, ends = [min(item.y0 for item in side) for side in sides], [max(item.y1 for item in side) for side in sides]
    common = min(ends) - max(tops)
    return common > 0.4 * min(ends[0] - tops[0], ends[1] - tops[1])


@dataclass(slots=True)
class _Line:
    run: Run
    bullet: bool

    @property
    def first_word(self) -> float:
        """Points that the first word takes."""
        run = self.run
        letters = max(len(run.text), 1)
        word = 2 if re.match(f"[{UNSPACED}]", run.text) else len(run.text.split(maxsplit=1)[0])
        return (run.x1 - run.x0) * word / letters


def _paragraphs(column: list[Item], page: int) -> list[Part]:
    found_tables, runs = unruled_tables([item for item in column if isinstance(item, Run)])
    tables = sorted([*found_tables, *(item for item in column if isinstance(item, Table))], key=lambda table: table.y0)
    lines = [_line(row) for row in rows(runs)]
    if not lines:
        return [Part("table", table.text, page) for table in tables]
    ends = sorted(line.run.x1 for line in lines)
    edge = ends[len(ends) * 9 // 10]
    leads = [b.run.y1 - a.run.y1 for a, b in pairwise(lines) if 0 < b.run.y1 - a.run.y1 < 2.6 * b.run.size]
    lead = median(leads) if leads else 0.0
    left = min(line.run.x0 for line in lines)
    found: list[Part] = []
    group: list[_Line] = []
    for line in lines:
        while tables and tables[0].y0 < line.run.y0:
            found += _part(group, page, left)
            group = []
            found.append(Part("table", tables.pop(0).text, page))
        if group and not _belongs(group, line, edge, lead):
            found += _part(group, page, left)
            group = []
        group.append(line)
    found += _part(group, page, left)
    return found + [Part("table", table.text, page) for table in tables]


def _line(row: list[Run]) -> _Line:
    run = row[0]
    for other in row[1:]:
        run = together(run, other)
    return _Line(run, bool(_BULLET.match(run.text) or _NUMBERED.match(run.text)))


def _belongs(group: list[_Line], line: _Line, edge: float, lead: float) -> bool:
    """Whether a line goes on with the paragraph above it."""
    before, run = group[-1].run, line.run
    step = run.y1 - before.y1
    if abs(run.size - before.size) > 0.08 * before.size or step > max(1.25 * lead, 1.3 * run.size) or step > 2.6 * run.size:
        return False
    if before.mono and run.mono:
        return True
    if line.bullet or before.mono != run.mono:
        return False
    if group[0].bullet and run.x0 > group[0].run.x0 + 0.5 * run.size:
        return True
    full = before.x1 + line.first_word > edge - 0.3 * run.size
    if before.bold != run.bold and not full:
        return False
    if len(group) > 1 and run.x0 - before.x0 > 0.8 * run.size and abs(before.x0 - group[1].run.x0) < 2:
        return False  # its first line is indented
    return full or run.text[:1].islower()


def _part(group: list[_Line], page: int, left: float) -> list[Part]:
    if not group:
        return []
    run = group[0].run
    bold = all(line.run.bold for line in group)
    if all(line.run.mono for line in group):
        pitch = max(run.x1 - run.x0, 1.0) / max(len(run.text), 1)
        base = min(line.run.x0 for line in group)
        code = "\n".join(" " * round((line.run.x0 - base) / pitch) + line.run.text for line in group)
        return [Part("code", code, page, run.size, bold, len(group))]
    text = _joined([line.run.text for line in group])
    if mark := _BULLET.match(text):
        return [Part("item", "- " + text[mark.end() :], page, run.size, bold, len(group))]
    return [Part("paragraph", text, page, run.size, bold, len(group))]


def _joined(lines: Sequence[str]) -> str:
    return joined(_HYPHENATED.sub("", "\n".join(lines)))


def _goes_over(before: Part, after: Part) -> bool:
    """Whether a paragraph goes on in the next column."""
    if before.kind not in ("paragraph", "item") or after.kind != "paragraph" or abs(before.size - after.size) > 0.5 or before.bold != after.bold:
        return False
    if before.text[-1:] in _STOPS or before.lines < 2:
        return False
    return after.text[:1].islower() or bool(re.match(f"[{UNSPACED}]", after.text) and re.search(f"[{UNSPACED}]$", before.text))
