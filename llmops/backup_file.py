"""The file of a backup: a zip whose last 64 bytes are the SHA-256 of all that stands before them.

    manifest.json        format, when, the store's revision, and for each member its SHA-256, bytes and rows
    store/TABLE.jsonl    one line a row
    mlflow/...           MLflow's own file and artifacts, where they are in the home

The zip's comment holds that hash, so every tool for zips opens the file, and no byte of it can change unseen.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from llmops.durable import sync
from llmops.errors import Conflict, InvalidInput
from llmops.types import Json

FORMAT = 1
KIND = "llmops backup"
MANIFEST = "manifest.json"
_DIGITS = 64
_AT_ONCE = 1 << 20
_DAMAGED = "take another backup; nothing was changed"


class Writer:
    """What parts write their members with. `notes` is what each part must know again when it restores."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.members: dict[str, Json] = {}
        self.notes: dict[str, Json] = {}

    def add(self, name: str, pieces: Iterable[bytes]) -> Json:
        """Write a member, piece by piece; returns its entry in the manifest, `rows` being the number of pieces."""
        check, size, count = hashlib.sha256(), 0, 0
        with self._archive.open(name, "w", force_zip64=True) as out:
            for piece in pieces:
                out.write(piece)
                check.update(piece)
                size, count = size + len(piece), count + 1
        self.members[name] = {"sha256": check.hexdigest(), "bytes": size, "rows": count}
        return self.members[name]

    def finish(self) -> Json:
        manifest = {"kind": KIND, "format": FORMAT, "created": time.time(), "notes": self.notes, "members": self.members}
        self._archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
        return manifest


class Reader:
    """A backup that was found whole."""

    def __init__(self, archive: zipfile.ZipFile, manifest: Json) -> None:
        self._archive, self.manifest = archive, manifest

    def notes(self, part: str) -> Json | None:
        """What a part wrote down for itself; None where it had nothing to keep."""
        found: Json | None = self.manifest["notes"].get(part)
        return found

    def members(self, below: str) -> list[str]:
        return [name for name in self.manifest["members"] if name.startswith(below)]

    def rows(self, name: str) -> int:
        return int(self.manifest["members"][name]["rows"])

    def lines(self, name: str) -> Iterator[bytes]:
        with self._archive.open(name) as member:
            yield from member

    def pieces(self, name: str) -> Iterator[bytes]:
        with self._archive.open(name) as member:
            while piece := member.read(_AT_ONCE):
                yield piece


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Write a new backup: it has its name once it is whole and on the disk. Its owner alone can read it. `Conflict` for a file that is there."""
    if path.exists():
        raise Conflict(f"{path} exists already", hint="name another file, or remove it first")
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as failure:
        raise InvalidInput(f"cannot write {path}: {failure.strerror}", hint="name a file in a folder that can be written") from None
    try:
        with os.fdopen(descriptor, "w+b") as out:
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                archive.comment = b"0" * _DIGITS
                writer = Writer(archive)
                yield writer
                writer.finish()
            _seal(out)
            out.flush()
            os.fsync(out.fileno())
        draft.rename(path)
        sync(path.absolute().parent)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def _seal(out: Any) -> None:
    out.flush()
    size = out.seek(0, os.SEEK_END) - _DIGITS
    digits = _hash_of(out, size)
    out.seek(size)
    out.write(digits)


def _hash_of(opened: Any, size: int) -> bytes:
    """The SHA-256 of the first `size` bytes, in hexadecimal digits."""
    check, left = hashlib.sha256(), size
    opened.seek(0)
    while left and (piece := opened.read(min(_AT_ONCE, left))):
        check.update(piece)
        left -= len(piece)
    return check.hexdigest().encode()


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Open a backup once every byte of it was checked. Raises `InvalidInput` for one that is damaged, foreign or newer than this program."""
    try:
        opened = path.open("rb")
    except OSError as failure:
        raise InvalidInput(f"cannot read {path}: {failure.strerror}", hint="name a file that `llmops backup` wrote") from None
    with opened:
        size = opened.seek(0, os.SEEK_END) - _DIGITS
        opened.seek(max(0, size))
        digits = opened.read(_DIGITS)
        if size <= 0 or len(digits) < _DIGITS or not zipfile.is_zipfile(opened) or set(digits) - set(b"0123456789abcdef"):
            raise InvalidInput(f"{path} is cut short, damaged or no backup at all", hint=_DAMAGED)
        if _hash_of(opened, size) != digits:
            raise InvalidInput(f"{path} is damaged: it is not as it was written", hint=_DAMAGED)
        with zipfile.ZipFile(opened) as archive:
            yield Reader(archive, _manifest(archive, path))


def _manifest(archive: zipfile.ZipFile, path: Path) -> Json:
    try:
        manifest: Json = json.loads(archive.read(MANIFEST))
        if manifest["kind"] != KIND:
            raise ValueError(manifest["kind"])
        newer = int(manifest["format"]) > FORMAT
        whole = newer or set(manifest["members"]) | {MANIFEST} == set(archive.namelist())
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile):
        raise InvalidInput(f"{path} is no backup of LLMOps", hint="name a file that `llmops backup` wrote") from None
    if newer:
        raise InvalidInput(f"{path} was written by a newer version of LLMOps", hint="install that version, then restore")
    if not whole:
        raise InvalidInput(f"{path} does not hold what its manifest says", hint=_DAMAGED)
    return manifest
