"""Who has a home's store open, and who exchanges it: many of the former, or one of the latter and nobody else.

A process that opens the store holds `store.lock` shared until it closes it; a restore holds it alone. The kernel frees it when its holder dies.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmops.errors import FREE_SPACE, Conflict, DiskFull, StoreError
from llmops.flock import ALONE, SHARED, try_flock

LOCK_NAME = "store.lock"
_PAUSE = 0.05


class Hold:
    """A share in the lock, until `release`."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def share(home: Path, seconds: float) -> Hold:
    """Wait until no restore exchanges the store, at most `seconds`, and keep others from doing so. Raises `StoreError` after that."""
    try:
        descriptor = _open(home)
    except OSError as failure:
        if failure.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return Hold(None)  # what cannot be written cannot be restored either
        if failure.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"the disk of the home is full: {failure.strerror}", hint=FREE_SPACE) from None
        raise StoreError(f"the home {home} cannot be used: {failure.strerror}", hint="check that LLMOPS_HOME can be written") from None
    until = time.monotonic() + seconds
    while not try_flock(descriptor, SHARED):
        if time.monotonic() >= until:
            os.close(descriptor)
            raise StoreError("the store is being restored", hint="try again when the restore has ended")
        time.sleep(_PAUSE)
    return Hold(descriptor)


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold the store for oneself. `Conflict` where a process has it open."""
    descriptor = _open(home)
    try:
        if not try_flock(descriptor, ALONE):
            raise Conflict("a command has the store of this home open", hint="wait for it, or end it, then try again")
        yield
    finally:
        os.close(descriptor)


def _open(home: Path) -> int:
    return os.open(home / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
