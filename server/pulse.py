"""Signs of life: a child writes a byte a second to the supervisor, and the job worker also touches a file that every server process can see."""

from __future__ import annotations

import os
import time
from pathlib import Path

EVERY = 1.0
WORKER_FILE = "worker.pulse"


def beat(descriptor: int) -> None:
    """One sign of life. A supervisor that reads too slowly, or is gone, is no reason to fail: its end shows elsewhere."""
    try:
        os.write(descriptor, b".")
    except (BlockingIOError, BrokenPipeError):
        return


def touch_worker(home: Path) -> None:
    (home / WORKER_FILE).touch(mode=0o600)


def worker_age(home: Path) -> float | None:
    """Seconds since the job worker's last sign of life; None where there never was one."""
    try:
        touched = (home / WORKER_FILE).stat().st_mtime
    except FileNotFoundError:
        return None
    return abs(time.time() - touched)
