"""PDF to reading text: paragraphs put together again from the lines of each page."""

from __future__ import annotations

import io
import logging
import re
import unicodedata
from pathlib import PurePosixPath

from pypdf import PdfReader

from llmops.errors import InvalidInput
from vectorstore.load.decode import clean
from vectorstore.load.lines import goes_on, joined, width
from vectorstore.load.parsed import Failed, Fields, Parsed, TextBuilder

_HYPHENATED = re.compile(r"(?<=[^\W\d_])[-\u2010]\n(?=[a-zà-öø-ÿ])")
_NO_TITLE = re.compile(r"untitled|microsoft word|powerpoint|\.(?:docx?|pdf|pptx?|tex|indd|qxd)$|^\W*$", re.IGNORECASE)
_LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}
logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it writes every oddity of a file to stderr


def load(content: bytes, name: str, fields: Fields) -> list[Parsed | Failed]:
    """A PDF file as one document whose blocks know their page. Scanned pages have no text."""
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise InvalidInput("the PDF is encrypted", hint="remove its password first")
        pages = [page.extract_text() for page in reader.pages]
        title = str((reader.metadata and reader.metadata.title) or "")
    except InvalidInput:
        raise
    except Exception as error:  # a parser of hostile input: whatever goes wrong in it is wrong with the file
        raise InvalidInput(f"broken PDF: {error or type(error).__name__}") from error
    builder = TextBuilder()
    for number, text in enumerate(pages, 1):
        builder.page = number
        for paragraph in paragraphs(clean(text).translate(_LIGATURES)):
            builder.add("paragraph", paragraph)
    stem = PurePosixPath(name).stem
    return [builder.finish(stem if _NO_TITLE.search(title) else title, {"pages": len(pages)})]


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a page: a line that could have held the next word ends one."""
    lines = [line.strip() for line in text.split("\n")]
    widths = sorted(width(line) for line in lines if line)
    limit = widths[len(widths) * 9 // 10] if widths else 0
    found: list[list[str]] = [[]]
    for line in lines:
        before = found[-1][-1] if found[-1] else ""
        if not line or (before and not _belongs(before, line, limit)):
            found.append([])
        if line:
            found[-1].append(line)
    return [joined(_HYPHENATED.sub("", "\n".join(part))) for part in found if part]


def _belongs(line: str, after: str, limit: int) -> bool:
    """Whether a line goes on in the next one. Ragged lines are given some columns."""
    return after[:1].islower() or goes_on(line, after, limit - limit // 10)
