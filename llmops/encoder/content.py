"""The hash of a model's files, which names its vectors. It is cheap at start: a file is read again only when it changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from llmops.durable import read_small
from llmops.encoder.source import ModelFolder
from llmops.errors import Unavailable

_SETTLED = 2.0
"""Seconds. A file younger than this may change again within one tick of its clock, so its hash is not remembered."""
_MOST_KNOWN = 2**20


def content_hash(model: ModelFolder, cache: Path) -> str:
    """SHA-256, as hex, over names and contents of all files that decide a vector; `cache` remembers it by size and time.

    Raises `Unavailable` where a file cannot be read.
    """
    try:
        return _content_hash(model, cache)
    except OSError as broken:
        raise Unavailable(
            f"the files of the encoder {model.name!r} cannot be read: {broken}", hint="make them readable, or fetch them again"
        ) from broken


def _content_hash(model: ModelFolder, cache: Path) -> str:
    files = _files(model)
    stamp = [[name, stat.st_size, stat.st_mtime_ns, stat.st_ino] for name, file in files.items() for stat in [file.stat()]]
    known = cache / "known" / f"{hashlib.sha256(os.fsencode(model.folder)).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # not there, or damaged: hash again
        remembered = json.loads(read_small(known, _MOST_KNOWN))
        if remembered["files"] == stamp:
            return str(remembered["content"])
    whole = hashlib.sha256()
    for name, file in files.items():
        with file.open("rb") as opened:
            whole.update(f"{name}\0{hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    if all(time.time() - file.stat().st_mtime > _SETTLED for file in files.values()):
        _remember(known, {"files": stamp, "content": whole.hexdigest()})
    return whole.hexdigest()


def _files(model: ModelFolder) -> dict[str, Path]:
    """The files of the model's folder and of its modules' folders, without its documentation and hidden files."""
    folders = {"": model.folder, **{module["path"]: model.folder / module["path"] for module in model.modules()}}
    found = {
        f"{place}/{file.name}": file
        for place, folder in folders.items()
        if folder.is_dir()
        for file in folder.iterdir()
        if file.is_file() and not file.name.startswith(".") and file.suffix.lower() != ".md"
    }
    return dict(sorted(found.items()))


def _remember(known: Path, value: dict[str, object]) -> None:
    """Write by rename. A cache that cannot be written costs time at the next start and nothing else."""
    with contextlib.suppress(OSError):
        known.parent.mkdir(parents=True, exist_ok=True)
        draft = known.with_suffix(f".{os.getpid()}.tmp")
        draft.write_text(json.dumps(value))
        draft.replace(known)
