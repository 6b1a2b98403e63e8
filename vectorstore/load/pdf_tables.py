"""Tables of a PDF: by their ruling lines, else by cells that stand under each other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from llmops.types import CELL_JOINT
from vectorstore.load.lines import joined, width
from vectorstore.load.pdf_glyphs import Rule, Run, Sheet, rows

_TOUCH = 3.0
"""Points between two lines that meet."""
_LONGEST_CELL = 28
"""Columns that a cell of an unruled table takes on the average, at most: what is longer is running text."""


class Table(NamedTuple):
    """Where a table stands, and its rows."""

    x0: float
    y0: float
    x1: float
    y1: float
    text: str


def ruled_tables(sheet: Sheet) -> tuple[list[Table], list[Run]]:
    """The ruled tables of a page, and what stands outside of them."""
    tables: list[Table] = []
    runs = sheet.runs
    for grid in _grids(sheet.rules):
        inside = [run for run in runs if _is_inside(run, grid)]
        if len(inside) > 1:
            tables.append(_ruled(grid, inside))
            taken = set(map(id, inside))
            runs = [run for run in runs if id(run) not in taken]
    return tables, runs


class _Grid(NamedTuple):
    xs: list[float]
    ys: list[float]
    upright: list[Rule]
    level: list[Rule]


def _grids(rules: Sequence[Rule]) -> list[_Grid]:
    """Sets of lines that meet, with two rows and two columns at least."""
    level = sorted(rule for rule in rules if rule.x1 - rule.x0 > rule.y1 - rule.y0)
    upright = sorted(rule for rule in rules if rule.x1 - rule.x0 <= rule.y1 - rule.y0)
    leader = list(range(len(level) + len(upright)))

    def first(one: int) -> int:
        while leader[one] != one:
            leader[one] = leader[leader[one]]
            one = leader[one]
        return one

    starts = [rule.x0 for rule in upright]
    for index, flat in enumerate(level):
        for other in range(bisect_right(starts, flat.x0 - _TOUCH), bisect_right(starts, flat.x1 + _TOUCH)):
            if upright[other].y0 - _TOUCH <= flat.y0 <= upright[other].y1 + _TOUCH:
                leader[first(index)] = first(len(level) + other)
    groups: dict[int, tuple[list[Rule], list[Rule]]] = {}
    for index, rule in enumerate([*level, *upright]):
        groups.setdefault(first(index), ([], []))[index >= len(level)].append(rule)
    grids = [
        _Grid(_apart([(rule.x0 + rule.x1) / 2 for rule in up]), _apart([(rule.y0 + rule.y1) / 2 for rule in flat]), up, flat)
        for flat, up in groups.values()
        if flat and up
    ]
    return [grid for grid in grids if len(grid.xs) > 2 and len(grid.ys) > 2]


def _apart(values: Sequence[float]) -> list[float]:
    """The values in order, those that are almost the same once."""
    found: list[float] = []
    for value in sorted(values):
        if not found or value - found[-1] > _TOUCH:
            found.append(value)
    return found


def _is_inside(run: Run, grid: _Grid) -> bool:
    middle = (run.y0 + run.y1) / 2
    return grid.xs[0] - _TOUCH <= (run.x0 + run.x1) / 2 <= grid.xs[-1] + _TOUCH and grid.ys[0] - _TOUCH <= middle <= grid.ys[-1] + _TOUCH


def _ruled(grid: _Grid, inside: Sequence[Run]) -> Table:
    cells: dict[tuple[int, int], list[Run]] = {}
    for run in inside:
        row = min(max(bisect_right(grid.ys, (run.y0 + run.y1) / 2) - 1, 0), len(grid.ys) - 2)
        column = min(max(bisect_right(grid.xs, run.x0 + 0.5) - 1, 0), len(grid.xs) - 2)
        while row and not _is_drawn(grid.level, grid.ys[row], (run.x0 + run.x1) / 2, level=True):
            row -= 1
        while column and not _is_drawn(grid.upright, grid.xs[column], (run.y0 + run.y1) / 2, level=False):
            column -= 1
        cells.setdefault((row, column), []).append(run)
    lines = []
    for row in range(len(grid.ys) - 1):
        middle = (grid.ys[row] + grid.ys[row + 1]) / 2
        drawn = [c for c in range(len(grid.xs) - 1) if not c or (row, c) in cells or _is_drawn(grid.upright, grid.xs[c], middle, level=False)]
        lines.append(CELL_JOINT.join(_cell(cells.get((row, column), [])) for column in drawn))
    return Table(grid.xs[0], grid.ys[0], grid.xs[-1], grid.ys[-1], _text(lines))


def _is_drawn(rules: Sequence[Rule], at: float, across: float, *, level: bool) -> bool:
    """Whether a line of the grid is there at this place: cells may be merged."""
    for x0, y0, x1, y1 in rules:
        low, high, where = (x0, x1, (y0 + y1) / 2) if level else (y0, y1, (x0 + x1) / 2)
        if abs(where - at) <= _TOUCH and low - 1 <= across <= high + 1:
            return True
    return False


def _cell(runs: list[Run]) -> str:
    return joined("\n".join(" ".join(run.text for run in row) for row in rows(runs)))


def _text(lines: Sequence[str]) -> str:
    return "\n".join(line.rstrip() for line in lines if line.strip(" |"))


def unruled_tables(runs: list[Run]) -> tuple[list[Table], list[Run]]:
    """The tables in one column of a page, three lines and more of short cells under each other, and what stands outside of them."""
    tables: list[Table] = []
    left: list[Run] = []
    pending: list[list[Run]] = []
    for row in [*rows(runs), []]:
        if row and _continues(pending, row):
            pending.append(row)
            continue
        table = _columns(pending)
        if table:
            tables.append(table)
        else:
            left += [run for part in pending for run in part]
        pending = [row] if len(row) > 1 else []
        left += row if len(row) == 1 else []
    return tables, left


def _continues(pending: list[list[Run]], row: list[Run]) -> bool:
    """Whether a line may belong to the table under way."""
    if not pending:
        return False
    before = pending[-1]
    size = max(run.size for run in before)
    if row[0].y0 - max(run.y1 for run in before) > 1.6 * size:
        return False
    if len(row) > 1:
        return True
    # a second line of one cell: under the cell, and not at the left margin, where the text goes on
    return row[0].x0 > before[0].x0 + size and any(abs(row[0].x0 - run.x0) < 3 for run in before[1:])


def _columns(lines: list[list[Run]]) -> Table | None:
    """The table that these lines are, or None."""
    full = [row for row in lines if len(row) > 1]
    if len(full) < 3:
        return None
    cells = [run for row in full for run in row]
    if sum(width(run.text) for run in cells) > _LONGEST_CELL * len(cells):
        return None
    bounds = _column_bounds(cells)
    if len(bounds) < 2 or sum(len({_column(run, bounds) for run in row}) == len(row) for row in full) < 0.8 * len(full):
        return None
    if any(_is_running_text([run for run in cells if x0 - 1 <= run.x0 <= x1 + 1], x1 - x0) for x0, x1 in bounds):
        return None
    grid: list[list[str]] = []
    for row in lines:
        texts = [""] * len(bounds)
        for run in row:
            column_at = _column(run, bounds)
            texts[column_at] = f"{texts[column_at]} {run.text}".strip()
        if len(row) == 1 and grid:
            grid[-1] = [f"{above} {text}".strip() for above, text in zip(grid[-1], texts, strict=True)]
        else:
            grid.append(texts)
    everything = [run for row in lines for run in row]
    return Table(
        min(run.x0 for run in everything),
        min(run.y0 for run in everything),
        max(run.x1 for run in everything),
        max(run.y1 for run in everything),
        _text([CELL_JOINT.join(texts) for texts in grid]),
    )


def _is_running_text(column: list[Run], wide: float) -> bool:
    """Whether the lines of a column fill it, as those of a text do and cells do not."""
    if wide <= 80 or len(column) < 4:
        return False
    filling = sum(run.x1 - run.x0 > 0.75 * wide for run in column)
    return filling > 0.6 * len(column) and sum(width(run.text) for run in column) > 20 * len(column)


def _column_bounds(cells: Sequence[Run]) -> list[tuple[float, float]]:
    """Where the columns begin and end: the stretches that cells cover, a few that span two of them left aside."""
    events = sorted([(run.x0, 1) for run in cells] + [(run.x1, -1) for run in cells])
    least = len(cells) // 40
    bounds: list[tuple[float, float]] = []
    depth, start = 0, 0.0
    for x, step in events:
        was, depth = depth, depth + step
        if was <= least < depth:
            start = x
        elif was > least >= depth:
            bounds.append((start, x))
    return bounds


def _column(run: Run, bounds: Sequence[tuple[float, float]]) -> int:
    middle = (run.x0 + run.x1) / 2
    return min(range(len(bounds)), key=lambda index: max(bounds[index][0] - middle, middle - bounds[index][1], 0.0))
