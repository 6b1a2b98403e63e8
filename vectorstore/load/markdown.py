"""Markdown to reading text: what a reader of the rendered page sees, without the markup.

Reads the dialects of MkDocs and plain Markdown (md), Docusaurus (mdx) and Quarto (qmd).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml
from markdown_it.token import Token

from llmops.types import CELL_JOINT
from vectorstore.load.decode import decode
from vectorstore.load.lines import joined
from vectorstore.load.markdown_syntax import parser
from vectorstore.load.parsed import BlockKind, Failed, Fields, Parsed, TextBuilder

_FRONT_MATTER = re.compile(r"\s*---[ \t]*\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^(\w[\w-]*):[ \t]+(.+)$", re.MULTILINE)
_ATTRIBUTES = re.compile(r"\{(?:[:#.][^{}\n]*|[\w-]+=[^{}\n]*)\}")
_ATTRIBUTES_AT_END = re.compile(r"[ \t]*\{:?[ \t]*[#.][^{}\n]*\}[ \t]*$")
_DIRECTIVE_LINE = re.compile(r"^[ \t]*:{3,}.*$", re.MULTILINE)
_CELL_OPTION = re.compile(r"^#\|.*\n?", re.MULTILINE)
_HIDDEN_CELL = re.compile(r"^#\|\s*(?:echo|include)\s*:\s*false\b", re.MULTILINE)
_LINE_END = "\r"  # stands for a soft line end until its neighbours are known; the source has none


def load(content: bytes, name: str, fields: Fields) -> list[Parsed | Failed]:
    """A Markdown file as one document. Its title: that of the front matter, else the first heading, else the file's stem."""
    path = PurePosixPath(name)
    matter, source = _front_matter(decode(content))
    builder = TextBuilder()
    _Renderer(builder).render(parser(path.suffix.lower()).parse(source))
    title = matter.pop("title", None)
    return [builder.finish(str(title or builder.first_heading or path.stem), matter)]


def _front_matter(source: str) -> tuple[dict[Any, Any], str]:
    """The fields between the first two lines of `---`, and the rest. Where they are not YAML, their lines `name: value`."""
    match = _FRONT_MATTER.match(source)
    if not match:
        return {}, source
    try:
        matter = yaml.safe_load(match[1] or "")
    except (yaml.YAMLError, ValueError, RecursionError):
        matter = {key: value.strip().strip("\"'") for key, value in _FIELD.findall(match[1])}
    if matter is None:
        return {}, source[match.end() :]
    return (matter, source[match.end() :]) if isinstance(matter, dict) and matter else ({}, source)


class _Renderer:
    """Walks the parser's tokens and hands the builder one block after the other."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._lists: list[int | None] = []  # the next number of each open list, None where it has bullets
        self._marker = ""  # of the item whose first block has not come yet
        self._row: list[str] | None = None
        self._rows: list[str] = []
        self._after_item = False

    def render(self, tokens: Sequence[Token]) -> None:
        for index, token in enumerate(tokens):
            if token.type == "inline":
                self._inline(token, tokens[index - 1])
            elif token.type in ("fence", "code_block"):
                self._add("code", _shown_code(token))
            elif token.type == "html_block":
                self._html(token.content)
            else:
                self._structure(token)

    def _structure(self, token: Token) -> None:
        match token.type:
            case "bullet_list_open":
                self._lists.append(None)
            case "ordered_list_open":
                self._lists.append(int(token.attrGet("start") or 1))
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
                self._after_item = bool(self._lists)
            case "list_item_open":
                number = self._lists[-1]
                self._marker = "- " if number is None else f"{number}. "
                if number is not None:
                    self._lists[-1] = number + 1
            case "list_item_close":
                self._marker = ""
            case "tr_open":
                self._row = []
            case "tr_close":
                self._rows.append(_row_of(self._row or []))
                self._row = None
            case "table_close":
                self._add("table", "\n".join(row for row in self._rows if row.strip(" |")))
                self._rows = []

    def _inline(self, token: Token, opening: Token) -> None:
        text = plain(token.children or ())
        if self._row is not None:
            self._row.append(" ".join(text.split()))
        elif opening.type == "heading_open":
            self._marker = ""
            self._builder.heading(int(opening.tag[1]), _ATTRIBUTES_AT_END.sub("", text))
            self._after_item = False
        else:
            self._add("item" if self._lists else "paragraph", text)

    def _add(self, kind: BlockKind, text: str) -> None:
        """A block; in a list it stands under the item before it, and its first one carries the item's mark."""
        if not text.strip():
            return
        if self._lists and kind == "item":
            indent = "  " * (len(self._lists) - 1)
            text = indent + (self._marker or "  ") + text
        self._builder.add(kind, text, tight=self._after_item and bool(self._lists))
        if kind == "item":
            self._marker = ""
        self._after_item = bool(self._lists)

    def _html(self, source: str) -> None:
        from vectorstore.load.html import add_html

        if source.lstrip().startswith("<!--") and source.rstrip().endswith("-->"):
            return
        self._marker = ""
        self._after_item = False
        add_html(self._builder, _DIRECTIVE_LINE.sub("", source))


def plain(tokens: Sequence[Token]) -> str:
    """The reading text of inline tokens: text of links, alternative texts of images; marks of emphasis and tags are dropped."""
    parts: list[str] = []
    for index, token in enumerate(tokens):
        match token.type:
            case "softbreak":
                parts.append(_LINE_END)
            case "hardbreak":
                parts.append("\n")
            case "image":
                parts.append(plain(token.children or ()) if token.children else token.content)
            case "html_inline":
                parts.append("\n" if re.match(r"<br\b", token.content, re.IGNORECASE) else "")
            case "text" | "code_inline":
                parts.append(token.content)
                if token.type == "text" and index and tokens[index - 1].type in ("link_close", "image", "code_inline"):
                    parts[-1] = _without_attributes(token.content, tokens[index - 1].type)
    return "\n".join(joined(line.replace(_LINE_END, "\n")) for line in "".join(parts).split("\n"))


def _row_of(cells: list[str]) -> str:
    """A row of a table. Pandoc's caption `: Caption {.class}` right under a table reads like one."""
    if cells and cells[0].startswith(": ") and not any(cells[1:]):
        return _ATTRIBUTES.sub("", cells[0][2:]).strip()
    return CELL_JOINT.join(cells)


def _shown_code(token: Token) -> str:
    """A listing, verbatim; of Quarto's cells only what a reader of the page sees."""
    if not token.info.startswith("{"):
        return token.content
    if _HIDDEN_CELL.search(token.content):
        return ""
    return _CELL_OPTION.sub("", token.content)


def _without_attributes(text: str, before: str) -> str:
    """Quarto's and MkDocs' `{.class key=value}` right behind a link, an image or code."""
    match = _ATTRIBUTES.match(text)
    if not match or (before == "code_inline" and match[0][1] not in ".#:"):
        return text
    return text[match.end() :]
