"""Text for terminals and JSON for programs, both safe to print whatever a document or a name holds."""

from __future__ import annotations

import dataclasses
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

# What a terminal obeys instead of showing: control characters, and marks that turn the direction of the text.
# Lone surrogates cannot be encoded at all.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def printable(text: str) -> str:
    """The text with every control character spelled out; line feeds and tabs stay."""
    return _UNSAFE.sub(_spelled, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Like `printable`, on a single line."""
    return " ".join(printable(text).split())


def _spelled(unsafe: re.Match[str]) -> str:
    code = ord(unsafe[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def json_text(data: Any, *, ascii_only: bool = False) -> str:
    """One line of JSON. Dataclasses become objects; what a terminal would obey is escaped."""
    text = json.dumps(data, ensure_ascii=ascii_only, default=_plain)
    return _UNSAFE.sub(lambda unsafe: f"\\u{ord(unsafe[0]):04x}", text)


def _plain(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, datetime | PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON")


def as_text(data: Any) -> str:
    """Any JSON value for a human: a table for a list of objects, `name: value` lines for an object."""
    if isinstance(data, str):
        return data
    if isinstance(data, Mapping):
        if set(data) == {"data"}:
            return as_text(data["data"])
        return "\n".join(f"{name}: {_cell(value)}" for name, value in data.items())
    if isinstance(data, list | tuple):
        if data and all(isinstance(row, Mapping) for row in data):
            return table(data, list(data[0]))
        return "\n".join(_cell(value) for value in data)
    return _cell(data)


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows under their column names, aligned, wide characters counted as two."""
    lines = [[name.replace("_", " ") for name in columns]]
    lines += [[_cell(row.get(name)) for name in columns] for row in rows]
    widths = [max(width(line[column]) for line in lines) for column in range(len(columns))]
    return "\n".join("  ".join(cell + " " * (wide - width(cell)) for cell, wide in zip(line, widths, strict=True)).rstrip() for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple | set | frozenset) and all(isinstance(item, str) for item in value):
        return one_line(",".join(value)) or "-"
    return one_line(value if isinstance(value, str) else json_text(value) if not isinstance(value, int) else str(value))


def width(text: str) -> int:
    """The columns that a text takes in a terminal: two for a wide character, none for a combining one."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def iso_time(at: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC: `2026-01-31T09:30:00Z`."""
    try:
        return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):  # a time that no calendar has: somebody wrote into the store
        return f"{at:g} s"
