"""Locks of the kernel on a file: freed when their holder dies, however it dies."""

from __future__ import annotations

import fcntl

ALONE = fcntl.LOCK_EX
SHARED = fcntl.LOCK_SH


def try_flock(descriptor: int, kind: int) -> bool:
    """Whether the lock on an open file could be had at once, `ALONE` or `SHARED`. Closing the descriptor lets it go."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
