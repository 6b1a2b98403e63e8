"""Where in a TOML text a key stands: the standard library's parser keeps no positions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_TABLE = re.compile(r"^\s*\[(\[?)\s*([^\[\]]+?)\s*\]?\]")
_KEY = re.compile(r"""^\s*(["']?)([A-Za-z0-9_.-]+)\1\s*=""")


def line_of(text: str, location: Sequence[int | str]) -> int:
    """The line of the deepest part of `location` that the text spells out, counted from 1; 0 if none does.

    `location` is a path of keys and list positions, as `("routes", 0, "targets", 1, "model")`.
    """
    wanted = tuple(location)
    best_depth, best_line = 0, 0
    table: tuple[int | str, ...] = ()
    lists: Counter[tuple[int | str, ...]] = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = _resolve(header[2].replace(" ", "").split("."), bool(header[1]), lists)
            spelled = table
        elif key := _KEY.match(line):
            spelled = (*table, *key[2].split("."))
        else:
            continue
        if wanted[: len(spelled)] == spelled and len(spelled) > best_depth:
            best_depth, best_line = len(spelled), number
    return best_line


def _resolve(names: list[str], is_list: bool, lists: Counter[tuple[int | str, ...]]) -> tuple[int | str, ...]:
    """The path of a table header, with the position that each list of tables has reached."""
    path: tuple[int | str, ...] = ()
    for depth, name in enumerate(names, 1):
        path = (*path, name.strip("\"'"))
        if is_list and depth == len(names):
            lists[path] += 1
        if lists[path]:
            path = (*path, lists[path] - 1)
    return path
