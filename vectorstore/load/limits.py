"""What parsing one file may cost. A loader asks `limits.now()` where it has a limit of its own to keep."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from llmops.errors import InvalidInput

OUT_OF_MEMORY = 77
"""The exit status of a parser that could not even take its file in."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds of time, megabytes of memory and pages for one file; and whether pages that are pictures can be read."""

    seconds: float = 30.0
    memory_mb: int = 512
    pages: int = 2000
    pictures: bool = False


class OverLimit(InvalidInput):
    """The file takes more than there is. With other limits it may be read."""


class Interrupted(InvalidInput):
    """The parser was ended by something else than the file, or had no time of the machine: the file is to be read again."""


_now = Limits()


def can_read_pictures() -> bool:
    """Whether the program that recognises text in pictures is installed."""
    return shutil.which("tesseract") is not None


def now() -> Limits:
    """The limits of this process; what it cannot know of itself is as in `Limits()`."""
    return _now


def keep(limits: Limits) -> None:
    """Make these the limits of this process, once, at its start."""
    global _now
    _now = limits
