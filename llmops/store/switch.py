"""Put what was restored in the place of what was there, so that a kill leaves the old or the new, never a mixture.

What was restored lies ready under other names. Then the moves are written down, which is the moment that decides, and carried
out. Whoever opens the store after a kill in the middle finishes them first. Where rows go into PostgreSQL, the commit of their
transaction is the moment that decides: the moves are written down before it, with the token that it leaves in the database.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from llmops.durable import sync
from llmops.errors import InvalidInput, StoreError
from llmops.failpoints import failpoint

JOURNAL = "restore.json"
STAGING = "restoring-"
"""What the folder in the home begins with in which a restore makes its files."""


class Move(NamedTuple):
    """A file or folder and where it goes: to a place where nothing is by then."""

    source: Path
    target: Path


def write_down(home: Path, aside: Sequence[Move], into_place: Sequence[Move], token: str) -> None:
    """Write the journal of the moves. With a token they are decided once the database holds it, with "" they are now.

    Raises `InvalidInput` where a move would leave its file system, before anything is changed.
    """
    for move in (*aside, *into_place):
        _check_one_file_system(move)
    for move in into_place:
        _sync_all(move.source)
    draft = home / f".{JOURNAL}.{os.getpid()}"
    told = {"token": token, "aside": _told(home, aside), "into": _told(home, into_place)}
    draft.write_text(json.dumps(told), encoding="utf-8")
    sync(draft)
    failpoint("restore.ready")
    draft.rename(home / JOURNAL)
    sync(home)
    failpoint("restore.decided")


def finish(home: Path, decided: Callable[[str], bool]) -> None:
    """Carry out the moves that are written down; one look where there are none. `decided` says whether the database holds a token.

    Raises `StoreError` where a file that was restored is gone.
    """
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
            told = json.loads(opened.read())
            aside, into = _moves(home, told["aside"]), _moves(home, told["into"])
            token = str(told["token"])
        except (ValueError, KeyError, TypeError):
            raise StoreError(f"{journal} cannot be read: a restore was cut off", hint="move it away and restore again") from None
        if not token or decided(token):
            _carry_out(journal, aside, into)
        journal.unlink()
        sync(home)
        for source, _ in into:  # what is left of it, decided or not
            if source.parent.parent == home and source.parent.name.startswith(STAGING):
                shutil.rmtree(source.parent, ignore_errors=True)


def _carry_out(journal: Path, aside: Sequence[Move], into: Sequence[Move]) -> None:
    for source, target in into:
        if not os.path.lexists(source) and not os.path.lexists(target):
            raise StoreError(f"neither {source} nor {target} is there: a restore was cut off", hint=f"move {journal} away and restore again")
    if not into or os.path.lexists(into[0].source):  # once something came into its place, what lies there is new
        for move in aside:
            _carry(move)
    for move in into:
        _carry(move)


def _carry(move: Move) -> None:
    source, target = move
    if not os.path.lexists(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    source.rename(target)
    sync(source.parent)
    sync(target.parent)
    failpoint("restore.moved")


def _told(home: Path, moves: Sequence[Move]) -> list[list[str]]:
    """The moves by names that hold wherever the home is looked at from: in the home relative to it, elsewhere absolute."""
    return [[str(_short(home.absolute(), path.absolute())) for path in move] for move in moves]


def _short(home: Path, path: Path) -> Path:
    return path.relative_to(home) if path.is_relative_to(home) else path


def _moves(home: Path, told: Any) -> list[Move]:
    return [Move(home / source, home / target) for source, target in told]


def _check_one_file_system(move: Move) -> None:
    if not os.path.lexists(move.source):
        return
    there = next(parent for parent in move.target.absolute().parents if parent.exists())
    if os.lstat(move.source).st_dev != there.stat().st_dev:
        raise InvalidInput(
            f"{move.source} and {move.target} lie on different file systems: they cannot be exchanged at once",
            hint="make it a plain file or folder of the home, then restore again; nothing was changed",
        )


def _sync_all(path: Path) -> None:
    for folder, _, names in os.walk(path):
        for name in names:
            sync(Path(folder) / name)
        sync(Path(folder))
    if path.is_file():
        sync(path)
