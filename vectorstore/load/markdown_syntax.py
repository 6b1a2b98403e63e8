"""The Markdown parser, and the syntax that documentation tools add to CommonMark.

Directives (`:::note[Title]`, `::: {.callout-note}`), admonitions and tabs of MkDocs (`!!! note "Title"`, `=== "Tab"`),
Quarto's shortcodes (`{{< ... >}}`), marked spans (`[text]{.class}`) and drawn tables. All of it frames text and is
none, except for its titles.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import zip_longest

from markdown_it import MarkdownIt
from markdown_it.helpers import parseLinkLabel
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

from llmops.errors import InvalidInput
from vectorstore.load.jsx import INTERRUPTS, add_paragraph, last_of, line_of, use_html_tags, use_jsx

_DIRECTIVE = re.compile(r":{3,}\s*(?P<name>[\w-]*)\s*(?P<rest>.*)$")
_LABELLED = re.compile(r"\[[A-Za-z_][\w-]*[._][\w./-]*\]|\{[#.][^{}\n]*\}")
_BORDER = re.compile(r"\+(?:[-=:]{3,}\+)+\s*$")
_CALLOUTS = {"note", "tip", "info", "warning", "danger", "caution", "important", "success", "details"}
_TITLE = re.compile(r"""\btitle=(?:"([^"]*)"|'([^']*)')""")
_LABEL = re.compile(r"\[(.*)\]")
_ADMONITION = re.compile(r"""(?:!!!|\?\?\?\+?)\s+[\w -]+?\s*(?:"(?P<title>[^"]*)")?\s*$|===[!+]?\s+"(?P<tab>[^"]*)"\s*$""")

DEEPEST = 50
"""Levels of nested quotes and lists; a list and its item are two. The time for unclosed brackets grows with it."""


@cache
def parser(suffix: str) -> MarkdownIt:
    """The parser for `.md`, `.mdx` or `.qmd`."""
    # The parser drops without a word what nests deeper than its own limit; ours comes first and speaks.
    markdown = MarkdownIt("commonmark", {"maxNesting": DEEPEST + 10}).enable(["table", "strikethrough"])
    markdown.block.ruler.before("table", "deepest", _deepest)
    markdown.block.ruler.before("fence", "directive", _directive, INTERRUPTS)
    markdown.block.ruler.before("fence", "admonition", _admonition, INTERRUPTS)
    markdown.inline.ruler.before("html_inline", "shortcode", _shortcode)
    markdown.inline.ruler.after("link", "labelled", _labelled)
    if suffix == ".qmd":
        markdown.block.ruler.before("fence", "grid", _grid_table)
    if suffix == ".mdx":
        use_jsx(markdown)
    else:
        use_html_tags(markdown)
    return markdown


def _deepest(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Matches nothing; refuses what would be lost."""
    if state.level > DEEPEST:
        raise InvalidInput(f"nested too deeply: line {start + 1}", hint=f"at most {DEEPEST} levels of quotes and lists")
    return False


def _directive(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The first or last line of a `:::` container: dropped but for its title."""
    match = _DIRECTIVE.match(line_of(state, start))
    if not match:
        return False
    if silent:
        return True
    rest = match["rest"]
    if label := _LABEL.match(rest):
        add_paragraph(state, label[1], start)
    elif title := _TITLE.search(rest):
        add_paragraph(state, title[1] or title[2] or "", start)
    elif match["name"] in _CALLOUTS and not rest.startswith("{"):
        add_paragraph(state, rest.strip(" :"), start)
    state.line = start + 1
    return True


def _admonition(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A title line and what stands indented by four under it."""
    match = _ADMONITION.match(line_of(state, start))
    if not match:
        return False
    if silent:
        return True
    add_paragraph(state, match["title"] or match["tab"] or "", start)
    inside = state.blkIndent + 4
    last = start + 1
    while last < end and (state.isEmpty(last) or state.sCount[last] >= inside):
        last += 1
    kept = state.blkIndent, state.lineMax, state.parentType
    state.blkIndent, state.lineMax, state.parentType = inside, last, "blockquote"
    state.md.block.tokenize(state, start + 1, last)
    state.blkIndent, state.lineMax, state.parentType = kept
    state.line = last
    return True


def _shortcode(state: StateInline, silent: bool) -> bool:
    """Quarto's `{{< ... >}}` and JSX's `{/* ... */}`: dropped."""
    for opening, closing in (("{{<", ">}}"), ("{/*", "*/}")):
        if state.src.startswith(opening, state.pos) and last_of(state.src, closing) > state.pos:
            found = state.src.find(closing, state.pos, state.posMax)
            if found >= 0:
                state.pos = found + len(closing)
                return True
    return False


def _labelled(state: StateInline, silent: bool) -> bool:
    """The text of MkDocs' `[text][package.name]`, whose target other files define, and of Quarto's `[text]{.class}`."""
    if state.src[state.pos] != "[" or max(last_of(state.src, "]["), last_of(state.src, "]{")) < state.pos:
        return False
    start, limit = state.pos + 1, state.posMax
    end = parseLinkLabel(state, state.pos)
    match = _LABELLED.match(state.src, end + 1, limit) if end >= 0 else None
    if not match:
        return False
    if not silent:
        state.pos, state.posMax = start, end
        state.md.inline.tokenize(state)
        state.posMax = limit
    state.pos = match.end()
    return True


def _grid_table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Pandoc's tables with drawn borders; a cell may have several lines."""
    if not _BORDER.match(line_of(state, start)):
        return False
    if silent:
        return True
    rows: list[list[str]] = []
    row: list[str] = []
    line = start + 1
    while line < end and (text := line_of(state, line))[:1] in ("|", "+"):
        if _BORDER.match(text):
            rows.append(row)
            row = []
        else:
            cells = [cell.strip() for cell in text.strip().strip("|").split("|")]
            row = [f"{above} {cell}".strip() for above, cell in zip_longest(row, cells, fillvalue="")]
        line += 1
    state.push("table_open", "table", 1)
    for row in filter(None, rows):
        state.push("tr_open", "tr", 1)
        for cell in row:
            state.push("td_open", "td", 1)
            inline = state.push("inline", "", 0)
            inline.content, inline.children = cell, []
            state.push("td_close", "td", -1)
        state.push("tr_close", "tr", -1)
    state.push("table_close", "table", -1)
    state.line = line
    return True
