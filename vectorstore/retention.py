"""What goes of documents when their time is over: the original bytes of those that were withdrawn long ago."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from llmops.store import blobs
from vectorstore.rows import originals as rows

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.store.store import Connection

AT_ONCE = 200
LEAST = 86_400.0
"""Seconds that bytes are kept at least: a job that waits for its turn may need what an older document was made from."""


def originals(home: Home, workspace: str, before: float) -> int:
    """Let go of the bytes that no document needs that is there, or was withdrawn after a time: the part of kind `retention` of that name.

    The extracted text stays, for what was answered from it can still be asked for.
    """

    before = min(before, time.time() - LEAST)

    def let_go(connection: Connection) -> int:
        names = rows.unneeded(connection, workspace, before, AT_ONCE)
        blobs.let_go(connection, names)
        return len(names)

    total = 0
    while count := home.store.write(let_go):
        total += count
    return total
