"""Put what was restored in the place of what was there, so that a kill leaves the old or the new, never a mixture.

What was restored lies ready under other names. Then the moves are written down, which is the moment that decides, and carried
out. Whoever opens the store after a kill in the middle finishes them first.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from llmops.durable import sync
from llmops.errors import StoreError
from llmops.failpoints import failpoint

JOURNAL = "restore.json"


class Move(NamedTuple):
    """A file or folder and where it goes: to a place where nothing is by then."""

    source: Path
    target: Path


def switch(home: Path, aside: Sequence[Move], into_place: Sequence[Move]) -> None:
    """Carry out the moves, those that clear a place first."""
    for move in into_place:
        _sync_all(move.source)
    draft = home / f".{JOURNAL}.{os.getpid()}"
    told = [[str(source), str(target), kind] for kind, moves in (("aside", aside), ("into", into_place)) for source, target in moves]
    draft.write_text(json.dumps(told), encoding="utf-8")
    sync(draft)
    failpoint("restore.ready")
    draft.rename(home / JOURNAL)
    sync(home)
    failpoint("restore.decided")
    finish(home)


def finish(home: Path) -> None:
    """Finish the moves of a restore that was killed; one look where there is none."""
    journal = home / JOURNAL
    try:
        opened = journal.open("rb")
    except FileNotFoundError:
        return
    with opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        if not journal.exists():  # another process has finished them meanwhile
            return
        try:
            moves = [(Move(Path(source), Path(target)), kind) for source, target, kind in json.loads(opened.read())]
        except ValueError:
            raise StoreError(f"{journal} cannot be read: a restore was cut off", hint="move it away and restore again") from None
        for (source, target), kind in moves:
            # Of what goes aside the source may be there again: it is what came into its place.
            if source.exists() and not (kind == "aside" and target.exists()):
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                source.rename(target)
                sync(source.parent)
                sync(target.parent)
                failpoint("restore.moved")
        journal.unlink()
        sync(home)


def _sync_all(path: Path) -> None:
    for folder, _, names in os.walk(path):
        for name in names:
            sync(Path(folder) / name)
        sync(Path(folder))
    if path.is_file():
        sync(path)
