"""RTF to reading text, as far as Outlook's mails need it: compressed (MS-OXRTFCP), plain, or HTML in disguise (MS-OXRTFEX)."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from llmops.errors import InvalidInput

MOST_BYTES = 32 * 2**20
_DICTIONARY = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArial"
    b"Times New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)
_TOKEN = re.compile(rb"\\([a-z]{1,32})(-?\d{1,10})?[ ]?|\\'([0-9a-fA-F]{2})|\\([^a-z])|([{}])|([^\\{}\r\n]+)", re.DOTALL)
_SKIPPED = frozenset(
    b"""fonttbl colortbl stylesheet info pict object objdata themedata colorschememapping datastore latentstyles rsidtbl generator listtable
    listoverridetable header footer headerf footerf headerl headerr footerl footerr xmlnstbl fldinst""".split()
)
_SPELLED = {
    b"par": "\n\n",
    b"line": "\n",
    b"tab": "\t",
    b"cell": " | ",
    b"row": "\n",
    b"emdash": "\u2014",
    b"endash": "\u2013",
    b"lquote": "\u2018",
    b"rquote": "\u2019",
    b"ldblquote": "\u201c",
    b"rdblquote": "\u201d",
    b"bullet": "\u2022",
}
_SIGNS = {b"~": "\u00a0", b"_": "-", b"-": "", b"\\": "\\", b"{": "{", b"}": "}", b"\r": "\n\n", b"\n": "\n\n"}
_CHARSETS = {
    128: "cp932",
    129: "cp949",
    134: "gbk",
    136: "big5",
    161: "cp1253",
    162: "cp1254",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
}
_CHARSETS |= {238: "cp1250", 222: "cp874", 0: "cp1252"}


def decompressed(content: bytes) -> bytes:
    """The RTF in the property of an Outlook message: stored, or packed with a dictionary of 4,096 bytes (LZFu)."""
    try:
        size, raw_size, kind, _ = struct.unpack_from("<4I", content)
    except struct.error as error:
        raise InvalidInput("has a body of RTF that is cut off") from error
    if raw_size > MOST_BYTES or size > len(content):
        raise InvalidInput("has a body of RTF that lies about its size")
    if kind == 0x414C454D:  # "MELA"
        return content[16 : 16 + raw_size]
    if kind != 0x75465A4C:  # "LZFu"
        raise InvalidInput("has a body of RTF that is packed in an unknown way")
    window = bytearray(_DICTIONARY.ljust(4096, b"\0"))
    at, write, out = 16, len(_DICTIONARY), bytearray()
    while at < len(content) and len(out) < raw_size:
        flags = content[at]
        at += 1
        for bit in range(8):
            if flags >> bit & 1:
                if at + 2 > len(content):
                    return bytes(out)
                word = content[at] << 8 | content[at + 1]
                at += 2
                read, length = word >> 4, (word & 15) + 2
                if read == write % 4096:
                    return bytes(out)
                for step in range(length):
                    byte = window[(read + step) % 4096]
                    window[write % 4096] = byte
                    write += 1
                    out.append(byte)
            elif at < len(content):
                window[write % 4096] = content[at]
                write += 1
                out.append(content[at])
                at += 1
    return bytes(out)


class _Group(NamedTuple):
    """What holds inside of a group and not behind it."""

    skipped: bool = False
    is_html: bool = False
    hidden: bool = False
    after_unicode: int = 1
    encoding: str = "cp1252"


def text_of(source: bytes) -> tuple[str, str]:
    """("text" or "html", the reading text or the HTML that the RTF was made from)."""
    if not source.startswith(b"{\\rtf"):
        raise InvalidInput("has a body of RTF that is none")
    return ("html" if b"\\fromhtml1" in source[:1000] else "text"), _Reader(source).text()


class _Reader:
    """One pass over the tokens of RTF."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._from_html = b"\\fromhtml1" in source[:1000]
        self._parts: list[str] = []
        self._bytes = bytearray()
        self._group = _Group()
        self._outer: list[_Group] = []
        self._fonts: dict[int, str] = {}
        self._font = 0
        self._in_fonts = 0
        self._to_skip = 0
        self._starts_group = False

    def text(self) -> str:
        for match in _TOKEN.finditer(self._source):
            word, number, code, sign, brace, plain = match.groups()
            if brace:
                self._brace(brace)
            elif word:
                self._word(word, int(number) if number else None)
            elif code:
                self._put_bytes(bytes([int(code, 16)]))
            elif sign:
                self._sign(sign)
            else:
                self._put_bytes(plain)
            if not brace:
                self._starts_group = self._starts_group and sign == b"*"
        self._flush()
        return "".join(self._parts)

    def _brace(self, brace: bytes) -> None:
        self._flush()
        self._to_skip = 0
        self._starts_group = brace == b"{"
        if brace == b"{":
            if len(self._outer) > 1000:
                raise InvalidInput("nested too deeply to be read")
            self._outer.append(self._group)
        elif self._outer:
            self._group = self._outer.pop()
            if len(self._outer) < self._in_fonts:
                self._in_fonts = 0

    def _sign(self, sign: bytes) -> None:
        if sign == b"*":  # a destination that older readers skip, and so do we but for HTML
            self._group = self._group._replace(skipped=True)
        else:
            self._put(_SIGNS.get(sign, ""))

    def _word(self, word: bytes, number: int | None) -> None:
        group = self._group
        if word == b"htmltag":
            self._flush()
            self._group = group._replace(skipped=False, is_html=True)
        elif word in _SKIPPED and self._starts_group:
            self._in_fonts = len(self._outer) if word == b"fonttbl" else self._in_fonts
            self._group = group._replace(skipped=True)
        elif word == b"uc":
            self._group = group._replace(after_unicode=number or 0)
        elif word == b"u" and number is not None:
            self._put(chr(number % 65536))
            self._to_skip = group.after_unicode
        elif word == b"htmlrtf":
            self._flush()
            self._group = group._replace(hidden=number != 0)
        elif word in (b"f", b"fcharset", b"ansicpg"):
            self._encode(word, number or 0)
        elif word in _SPELLED and not (self._from_html and not group.is_html and word == b"row"):
            self._put("\n" if self._from_html and word in (b"par", b"line") else _SPELLED[word])

    def _encode(self, word: bytes, number: int) -> None:
        self._flush()
        if word == b"ansicpg":
            self._group = self._group._replace(encoding=f"cp{number}")
        elif word == b"f":
            self._font = number
            if not self._in_fonts and number in self._fonts:
                self._group = self._group._replace(encoding=self._fonts[number])
        elif self._in_fonts and number in _CHARSETS and number:
            self._fonts[self._font] = _CHARSETS[number]

    def _is_shown(self) -> bool:
        return not self._group.skipped and (self._group.is_html or not self._group.hidden)

    def _put(self, text: str) -> None:
        self._flush()
        if self._is_shown():
            self._parts.append(text)

    def _put_bytes(self, content: bytes) -> None:
        skipped = min(self._to_skip, len(content))
        self._to_skip -= skipped
        if self._is_shown():
            self._bytes += content[skipped:]

    def _flush(self) -> None:
        """Bytes become characters together, for one of Shift-JIS may come in two escapes."""
        if self._bytes:
            try:
                text = self._bytes.decode(self._group.encoding, "replace")
            except LookupError:
                text = self._bytes.decode("cp1252", "replace")
            self._parts.append(text)
            self._bytes.clear()
