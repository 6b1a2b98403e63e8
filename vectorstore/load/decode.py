"""From bytes to characters, and characters that every store and reader can hold."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator

from charset_normalizer import from_bytes

from llmops.errors import InvalidInput

NOT_TEXT = "not text in any known encoding"
_SAMPLE = 65536
_PIECE = 2**20

# Longest first: the mark of UTF-32-LE begins with that of UTF-16-LE.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE_ENDS = re.compile("\r\n?")
_OTHER_LINE_ENDS = re.compile("[\v\f\x85\u2028\u2029]")
# Control characters (PostgreSQL refuses NUL), byte order marks inside, soft hyphens.
_UNREADABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\ufeff]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_NOT_ASCII = re.compile("[^\x00-\x7f]")
_ASCII_LETTERS = re.compile("[A-Za-z]")
_NOT_WESTERN = re.compile(
    "[^\x00-\x7f\u00a0-\u00ff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u2013-\u2026\u20ac\u2122]|[A-Za-zÀ-ÿ][¡-©«-¶¸º¼-¿](?=[a-zß-ÿ])"
)
_COMMON_SHIFT_JIS = re.compile(rb"(?:[\x00-\x7f]|[\x88-\x97][\x40-\xfc]|\x98[\x40-\x72]|\x81[\x40-\xac]|[\x82\x83][\x40-\xf1])+")
_TRIED = ["cp932", "shift_jis", "shift_jis_2004", "shift_jisx0213", "euc_jp", "euc_jis_2004", "euc_jisx0213"]
_OF_MAINFRAMES = ["cp037", "cp273", "cp424", "cp500", "cp875", "cp1026", "cp1140"]
_SHIFTS = {b"$@": "euc_jis_2004", b"$B": "euc_jis_2004", b"(I": "cp932", b"(B": "", b"(J": ""}
"""The encoding of what follows an escape of ISO-2022-JP, with the eighth bit set; nothing for ASCII."""
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fc、。]")


def clean(text: str) -> str:
    """The text with `\\n` as its only line end and without characters that nobody can read or store."""
    if text.isascii() and text.isprintable():
        return text
    text = _OTHER_LINE_ENDS.sub("\n", _LINE_ENDS.sub("\n", text))
    text = _UNREADABLE.sub("", text)
    return _SURROGATES.sub("\ufffd", text).replace("\u00a0", " ")


def decode(content: bytes, declared: str | None = None) -> str:
    """The characters of a text file, by byte order mark, as UTF-8, as declared, as Japanese, else by statistics.

    Lines end with `\\n`, control characters are gone. Raises `InvalidInput` for what is no text.
    """
    text = _decoded(content, declared)
    if len(_CONTROLS.findall(text)) * 200 > len(text):
        raise InvalidInput(NOT_TEXT, hint="is this a binary file with the name of a text?")
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", text))


def decoded_lines(content: bytes) -> Iterator[str]:
    """The lines of what `decode` gives, without their ends. Of UTF-8 no more than a line is held at a time.

    Raises `InvalidInput` for what is no text before the first line.
    """
    if not _is_plain_utf8(content):
        yield from decode(content).split("\n")
        return
    for line in io.TextIOWrapper(io.BytesIO(content), "utf-8-sig"):
        yield _CONTROLS.sub("", line.removesuffix("\n"))


def _is_plain_utf8(content: bytes) -> bool:
    """Whether all of it is UTF-8 without doubt, seen piece by piece."""
    if b"\x1b$" in content or content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return False
    decoder = codecs.getincrementaldecoder("utf-8")()
    controls = 0
    try:
        for start in range(0, len(content), _PIECE):
            controls += len(_CONTROLS.findall(decoder.decode(content[start : start + _PIECE])))
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return controls * 200 <= len(content) // 4  # at most four bytes to a character; in doubt `decode` counts them


def _decoded(content: bytes, declared: str | None) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            text = _utf8(content[len(mark) :]) if encoding == "utf-8" else _attempt(content[len(mark) :], encoding)
            return text if text is not None else _refuse()
    if b"\x1b$" in content and (text := _attempt(content, "iso2022_jp") or _iso_2022_jp(content)) is not None:
        return text  # seven bits wide, so it would pass for UTF-8
    if (text := _utf8(content)) is not None:
        return text
    if content.count(0) * 200 > len(content):
        _refuse()
    if declared and (text := _attempt(content, declared)) is not None:
        return text
    return _western(content) or _japanese(content) or _by_statistics(content)


def _utf8(content: bytes) -> str | None:
    """As UTF-8. A few broken bytes among good ones are replaced: hardly any text in another encoding has good ones by chance."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("utf-8", "replace")
        broken = text.count("\ufffd")
        good = len(_NOT_ASCII.findall(text)) - broken
        return text if good >= 2 * broken else None


def _attempt(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _iso_2022_jp(content: bytes) -> str | None:
    """ISO-2022-JP as mail programs write it: with the circled digits of row 13 and with narrow kana, which the standard does not have."""
    parts: list[str] = []
    shifted = ""
    for piece in re.split(rb"\x1b(\$[@B]|\([BJI])", content):
        if piece in _SHIFTS:
            shifted = _SHIFTS[piece]
            continue
        text = _attempt(bytes(byte | 0x80 for byte in piece if byte not in b"\r\n"), shifted) if shifted else _attempt(piece, "ascii")
        if text is None:
            return None
        parts.append(text)
    return "".join(parts)


def _western(content: bytes) -> str | None:
    """As Windows-1252, where all that is not ASCII becomes letters and signs of western texts, and most letters are ASCII."""
    text = _attempt(content, "cp1252")
    if text is None or _NOT_WESTERN.search(text):
        return None
    return text if len(_ASCII_LETTERS.findall(text)) > len(_NOT_ASCII.findall(text)) else None


def _japanese(content: bytes) -> str | None:
    """As EUC-JP or Shift-JIS, where a good part of what is not ASCII becomes kana; as Shift-JIS, where all of it is common."""
    for encoding in ("euc_jp", "cp932"):
        text = _attempt(content, encoding)
        if text and len(_KANA.findall(text)) * 4 > len(_NOT_ASCII.findall(text)):
            return text
    return _attempt(content, "cp932") if _COMMON_SHIFT_JIS.fullmatch(content) else None


def _by_statistics(content: bytes) -> str:
    best = from_bytes(content[:_SAMPLE], cp_exclusion=_TRIED + _OF_MAINFRAMES).best()
    text = _attempt(content, best.encoding) if best else None
    return text if text is not None else _refuse()


def _refuse() -> str:
    raise InvalidInput(NOT_TEXT, hint="save the file as UTF-8")
