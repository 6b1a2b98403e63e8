"""The file of a backup: a zip whose last 64 bytes are the SHA-256 of all that stands before them.

    manifest.json        format, when, the store's revision, and for each member its SHA-256, bytes and rows
    store/TABLE.jsonl    one line a row
    mlflow/...           MLflow's own file and artifacts, where they are in the home

The zip's comment holds that hash, so every tool for zips opens the file, and no byte of it can change unseen.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from llmops.durable import size_of, sync
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

    def __init__(self, archive: zipfile.ZipFile, manifest: Json, path: Path) -> None:
        self._archive, self.manifest, self._path = archive, manifest, path

    def well_formed(self) -> AbstractContextManager[None]:
        """`InvalidInput` for whatever the content of the backup lets a part raise that takes it in, and nothing else does meanwhile."""
        return _well_formed(self._path)

    def notes(self, part: str) -> Json | None:
        """What a part wrote down for itself; None where it had nothing to keep."""
        found: Json | None = self.manifest["notes"].get(part)
        return found

    def members(self, below: str) -> list[str]:
        return [name for name in self.manifest["members"] if name.startswith(below)]

    def rows(self, name: str) -> int:
        return int(self.manifest["members"][name]["rows"])

    def lines(self, name: str) -> Iterator[bytes]:
        with self._member(name) as member:
            yield from io.BufferedReader(member, _AT_ONCE)

    def pieces(self, name: str) -> Iterator[bytes]:
        with self._member(name) as member:
            while piece := member.read(_AT_ONCE):
                yield piece

    @contextmanager
    def _member(self, name: str) -> Iterator[_Checked]:
        with ExitStack() as stack:
            with _well_formed(self._path):
                opened = stack.enter_context(self._archive.open(name))
                checked = _Checked(opened, name, self.manifest["members"][name], self._path)
            yield checked


class _Checked(io.RawIOBase):
    """A member as it is read: `InvalidInput` once it holds more or other bytes than the manifest says, before more are inflated."""

    def __init__(self, opened: IO[bytes], name: str, told: Json, path: Path) -> None:
        self._opened, self._name, self._told, self._path = opened, name, told, path
        self._left, self._hash = int(told["bytes"]), hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _well_formed(self._path):
            piece = self._opened.read(max(0, min(len(buffer), self._left + 1)))
        self._left -= len(piece)
        self._hash.update(piece)
        if self._left < 0 or (not piece and (self._left or self._hash.hexdigest() != self._told["sha256"])):
            raise InvalidInput(f"{self._name} of the backup is not what its manifest says", hint=_DAMAGED)
        buffer[: len(piece)] = piece
        return len(piece)


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Write a new backup: it has its name once it is whole and on the disk. Its owner alone can read it. `Conflict` for a file that is there."""
    if path.exists():
        raise Conflict(f"{path} exists already", hint="name another file, or remove it first")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
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
        _name(draft, path)
        sync(path.absolute().parent)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def _name(draft: Path, path: Path) -> None:
    """Give a file its name, unless that was taken meanwhile."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise Conflict(f"{path} exists already", hint="name another file, or remove it first") from None
    except OSError:  # a file system without hard links
        if path.exists():
            raise Conflict(f"{path} exists already", hint="name another file, or remove it first") from None
        draft.rename(path)
        return
    draft.unlink()


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
        size_of(path)
        opened = path.open("rb")
    except ValueError as failure:
        raise InvalidInput(f"cannot read {path}: {failure}", hint="name a file that `llmops backup` wrote") from None
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
        with ExitStack() as stack:
            with _well_formed(path):
                archive = stack.enter_context(zipfile.ZipFile(opened))
                manifest = _manifest(archive, path)
            yield Reader(archive, manifest, path)


_NO_FILES = (IsADirectoryError, NotADirectoryError, FileExistsError)


@contextmanager
def _well_formed(path: Path) -> Iterator[None]:
    """Whole and sealed is not yet made by us: whatever its content lets zip or JSON raise is its fault."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, TypeError, LookupError, *_NO_FILES) as failure:
        raise InvalidInput(f"{path} does not hold what a backup holds: {type(failure).__name__}", hint=_DAMAGED) from failure


def _manifest(archive: zipfile.ZipFile, path: Path) -> Json:
    try:
        manifest: Json = json.loads(archive.read(MANIFEST))
        if manifest["kind"] != KIND:
            raise ValueError(manifest["kind"])
        newer = int(manifest["format"]) > FORMAT
        whole = newer or sorted([*manifest["members"], MANIFEST]) == sorted(archive.namelist())
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile):
        raise InvalidInput(f"{path} is no backup of LLMOps", hint="name a file that `llmops backup` wrote") from None
    if newer:
        raise InvalidInput(f"{path} was written by a newer version of LLMOps", hint="install that version, then restore")
    if not whole:
        raise InvalidInput(f"{path} does not hold what its manifest says", hint=_DAMAGED)
    return manifest
