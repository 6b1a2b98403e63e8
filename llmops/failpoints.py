"""Named places at which a crash test kills the process."""

from __future__ import annotations

import os
import signal

_armed, _, _after = os.environ.get("LLMOPS_FAILPOINT", "").partition(":")
_left = int(_after) if _after.isdigit() else 1


def failpoint(name: str) -> None:
    """Die here, as by `kill -9`, if `LLMOPS_FAILPOINT` is `name`, or `name:N` and this is the N-th time."""
    global _left
    if name != _armed:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
