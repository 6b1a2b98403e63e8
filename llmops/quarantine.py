"""Derived files that are no good are put aside in the home, for whoever wants to know why: the newest few of them."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

FOLDER = "quarantine"
KEPT = 8


def put_aside(home: Path, path: Path) -> Path:
    """Move a file or a folder of the home into its quarantine, under its name and the time; returns where it is now."""
    folder = home / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / f"{time.time_ns()}-{path.name.lstrip('.')}"
    path.rename(target)
    for older in sorted(folder.iterdir())[:-KEPT]:
        shutil.rmtree(older, ignore_errors=True) if older.is_dir() and not older.is_symlink() else older.unlink(missing_ok=True)
    return target
