"""Files that survive power loss, and files that may be anything."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def sync(path: Path) -> None:
    """Return once the disk has what was written to a file; for a folder, the names in it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size_of(path: Path) -> int:
    """The bytes of a plain file. Raises `ValueError` for what is none, as a folder or a pipe, and `OSError` where there is nothing."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path.name} is no plain file")
    return found.st_size


def read_small(path: Path, most: int) -> bytes:
    """The bytes of a plain file that should be small. Raises `ValueError` for one that is not: a sparse file may claim terabytes."""
    if (size := size_of(path)) > most:
        raise ValueError(f"{path.name} has {size:,} bytes, {most:,} are the most")
    return path.read_bytes()
