"""Spans of time as people write them: `30m`, `12h`, `90d`, `52w`."""

from __future__ import annotations

import re

from llmops.errors import InvalidInput

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LONGEST = 100 * 366 * 86400


def seconds(span: str) -> int:
    """The seconds of a span of minutes, hours, days or weeks. Raises `InvalidInput` for anything else, and beyond 100 years."""
    parts = re.fullmatch(r"([0-9]{1,9})([mhdw])", span.strip().lower())
    value = int(parts[1]) * _SECONDS[parts[2]] if parts else 0
    if not 0 < value <= _LONGEST:
        raise InvalidInput(f"not a span of time: {span[:40]!r}", hint="write 30m, 12h, 90d or 52w; at most 100 years")
    return value


def told(seconds: float) -> str:
    """A span for a human, in its two largest units: `2 h 5 min`."""
    left = int(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        if left >= length or (unit == "s" and not parts):
            parts.append(f"{left // length} {unit}")
            left %= length
        elif parts:
            break
    return " ".join(parts[:2])
