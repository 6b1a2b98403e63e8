"""`llmops backup` and `llmops restore`: every part of kind `backups` into one file, and back."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from llmops import plugins
from llmops.access import audit
from llmops.backup_file import reading, writing
from llmops.errors import Conflict
from llmops.home import Home, make_home
from llmops.jobs.lock import try_lock
from llmops.jobs.slots import ANY, URGENT_ONLY
from llmops.output import iso_time
from llmops.store import backup as store_part
from llmops.store import hold
from llmops.store.committed import holds_token
from llmops.store.switch import JOURNAL, STAGING, Move, finish, write_down
from server.listen import server_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmops.backup_file import Reader
    from llmops.settings import Settings
    from llmops.types import Asker, Json


def save(home: Home, asker: Asker, path: Path) -> Json:
    """Write a backup while others go on; returns what it holds. Once it is there the audit log says that it was taken."""
    began = time.monotonic()
    with writing(path) as out:
        for name in plugins.names("backups"):
            plugins.find("backups", name).save(home, out)
        rows = sum(entry["rows"] for name, entry in out.members.items() if name.startswith("store/"))
    home.store.write(lambda c: audit.record(c, asker, "store.backup", "home", {"file": path.name}))
    return {"file": str(path), "bytes": path.stat().st_size, "rows": rows, "seconds": round(time.monotonic() - began, 3)}


def restore(settings: Settings, asker: Asker, path: Path, *, force: bool) -> Json:
    """Make the home what the backup says. `Conflict` where the home holds something and `force` is not given, or a server runs.

    Killed at any time, the home holds the old state or the new one.
    """
    began = time.monotonic()
    with reading(path) as backup:
        parts = {name: plugins.find("backups", name) for name in plugins.names("backups")}
        for part in parts.values():
            with backup.well_formed():
                part.check(backup)
        with _alone(settings.home):
            finish(settings.home, partial(holds_token, settings))
            full = not store_part.is_empty(settings)
            if full and not force:
                store_part.refuse_full(settings)
            aside = store_part.aside_name()
            with _staging(settings) as staging:
                moves = [move for part in parts.values() for move in part.restore(settings, backup, staging, aside)]
                clearing = any(clears and move.source.exists() for move, clears in moves)
                _exchange(settings, backup, moves, aside)
        rows = sum(backup.rows(name) for name in backup.members("store/"))
        taken = iso_time(backup.manifest["created"])
    with Home(settings) as home:
        home.store.write(lambda c: audit.record(c, asker, "store.restore", "home", {"taken": taken, "aside": aside if full or clearing else None}))
    return {
        "rows": rows,
        "taken": taken,
        "aside": _place(settings, aside, full) if full or clearing else None,
        "seconds": round(time.monotonic() - began, 3),
    }


def _exchange(settings: Settings, backup: Reader, moves: list[tuple[Move, bool]], aside: str) -> None:
    """Put what was restored in place: all of it or nothing."""
    clearing, into = ([move for move, clears in moves if clears is kind] for kind in (True, False))
    if store_part.place_of(settings) is None:
        store_part.restore_rows(settings, backup, aside, lambda: write_down(settings.home, clearing, into, token=aside))
    else:
        write_down(settings.home, clearing, into, "")
    finish(settings.home, partial(holds_token, settings))


def _place(settings: Settings, aside: str, full: bool) -> str:
    place = store_part.place_of(settings) if full else settings.home / "traces"
    return f"the schema {aside}" if place is None else str(place.parent / aside)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold what a server, a job and whoever opens the store would need: none of them runs meanwhile."""
    make_home(home)
    with server_lock(home), try_lock(home, ANY) as any_job, try_lock(home, URGENT_ONLY) as urgent:
        if not (any_job and urgent):
            raise Conflict("a command runs a job of this home", hint="wait for it, or end it, then try again")
        with hold.alone(home):
            yield


@contextmanager
def _staging(settings: Settings) -> Iterator[Path]:
    """A folder for what is restored, and nothing left of a restore that was killed before."""
    home = settings.home
    for left in (*home.glob(f"{STAGING}*"), *_drafts(settings, STAGING), *home.glob(f".{JOURNAL}.*")):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    staging = home / f"{STAGING}{os.getpid()}"
    staging.mkdir(mode=0o700)
    try:
        yield staging
    finally:
        if not (home / JOURNAL).exists():  # whoever opens the store next needs what is there
            shutil.rmtree(staging, ignore_errors=True)
            for left in _drafts(settings, staging.name):
                left.unlink(missing_ok=True)


def _drafts(settings: Settings, name: str) -> list[Path]:
    """What a restore makes beside SQLite's file, wherever that is."""
    place = store_part.place_of(settings)
    if place is None or not place.parent.exists():
        return []
    return [path for path in place.parent.iterdir() if path.name.startswith(f".{place.name}.{name}")]
