"""Outlook's messages (MS-OXMSG): properties in the streams of an OLE file."""

from __future__ import annotations

import io
import logging
import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import olefile

from llmops.errors import InvalidInput
from vectorstore.load.decode import decode
from vectorstore.load.eml import read as read_eml
from vectorstore.load.mail import DEEPEST, Attached, Mail, documents, plain_name
from vectorstore.load.parsed import Failed, Fields, Parsed
from vectorstore.load.rtf import decompressed, text_of

logging.getLogger("olefile").setLevel(logging.CRITICAL)
MOST_ATTACHED = 1000
_SUBJECT, _BODY, _HTML, _RTF = 0x0037, 0x1000, 0x1013, 0x1009
_SENDER_NAME, _SENDER_ADDRESS, _SENDER_SMTP, _SENT_FOR = 0x0C1A, 0x0C1F, 0x5D01, 0x0042
_TO, _CC, _MESSAGE_ID, _HEADERS, _CLASS = 0x0E04, 0x0E03, 0x1035, 0x007D, 0x001A
_SENT, _RECEIVED, _CODE_PAGE, _INTERNET_CODE_PAGE = 0x0039, 0x0E06, 0x3FFD, 0x3FDE
_NAME, _ADDRESS, _SMTP, _RECIPIENT_KIND = 0x3001, 0x3003, 0x39FE, 0x0C15
_LONG_NAME, _SHORT_NAME, _DATA = 0x3707, 0x3704, 0x3701
_STREAM = re.compile(r"__substg1\.0_([0-9A-F]{4})([0-9A-F]{4})", re.IGNORECASE)
_CODE_PAGES = {
    65001: "utf-8",
    50220: "iso2022_jp",
    50221: "iso2022_jp",
    50222: "iso2022_jp",
    51932: "euc_jp",
    28591: "latin-1",
    20127: "ascii",
    20866: "koi8_r",
}
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def load(content: bytes, name: str, fields: Fields) -> Iterator[Parsed | Failed]:
    """An Outlook message and what is attached to it, each a document, as of a mail."""
    return documents(read(content), name)


def read(content: bytes) -> Mail:
    """A message from its bytes; `InvalidInput` for what is none."""
    if not content:
        raise InvalidInput("is empty", hint="the file has no bytes")
    if not content.startswith(olefile.MAGIC):
        raise InvalidInput("is not an Outlook message", hint="give the file the extension of what it is")
    try:
        with olefile.OleFileIO(io.BytesIO(content)) as ole:
            streams = {"/".join(path): path for path in ole.listdir()}
            if "__properties_version1.0" not in streams:
                raise InvalidInput("is not an Outlook message", hint="is it an old Word, Excel or PowerPoint file?")
            return _Folder(ole, "", sorted(streams)).mail(1)
    except InvalidInput:
        raise
    except (OSError, ValueError, IndexError, KeyError, struct.error, AttributeError, TypeError) as error:  # a parser of hostile input
        raise InvalidInput(f"is a broken Outlook message: {error}", hint="save it again in Outlook") from error


class _Folder:
    """A storage in the file: the message, one of its recipients, an attachment, or a message that is attached."""

    def __init__(self, ole: olefile.OleFileIO, path: str, names: list[str]) -> None:
        self._ole, self._path = ole, path
        self._below = [name.removeprefix(path) for name in names if name.startswith(path)]
        self._kinds: dict[int, tuple[int, str]] = {}
        for name in self._below:
            if match := _STREAM.fullmatch(name):
                self._kinds.setdefault(int(match[1], 16), (int(match[2], 16), name))
        self._fixed = self._properties()
        page = self._number(_CODE_PAGE) or self._number(_INTERNET_CODE_PAGE) or 1252
        self.encoding = _CODE_PAGES.get(page, f"cp{page}")

    def _read(self, name: str) -> bytes:
        with self._ole.openstream(self._path + name) as stream:
            return bytes(stream.read())

    def _properties(self) -> dict[int, bytes]:
        """The properties of eight bytes, by their ids."""
        if "__properties_version1.0" not in self._below:
            return {}
        content = self._read("__properties_version1.0")
        header = 32 if not self._path else 24 if self._path.endswith("__substg1.0_3701000D/") else 8
        return {struct.unpack_from("<H", content, at + 2)[0]: content[at + 8 : at + 16] for at in range(header, len(content) - 15, 16)}

    def _number(self, property_id: int) -> int:
        return int.from_bytes(self._fixed.get(property_id, b"")[:4], "little")

    def moment(self, property_id: int) -> str:
        """A time as ISO 8601 in UTC, "" where there is none."""
        ticks = int.from_bytes(self._fixed.get(property_id, b""), "little")
        try:
            return (_EPOCH + timedelta(microseconds=ticks // 10)).isoformat(timespec="seconds") if ticks else ""
        except OverflowError:
            return ""

    def binary(self, property_id: int) -> bytes:
        kind, name = self._kinds.get(property_id, (0, ""))
        return self._read(name) if kind == 0x0102 else b""

    def text(self, property_id: int, encoding: str = "") -> str:
        """A text, "" where there is none."""
        kind, name = self._kinds.get(property_id, (0, ""))
        if kind not in (0x001F, 0x001E):
            return ""
        content = self._read(name)
        if kind == 0x001F:
            return content.decode("utf-16-le", "replace").rstrip("\0")
        content = content.rstrip(b"\0")
        return decode(content, encoding or self.encoding) if content else ""

    def folders(self, prefix: str) -> Iterator[_Folder]:
        """The storages below this one whose names begin so."""
        names = dict.fromkeys(name.split("/", 1)[0] for name in self._below if "/" in name and name.startswith(prefix))
        for name in list(names)[:MOST_ATTACHED]:
            yield _Folder(self._ole, f"{self._path}{name}/", [self._path + below for below in self._below if below.startswith(name + "/")])

    def mail(self, depth: int) -> Mail:
        """This storage as a mail; `depth` counts the mails that it is attached to."""
        mail = Mail(self._headers())
        try:
            mail.bodies = self._bodies()
        except InvalidInput as error:
            mail.problem = str(error)
        if "SMIME" in self.text(_CLASS).upper() and not self.text(_BODY).strip():
            mail.problem = "is encrypted or signed (S/MIME); save it decrypted"
        for folder in self.folders("__attach_version1.0_#"):
            name = plain_name(folder.text(_LONG_NAME) or folder.text(_SHORT_NAME) or folder.text(_NAME), "attachment")
            inner = next(folder.folders("__substg1.0_3701000D"), None)
            if inner is None:
                mail.attached.append(Attached(name, folder.binary(_DATA)))
            else:
                name = name if name.lower().endswith((".msg", ".eml")) else f"{name}.msg"
                mail.attached.append(Attached(name, inner.mail(depth + 1) if depth < DEEPEST else Mail()))
        return mail

    def _bodies(self) -> list[tuple[str, str]]:
        """The plain text where it says anything, else the HTML, else what is in the RTF."""
        plain = self.text(_BODY)
        if plain.strip():
            return [("text", plain)]
        html = self.binary(_HTML)
        if html.strip() or self.text(_HTML).strip():
            page = self._number(_INTERNET_CODE_PAGE)
            return [("html", decode(html, _CODE_PAGES.get(page, f"cp{page}") if page else None) if html else self.text(_HTML))]
        rtf = self.binary(_RTF)
        return [text_of(decompressed(rtf))] if rtf else []

    def _headers(self) -> dict[str, str]:
        found = {"subject": self.text(_SUBJECT), "to": self._recipients(1) or self.text(_TO), "cc": self._recipients(2) or self.text(_CC)}
        address = self.text(_SENDER_SMTP) or self.text(_SENDER_ADDRESS)
        found["from"] = _person(self.text(_SENDER_NAME) or self.text(_SENT_FOR), address)
        found["message_id"] = self.text(_MESSAGE_ID)
        found["date"] = self.moment(_SENT) or self.moment(_RECEIVED)
        travelled = self.text(_HEADERS)
        if travelled.strip():  # what the mail said of itself on its way
            try:
                known = read_eml(travelled.encode("utf-8", "replace").lstrip() + b"\n\n").headers
            except InvalidInput:
                known = {}
            found.update({name: value for name, value in known.items() if not found.get(name)})
        return {name: " ".join(value.split())[:1000] for name, value in found.items() if value.strip()}

    def _recipients(self, kind: int) -> str:
        people = [one for one in self.folders("__recip_version1.0_#") if one._number(_RECIPIENT_KIND) == kind]
        return ", ".join(_person(one.text(_NAME), one.text(_SMTP) or one.text(_ADDRESS)) for one in people)


def _person(name: str, address: str) -> str:
    """Someone as a mail writes them; Exchange's own addresses, which are paths, say nothing."""
    address = address if "@" in address else ""
    return f"{name} <{address}>" if name and address and name != address else name or address
