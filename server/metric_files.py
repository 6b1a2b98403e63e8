"""The files through which server processes add up their measures, with their room on the disk taken before they are used.

They are written through memory: where a page of theirs finds no room on the disk, the kernel kills the process that writes it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
KINDS = ("counter", "histogram", "gauge_mostrecent")
ROOM = 1 << 20
"""Bytes of each: more than all series that there can be, for prometheus-client takes room for more without a look."""


def reserve() -> None:
    """Take the room for this process's files. Call it before prometheus-client is imported: where there is none, it measures in memory."""
    folder = os.environ.get(VARIABLE)
    if folder is None:
        return
    files = [Path(folder) / f"{kind}_{os.getpid()}.db" for kind in KINDS]
    try:
        for file in files:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, ROOM)
            finally:
                os.close(descriptor)
    except OSError:
        del os.environ[VARIABLE]
        for file in files:
            with suppress(OSError):
                file.unlink(missing_ok=True)
