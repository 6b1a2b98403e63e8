"""HTML to reading text: the blocks of the main part of a page, without its scripts."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from lxml import etree, html

from llmops.errors import InvalidInput
from llmops.types import CELL_JOINT
from vectorstore.load.decode import decode
from vectorstore.load.html_main import metadata_of, parts, strip, title_of
from vectorstore.load.parsed import NO_TEXT, BlockKind, Failed, Fields, Parsed, TextBuilder

_DECLARED = re.compile(rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*[\"']?([\w.:-]{2,40})", re.IGNORECASE)
_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_NEVER_READ = frozenset(
    ("script", "style", "template", "head", "noscript", "iframe", "object", "svg", "canvas", "select", "textarea", "button", "audio", "video")
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_INLINE_NAMES = """a abbr acronym b bdi bdo big cite code data del dfn em font i img input ins kbd label mark math q s samp small span strike strong
    sub sup time tt u var wbr"""
_INLINE = frozenset(_INLINE_NAMES.split())
_BLOCKS_IN_CELLS = ("table", *_HEADINGS, "pre", "ul", "ol", "article", "section")
_EXPONENT = re.compile(r"\s*[-−–+]?\d{1,9}\s*")
_SPACES = re.compile(r"[ \t\n\r\f]+")


def load(content: bytes, name: str, fields: Fields) -> list[Parsed | Failed]:
    """An HTML page as one document: its main part, without what stands around it."""
    declared = _DECLARED.search(content[:4096])
    source = decode(content, declared[1].decode("ascii", "replace") if declared else None)
    root = _tree(source)
    if root is None:
        raise InvalidInput(NO_TEXT)
    title, metadata = title_of(root).strip(), metadata_of(root)
    strip(root)
    stem = PurePosixPath(name).stem
    builder = TextBuilder()
    for part in parts(root):
        _Walk(builder).walk(part)
    try:
        return [builder.finish(title or builder.first_heading or stem, metadata)]
    except InvalidInput:  # there is nothing but navigation
        builder = TextBuilder()
        _Walk(builder).walk(_tree(source))
        return [builder.finish(title or builder.first_heading or stem, metadata)]


def add_html(builder: TextBuilder, source: str) -> None:
    """The text of a piece of HTML that stands in another document."""
    root = _tree(source)
    if root is not None:
        _Walk(builder).walk(root)


def _tree(source: str) -> Any:
    """The parsed page, or None where there is nothing in it."""
    # Bytes, because lxml refuses a string that declares an encoding.
    parser = html.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        root = html.document_fromstring(_XML_DECLARATION.sub("", source, count=1).encode("utf-8", "replace"), parser=parser)
    except etree.ParserError:
        return None
    if any(problem.type_name == "ERR_RESOURCE_LIMIT" for problem in parser.error_log):
        raise InvalidInput("nested too deeply to be read")  # the parser has dropped the rest
    return root


class _Walk:
    """One pass over a tree, without recursion: a page may be nested a thousand levels deep."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._buffer: list[str] = []
        self._lists: list[int | None] = []
        self._marker = ""
        self._after_item = False

    def walk(self, root: Any) -> None:
        events = etree.iterwalk(root, events=("start", "end"))
        for event, element in events:
            tag = element.tag
            if event == "end":
                self._end(element)
                if element is not root and element.tail:
                    self._buffer.append(element.tail)
            elif tag in _NEVER_READ or element.get("hidden") is not None:
                events.skip_subtree()
            elif tag in ("pre", *_HEADINGS) or (tag == "table" and next(element.iterdescendants(*_BLOCKS_IN_CELLS), None) is None):
                self._flush()
                self._whole(element)
                events.skip_subtree()
            else:
                self._start(element)
        self._flush()

    def _start(self, element: Any) -> None:
        tag = element.tag
        if tag == "br":
            self._buffer.append("\v")
        elif tag == "img":
            self._buffer.append(f" {element.get('alt') or ''} ")
        elif tag == "sup":
            self._buffer.append(_raised(element, "".join(self._buffer[-2:])))
        elif tag not in _INLINE:
            self._flush()
            if tag in ("ul", "ol", "menu"):
                self._lists.append(1 if tag == "ol" else None)
            elif tag == "li":
                number = self._lists[-1] if self._lists else None
                self._marker = "- " if number is None else f"{number}. "
                if number is not None:
                    self._lists[-1] = number + 1
        if element.text:
            self._buffer.append(element.text)

    def _end(self, element: Any) -> None:
        tag = element.tag
        if tag in _INLINE or tag == "br" or tag in _NEVER_READ:
            return
        self._flush()
        if tag in ("ul", "ol", "menu") and self._lists:
            self._lists.pop()
            self._after_item = bool(self._lists)
        elif tag == "li":
            self._marker = ""

    def _whole(self, element: Any) -> None:
        """An element that is read in one piece."""
        if element.tag == "pre":
            self._add("code", _text_of(element))
        elif element.tag == "table":
            rows = (CELL_JOINT.join(_collapsed(_text_of(cell)) for cell in row.iterchildren("td", "th")) for row in element.iter("tr"))
            caption = element.findtext("caption") or ""
            self._add("paragraph", _collapsed(caption))
            self._add("table", "\n".join(row for row in rows if row.strip(" |")))
        else:
            self._marker = ""
            self._builder.heading(_HEADINGS[element.tag], _text_of(element))
            self._after_item = False

    def _flush(self) -> None:
        if not self._buffer:
            return
        text = "".join(self._buffer)
        self._buffer.clear()
        lines = (_collapsed(line) for line in text.split("\v"))
        self._add("item" if self._lists else "paragraph", "\n".join(line for line in lines if line))

    def _add(self, kind: BlockKind, text: str) -> None:
        if not text.strip():
            return
        if kind == "item":
            text = "  " * (len(self._lists) - 1) + (self._marker or "  ") + text
            self._marker = ""
        self._builder.add(kind, text, tight=self._after_item and bool(self._lists))
        self._after_item = bool(self._lists)


def _text_of(element: Any) -> str:
    """All text in an element, as it is, a line end for each `br`."""
    parts: list[str] = []
    events = etree.iterwalk(element, events=("start", "end"))
    for event, inner in events:
        if event == "end":
            if inner is not element and inner.tail:
                parts.append(inner.tail)
        elif inner.tag in _NEVER_READ:
            events.skip_subtree()
        else:
            if inner.tag == "sup":
                parts.append(_raised(inner, "".join(parts[-2:])))
            parts.append("\n" if inner.tag == "br" else (inner.get("alt") or "") if inner.tag == "img" else inner.text or "")
    return "".join(parts)


def _raised(element: Any, before: str) -> str:
    """What stands for the raising of a raised number: 10^23 is not 1023."""
    inner = element[0] if len(element) == 1 and not (element.text or "").strip() else element  # as in <sup><b>2</b></sup>
    return "^" if before[-1:].isalnum() and len(inner) == 0 and _EXPONENT.fullmatch(inner.text or "") else ""


def _collapsed(text: str) -> str:
    return _SPACES.sub(" ", text).strip()
