"""Where documents come from: a folder or a file on this machine, or bytes that were handed in."""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llmops.errors import InvalidInput
from vectorstore.load import LONGEST_ID, LONGEST_ID_BYTES, Fields, is_too_long, loader_for

LONGEST_SOURCE, LONGEST_SOURCE_BYTES = 300, 600
MOST_BYTES = 256 * 2**20
"""Of one file; its bytes are kept as a row."""
_HIDDEN = (".", "~$")
DEEPEST = 100
"""Levels of folders below the one that is ingested."""


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes that were handed in and are kept: `blob` is their hash, `size` how many there are."""

    external_id: str
    name: str
    blob: str
    title: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    acl: list[str] | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """What to ingest and how: the payload of a job of kind `ingest`.

    Either `root` is the absolute path of a folder or file, or `uploads` holds what was handed in. `principals` are
    those of who orders it, None for the owner: what they may not read they may not replace. `engine` is what parses and
    embeds: "local", or "ray".
    """

    collection: str
    source: str
    root: str = ""
    uploads: list[Upload] = field(default_factory=list)
    acl: list[str] | None = None
    fields: Fields = field(default_factory=Fields)
    include: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    prune: bool = False
    principals: list[str] | None = None
    engine: str = "local"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, payload: dict[str, Any]) -> Order:
        uploads = [Upload(**upload) for upload in payload.get("uploads", [])]
        return cls(**{**payload, "uploads": uploads, "fields": Fields(**payload.get("fields", {}))})


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a folder. `path` is relative to it, with forward slashes; `kind` is None where no loader knows the file.

    `error` says why it cannot be read. So it does of a folder, whose `path` ends in a slash.
    """

    path: str
    file: Path
    kind: str | None
    error: str = ""

    @property
    def size(self) -> int:
        """Bytes; 0 where that cannot be told."""
        try:
            return self.file.stat().st_size
        except OSError:
            return 0


def check_source(name: str) -> str:
    """The name, if it can be that of a source."""
    too_long = len(name) > LONGEST_SOURCE or len(name.encode("utf-8", "replace")) > LONGEST_SOURCE_BYTES
    if not name.strip() or too_long or "\x00" in name:
        hint = f"1 to {LONGEST_SOURCE} characters, and at most {LONGEST_SOURCE_BYTES} bytes in UTF-8"
        raise InvalidInput(f"not a name for a source: {name[:80]!r}", hint=hint, param="source")
    return name


def source_of(root: Path) -> str:
    """The name of the folder or file, as the source of its documents where no other is given."""
    return check_source(_as_text(root.resolve().name))


def check_root(root: Path) -> Path:
    """The absolute path of something that can be ingested."""
    if (name := str(root)) != _as_text(name):
        raise InvalidInput(f"a path that is no UTF-8: {_as_text(name)}", hint="rename it, or ingest the folder above it", param="path")
    try:
        there = root.exists()
    except OSError as failure:
        raise InvalidInput(f"cannot be read: {str(root)[:200]}: {failure.strerror}", hint="check the path", param="path") from None
    if not there:
        raise InvalidInput(f"no such file or folder: {root}", hint="check the path", param="path")
    if not (root.is_dir() or root.is_file()):
        raise InvalidInput(f"neither a file nor a folder: {root}", hint="name a file or a folder", param="path")
    if not os.access(root, os.R_OK):
        raise InvalidInput(f"cannot be read: {root}", hint="check its permissions", param="path")
    return root.absolute()


def walk(root: Path, include: list[str], exclude: list[str]) -> Iterator[Found]:
    """The files at `root`, in a stable order, then the folders that cannot be read.

    Hidden files and folders are passed over, and so are the `~$` files beside a document that Office has open. Links to
    folders, and links that lead out of it, have no kind.
    """
    check_root(root)
    if root.is_file():
        yield _found(root.name, root)
        return
    real_root = root.resolve()
    closed: list[OSError] = []
    for folder, folders, names in os.walk(root, onerror=closed.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        linked = [name for name in folders if Path(folder, name).is_symlink()]
        if len(Path(folder).relative_to(root).parts) >= DEEPEST and folders:
            closed.append(OSError(errno.ELOOP, f"folders nest deeper than {DEEPEST} levels", folder))
            folders.clear()
        for name in sorted(names):
            file = Path(folder, name)
            path = file.relative_to(root).as_posix()
            if name.startswith(_HIDDEN) or not wanted(path, include, exclude):
                continue
            if file.is_symlink() and not Path(os.path.realpath(file)).is_relative_to(real_root):
                yield Found(_fitting(path), file, None)
            elif file.is_symlink() and not os.path.exists(file):  # noqa: PTH110  # it never raises, whatever the link
                yield Found(_fitting(path), file, loader_for(name), "is a link to nothing")
            else:
                yield _found(path, file)
        for link in (Path(folder, name) for name in linked):
            if wanted(path := link.relative_to(root).as_posix(), include, exclude):
                yield Found(_fitting(path), link, None)
    for failure in closed:
        unread = Path(failure.filename)
        yield Found(f"{_fitting(unread.relative_to(root).as_posix())}/", unread, None, f"cannot be read: {failure.strerror}")


def read_file(file: Path, root: Path | None = None) -> bytes:
    """The bytes of a regular file. Raises `InvalidInput` for one that cannot be read; a pipe or a device is not waited for.

    With `root`, a folder, it must lie within that folder at this very moment, however the links were when it was found.
    """
    try:
        with os.fdopen(_open_within(root, file) if root else _open(file), "rb") as opened:
            _check_regular(os.fstat(opened.fileno()))
            content = opened.read(MOST_BYTES + 1)
            if len(content) > MOST_BYTES:
                raise InvalidInput(f"is larger than {MOST_BYTES // 2**20} MB")
            return content
    except FileNotFoundError:
        raise InvalidInput("vanished while it was read") from None
    except OSError as failure:
        raise InvalidInput(f"cannot be read: {failure.strerror}") from None


def _open(name: Path | str, folder: int | None = None) -> int:
    status = os.stat(name, dir_fd=folder, follow_symlinks=folder is None)
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    _check_regular(status)  # before it is opened: that alone may move a device
    follow = os.O_NOFOLLOW if folder is not None else 0
    return os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | follow, dir_fd=folder)


def _open_within(root: Path, file: Path) -> int:
    """Open what the path leads to by going down from `root` step by step; a link that is put there now is not followed."""
    real_root = os.path.realpath(root)
    try:
        *folders, name = Path(os.path.realpath(file)).relative_to(real_root).parts
    except ValueError:
        raise InvalidInput("is a link that leads out of the folder now") from None
    place = os.open(real_root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
            os.close(place)
            place = inner
        return _open(name, place)
    finally:
        os.close(place)


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInput("is no regular file")


def _found(path: str, file: Path) -> Found:
    name = _fitting(path)
    error = "" if name == _as_text(path) else f"its path is longer than {LONGEST_ID} characters or {LONGEST_ID_BYTES} bytes"
    return Found(name, file, loader_for(file.name), error)


def _as_text(path: str) -> str:
    """A path with what is no UTF-8 in it as `\\xff`, so that two such names stay two."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _fitting(path: str) -> str:
    """A path as an external id: one too long ends in its hash."""
    text = _as_text(path)
    if not is_too_long(text):
        return text
    head = text.encode()[: LONGEST_ID - 20].decode("utf-8", "ignore")
    return f"{head}...{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def wanted(path: str, include: list[str], exclude: list[str]) -> bool:
    """Whether the patterns of an order take a file in."""
    name = path.rsplit("/", 1)[-1]

    def matches(patterns: list[str]) -> bool:
        return any(fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(name, pattern) for pattern in patterns)

    return (not include or matches(include)) and not matches(exclude)
