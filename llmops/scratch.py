"""Temporary folders that tell by their names which process made them, so that what a killed one left can be removed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


def prefix_of(kind: str) -> str:
    """What the names of this process's folders of a kind begin with, as "llmops-parser-" makes "llmops-parser-4711-"."""
    return f"{kind}{os.getpid()}-"


def sweep(kind: str) -> None:
    """Remove the folders of a kind whose process is gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{kind}*-*"):
        number = folder.name.removeprefix(kind).partition("-")[0]
        if number.isdigit() and not _is_alive(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True
