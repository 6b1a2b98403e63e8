"""Derived files that are no good are put aside in the home, for whoever wants to know why: the newest few of them."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

FOLDER = "quarantine"
KEPT = 8
_OF_MANY = re.compile("[0-9]")


def put_aside(home: Path, path: Path) -> Path:
    """Move a file or a folder of the home into its quarantine, under its name and the time; returns where it is now."""
    folder = _folder(home)
    target = folder / f"{time.time_ns()}-{path.name.lstrip('.')}"
    path.rename(target)
    for older in sorted(one for one in folder.iterdir() if _OF_MANY.match(one.name))[:-KEPT]:
        shutil.rmtree(older, ignore_errors=True) if older.is_dir() and not older.is_symlink() else older.unlink(missing_ok=True)
    return target


def put_all_aside(home: Path, name: str, paths: Iterable[Path]) -> Path:
    """Move what is of use only together into one folder, which stays until somebody removes it; returns the folder."""
    target = _folder(home) / f"{name}-{time.time_ns()}"
    target.mkdir(mode=0o700)
    for path in paths:
        path.rename(target / path.name)
    return target


def _folder(home: Path) -> Path:
    folder = home / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
