"""The one way to open a document that is a zip archive.

Nothing that such a file says of itself is believed: its directory is held against the entries, and bytes are counted
while they are inflated. What the directory declares can only lead to a refusal. Entries that no loader asks for, such
as pictures and embedded archives, are never inflated.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import NoReturn

from llmops.errors import InvalidInput

MOST_ENTRIES = 5_000
MOST_OF_AN_ENTRY = 192 * 2**20
"""Inflated bytes of one entry that is read as it comes."""
MOST_IN_ALL = 384 * 2**20
"""Inflated bytes of all entries that are read."""
MOST_DECLARED = 2**30
"""Bytes that all entries may declare, pictures and films too."""
HIGHEST_RATIO = 300
"""Inflated bytes for each byte in the file, from `FREE_OF_RATIO` on; deflate ends at about 1,030."""
FREE_OF_RATIO = 4 * 2**20
_PIECE = 2**16
_ENTRY = b"PK\x01\x02"
_LOCAL = struct.Struct("<4s5H3I2H")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_KINDS = (
    (b"%PDF-", "a PDF"),
    (b"{\\rtf", "an RTF file"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x1f\x8b", "a gzip file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"<!DOCTYPE html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML file"),
)
_BROKEN_HINT = "save the document again with the program that made it"
_TOO_LARGE_HINT = "split the document, or take out what makes it large"


class Archive:
    """A zip archive in memory whose directory has been checked. `kind` is what its name promises, for messages: "DOCX"."""

    def __init__(self, content: bytes, kind: str) -> None:
        self._content = content
        self._read = 0
        _check_bytes(content, kind)
        try:
            directory = zipfile.ZipFile(io.BytesIO(content)).infolist()
        except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, ValueError, OSError, struct.error, EOFError) as error:
            raise InvalidInput(f"is a broken {kind}: {error}", hint=_BROKEN_HINT) from error
        self._entries = _checked(directory, kind, len(content))

    def names(self) -> list[str]:
        return list(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def open(self, name: str) -> Entry:
        """A stream of an entry's bytes; `InvalidInput` where there is none, where it is not what the directory says, or beyond a limit."""
        info = self._entries.get(name)
        if info is None:
            raise InvalidInput(f"has no part {name[:100]!r}", hint=_BROKEN_HINT)
        return Entry(self, info, self._data(info))

    def read(self, name: str, most: int) -> bytes:
        """All bytes of an entry, at most `most`."""
        with self.open(name) as entry:
            content = entry.read(most + 1)
            if len(content) > most:
                _refuse_size(f"its part {name[:100]!r} is larger than {most // 2**20} MB")
            return content

    def charge(self, count: int) -> None:
        """Count bytes that were inflated, against the budget of the whole archive."""
        self._read += count
        if self._read > MOST_IN_ALL:
            _refuse_size(f"inflates to more than {MOST_IN_ALL // 2**20} MB")

    def _data(self, info: zipfile.ZipInfo) -> memoryview:
        """The bytes of an entry as they lie in the file, found by its own header, which must be of the same name."""
        start = info.header_offset
        try:
            signature, _, flags, method, *_, names, extras = _LOCAL.unpack_from(self._content, start)
        except struct.error as error:
            raise InvalidInput(f"has a directory that points outside of the file, at {info.filename[:100]!r}", hint=_BROKEN_HINT) from error
        name = self._content[start + _LOCAL.size : start + _LOCAL.size + names]
        declared = info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437", "replace")
        if signature != b"PK\x03\x04" or method != info.compress_type or (flags & 0x800 == info.flag_bits & 0x800 and name != declared):
            raise InvalidInput(f"has a directory that does not fit its entries, at {info.filename[:100]!r}", hint=_BROKEN_HINT)
        start += _LOCAL.size + names + extras
        data = memoryview(self._content)[start : start + info.compress_size]
        if len(data) != info.compress_size:
            raise InvalidInput(f"is cut off in {info.filename[:100]!r}", hint="fetch the whole file again")
        return data


class Entry(io.RawIOBase):
    """The bytes of one entry, inflated as they are read and counted on the way."""

    def __init__(self, archive: Archive, info: zipfile.ZipInfo, data: memoryview) -> None:
        super().__init__()
        self._archive, self._info, self._data = archive, info, data
        self._inflater = zlib.decompressobj(-15) if info.compress_type == zipfile.ZIP_DEFLATED else None
        self._at = self._count = self._sum = 0
        self._rest = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        parts: list[bytes] = []
        have = 0
        while size < 0 or have < size:
            piece = self._next(_PIECE if size < 0 else min(_PIECE, size - have))
            if not piece:
                break
            parts.append(piece)
            have += len(piece)
        return b"".join(parts)

    def _next(self, size: int) -> bytes:
        piece = self._inflated(size) if self._inflater else bytes(self._data[self._at : self._at + size])
        if self._inflater is None:
            self._at += len(piece)
        if not piece:
            self._end()
            return b""
        self._count += len(piece)
        self._sum = zlib.crc32(piece, self._sum)
        self._archive.charge(len(piece))
        name = self._info.filename[:100]
        if self._count > MOST_OF_AN_ENTRY:
            _refuse_size(f"its part {name!r} is larger than {MOST_OF_AN_ENTRY // 2**20} MB")
        if self._count > FREE_OF_RATIO and self._count > HIGHEST_RATIO * max(len(self._data), 1):
            _refuse_size(f"its part {name!r} inflates to more than {HIGHEST_RATIO} times its size")
        if self._count > self._info.file_size:
            self._refuse_lie()
        return piece

    def _inflated(self, size: int) -> bytes:
        inflater = self._inflater
        assert inflater is not None
        while not inflater.eof:
            if not self._rest:
                self._rest = bytes(self._data[self._at : self._at + _PIECE])
                self._at += len(self._rest)
            try:
                piece = inflater.decompress(self._rest, size)
            except zlib.error as error:
                raise InvalidInput(f"is broken in {self._info.filename[:100]!r}: {error}", hint=_BROKEN_HINT) from error
            exhausted = not self._rest
            self._rest = inflater.unconsumed_tail
            if piece:
                return piece
            if exhausted:
                raise InvalidInput(f"is cut off in {self._info.filename[:100]!r}", hint="fetch the whole file again")
        return b""

    def _end(self) -> None:
        if not self._ended and (self._count != self._info.file_size or self._sum != self._info.CRC):
            self._refuse_lie()
        self._ended = True

    def _refuse_lie(self) -> NoReturn:
        raise InvalidInput(f"has a directory that lies about {self._info.filename[:100]!r}", hint=_BROKEN_HINT)


def _check_bytes(content: bytes, kind: str) -> None:
    """Refuse what is no zip archive, by what it is."""
    if not content:
        raise InvalidInput("is empty", hint="the file has no bytes")
    if content.startswith(_OLE):
        if _ENCRYPTED in content:
            raise InvalidInput("is encrypted; remove its password first", hint="save it without a password")
        raise InvalidInput(f"is an old binary Office file, not a {kind}", hint=f"save it as {kind}")
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, name in _KINDS:
        if start[: len(magic)].lower() == magic.lower():
            raise InvalidInput(f"is {name}, not a {kind}", hint="give the file the extension of what it is")
    if not content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        raise InvalidInput(f"is not a {kind}: it is no zip archive", hint="give the file the extension of what it is")
    if content.count(_ENTRY) > MOST_ENTRIES:  # each is an object for zipfile, whatever number the directory gives
        _refuse_size(f"has more than {MOST_ENTRIES:,} entries")


def _checked(directory: list[zipfile.ZipInfo], kind: str, size: int) -> dict[str, zipfile.ZipInfo]:
    """The entries by name, without those of folders."""
    entries: dict[str, zipfile.ZipInfo] = {}
    declared = 0
    for info in directory:
        name = info.filename.replace("\\", "/")  # some old programs wrote them so
        if info.orig_filename != info.filename or name.startswith("/") or ".." in PurePosixPath(name).parts or ":" in name[:2]:
            raise InvalidInput(f"has an entry whose name leads outside of it: {info.orig_filename[:100]!r}", hint=_BROKEN_HINT)
        if name.endswith("/"):
            continue
        if name in entries:
            raise InvalidInput(f"has two entries named {name[:100]!r}", hint=_BROKEN_HINT)
        if info.flag_bits & 1:
            raise InvalidInput("is encrypted; remove its password first", hint="save it without a password")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidInput(f"has an entry packed in a way that no {kind} is: {name[:100]!r}", hint=_BROKEN_HINT)
        if info.header_offset + info.compress_size > size:
            raise InvalidInput(f"has a directory that lies about {name[:100]!r}", hint=_BROKEN_HINT)
        if info.file_size > 16 * FREE_OF_RATIO and info.file_size > HIGHEST_RATIO * max(info.compress_size, 1):
            _refuse_size(f"its part {name[:100]!r} inflates to more than {HIGHEST_RATIO} times its size")
        declared += info.file_size
        entries[name] = info
    if declared > MOST_DECLARED:
        _refuse_size(f"declares more than {MOST_DECLARED // 2**20} MB")
    return entries


def _refuse_size(reason: str) -> NoReturn:
    raise InvalidInput(reason, hint=_TOO_LARGE_HINT)
