"""The part of kind `backups` named `traces`: MLflow's own file in the home, and its artifacts. A server of MLflow's keeps its own backups."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from llmops.store import sqlite_file
from llmops.store.switch import Move
from llmops.tracking import FILE_NAME

if TYPE_CHECKING:
    from llmops.backup_file import Reader, Writer
    from llmops.home import Home
    from llmops.settings import Settings

ARTIFACTS = "mlruns"
_BELOW = "mlflow/"
_SIDES = ("", "-wal", "-shm", "-journal")
_AT_ONCE = 1 << 20
_SCRATCH = ".backup-"
_OLD = 86400.0  # seconds: no backup copies for that long


def save(home: Home, out: Writer) -> None:
    """Write MLflow's file as of one moment, and the artifacts that are there then."""
    folder = home.settings.home
    if home.settings.mlflow.tracking_uri or not (folder / FILE_NAME).is_file():
        return
    out.notes["traces"] = {"artifacts": (folder / ARTIFACTS).as_uri()}
    for left in folder.glob(f"{_SCRATCH}*"):  # of a backup that was killed
        with suppress(FileNotFoundError):  # of another that ends just now
            if time.time() - left.stat().st_mtime > _OLD:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=_SCRATCH) as scratch:
        copied = Path(scratch) / FILE_NAME
        sqlite_file.copy(folder / FILE_NAME, copied)
        with copied.open("rb") as opened:
            out.add(_BELOW + FILE_NAME, _pieces(opened))
    for path in _files(folder / ARTIFACTS):
        with suppress(FileNotFoundError), path.open("rb") as opened:  # one may be removed with its run at any time
            out.add(_BELOW + path.relative_to(folder).as_posix(), _pieces(opened))


def check(backup: Reader) -> None:
    """Nothing more than what was checked already: MLflow itself says which of its versions it reads."""


def restore(settings: Settings, backup: Reader, staging: Path, aside: str) -> list[tuple[Move, bool]]:
    """Write what the backup has of MLflow below `staging`; returns the moves that put it in place, and whether each clears it."""
    notes = backup.notes("traces")
    if settings.mlflow.tracking_uri:
        return []
    home = settings.home
    former = [*(f"{FILE_NAME}{side}" for side in _SIDES), ARTIFACTS]
    clearing = [(Move(home / name, home / aside / name), True) for name in former if (home / name).exists()]
    if notes is None:  # the state of then had no traces of its own
        return clearing
    for name in backup.members(_BELOW):
        target = staging / name.removeprefix(_BELOW)
        if not target.resolve().is_relative_to(staging.resolve()):
            continue
        with backup.well_formed():  # a file of which another name makes a folder
            target.parent.mkdir(parents=True, exist_ok=True)
            out = target.open("wb")
        with out:
            for piece in backup.pieces(name):
                out.write(piece)
    with backup.well_formed():
        artifacts = str(notes["artifacts"])
    sqlite_file.move_references(staging / FILE_NAME, artifacts, (home / ARTIFACTS).absolute().as_uri())
    return [*clearing, *((Move(staging / name, home / name), False) for name in (FILE_NAME, ARTIFACTS) if (staging / name).exists())]


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (path for name in sorted(names) if (path := Path(place) / name).is_file() and not path.is_symlink())


def _pieces(opened: BinaryIO) -> Iterator[bytes]:
    while piece := opened.read(_AT_ONCE):
        yield piece
