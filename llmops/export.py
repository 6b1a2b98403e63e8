"""Write rows to a file that others open: JSON Lines, or CSV that no spreadsheet takes for a formula.

Every record is one line: a line break in a value is spelled out. In CSV a text that begins like a formula gets an
apostrophe before it, after OWASP's advice on CSV injection.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from llmops.errors import Conflict, InvalidInput
from llmops.output import json_text

Format = Literal["jsonl", "csv"]
FORMATS: tuple[Format, ...] = ("jsonl", "csv")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def lines(rows: Iterable[Mapping[str, Any]], format: Format, columns: Iterable[str]) -> Iterator[str]:
    """The lines of an export, each with its end. `columns` are those of CSV, which begins with them."""
    if format == "jsonl":
        yield from (f"{json_text(dict(row), ascii_only=False)}\n" for row in rows)
        return
    names = list(columns)
    yield _csv_line(names)
    yield from (_csv_line([_cell(row.get(name)) for name in names]) for row in rows)


def write(path: Path | None, found: Iterable[str]) -> int:
    """Write lines to a new file that its owner alone can read, or to stdout; returns how many records there were.

    Raises `Conflict` for a file that is there, and removes what it began where the writing fails.
    """
    if path is None:
        return sum(1 for line in found if sys.stdout.write(line))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise Conflict(f"{path} exists already", hint="name another file with --output, or remove it first") from None
    except OSError as failure:
        raise InvalidInput(f"cannot write {path}: {failure.strerror}", hint="name a file in a folder that can be written") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            return sum(1 for line in found if out.write(line))
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _csv_line(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    spelled = text.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n") if "\n" in text or "\r" in text else text
    return f"'{spelled}" if text.lstrip(" \u3000\xa0").startswith(_FORMULA) else spelled
