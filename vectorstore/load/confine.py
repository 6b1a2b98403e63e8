"""Take away from this process what a parser does not need, before it sees a file.

Memory and the size of files it writes are bounded for good, time for each file anew; there is no network where the
system lets an ordinary process give it up, no way to gain rights, and no life after the parent's.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

LARGEST_FILE = 64 * 2**20
"""Bytes of a temporary file."""
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


def confine(memory_mb: int, parent: int) -> None:
    """Give up what is not needed, for good. `parent` is the process that this one must not outlive."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they are for the parent, which ends this one
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)
        if libc.unshare(_NEW_NET) != 0:
            libc.unshare(_NEW_USER | _NEW_NET)  # where this is forbidden too, the container around us has to be the wall
    _lower(resource.RLIMIT_AS, memory_mb * 2**20)
    _lower(resource.RLIMIT_FSIZE, LARGEST_FILE)
    _lower(resource.RLIMIT_CORE, 0)


def allow_seconds(seconds: float) -> None:
    """Let this process compute for so long from now on; then the system ends it. The parent watches the clock on the wall."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds) + 1)


def _lower(kind: int, limit: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
