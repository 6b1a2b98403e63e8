"""The locks of a home's slots. Who holds one runs the jobs of that slot; the kernel frees it when its holder dies.

So whoever gets it knows that every job still marked as run in this slot of this home, on this host, has lost its process.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmops.flock import ALONE, try_flock
from llmops.home import make_home
from llmops.jobs.slots import ANY, Slot

_held: set[int] = set()
_started = int(time.time())


def owner_prefix(home: Path, slot: Slot) -> str:
    """What the owners of jobs that this host runs in a slot of this home begin with."""
    place = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]
    return f"{socket.gethostname()[:48]}:{place}:{slot.name}:"


def owner_name(home: Path, slot: Slot) -> str:
    """This process, as the owner of a job: host, home, slot, process id and when it started."""
    return f"{owner_prefix(home, slot)}{os.getpid()}:{_started}"


@contextmanager
def try_lock(home: Path, slot: Slot = ANY) -> Iterator[bool]:
    """Hold the lock if it is free; yields whether it is held. Two threads of one process exclude each other too."""
    make_home(home)
    descriptor = os.open(home / slot.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _take(descriptor)
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    taken = try_flock(descriptor, ALONE)
    if taken:
        _held.add(descriptor)
    return taken


def _forget_in_child() -> None:
    """A forked child would keep its parent's lock alive after the parent's death."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)
