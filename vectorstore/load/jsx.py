"""Tags in Markdown: HTML's, which frame text, and MDX's JSX, with `import`, `export` and `{/* ... */}`.

A tag is dropped but for what it shows: `alt`, `label` and `title`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

INTERRUPTS: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
_HTML_NAMES = (
    "a|abbr|address|area|article|aside|audio|b|bdi|bdo|big|blockquote|body|br|button|canvas|caption|center|cite|code|col|colgroup|dd|del|details|dfn|div|dl|dt"
    "|em|embed|figcaption|figure|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|kbd|label|legend|li|link|main|map|mark|meta|nav|noscript"
    "|object|ol|option|p|param|picture|pre|q|s|samp|script|section|select|small|source|span|strike|strong|style|sub|summary|sup|svg|path|table|tbody|td"
    "|template|textarea|tfoot|th|thead|time|title|tr|track|tt|u|ul|var|video|wbr"
)
_ATTRIBUTE = r"""\s+(?:[\w:.-]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`{}]+|\{(?:[^{}]|\{[^{}]*\})*\}))?|\{\.\.\.[^{}]*\})"""
_HTML_TAG = re.compile(rf"</?(?:{_HTML_NAMES})(?:{_ATTRIBUTE})*\s*/?>", re.IGNORECASE)
_JSX_TAG = re.compile(rf"</?(?:[A-Z][\w.]*|(?i:{_HTML_NAMES}))(?:{_ATTRIBUTE})*\s*/?>|</?>")
_SHOWN = re.compile(r"""\s(?:alt|label|title|summary)\s*=\s*(?:"([^"]*)"|'([^']*)'|\{["'`]([^{}]*)["'`]\})""")
_ESM = re.compile(
    r"import\s*(?:[\"'{*]|type\s|\w+\s*(?:,|\sfrom\b))|export\s+(?:default|const|let|var|function|async|class|type|interface)\b|export\s*[{*]"
)


def use_html_tags(markdown: MarkdownIt) -> None:
    """Known HTML tags and comments are tags; `<your key>` and other names in angle brackets are text."""
    markdown.inline.ruler.before("html_inline", "html_tag", _html_inline)
    markdown.inline.ruler.at("html_inline", _html_comment)


def use_jsx(markdown: MarkdownIt) -> None:
    """MDX: tags of components too, and no code by indentation."""
    markdown.block.ruler.before("fence", "jsx", _jsx_block, INTERRUPTS)
    markdown.block.ruler.before("fence", "esm", _esm)
    markdown.inline.ruler.before("html_inline", "jsx_tag", _jsx_inline)
    markdown.disable(["code", "html_block", "html_inline"])


@lru_cache(maxsize=8)
def last_of(source: str, mark: str) -> int:
    """Where a mark stands last, or -1: asked once, so that many openings without an end cost no search each."""
    return source.rfind(mark)


def line_of(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def add_paragraph(state: StateBlock, text: str, start: int) -> None:
    """A paragraph whose inline content is `text`."""
    if not text.strip():
        return
    state.push("paragraph_open", "p", 1).map = [start, start + 1]
    inline = state.push("inline", "", 0)
    inline.content, inline.map, inline.children = text.strip(), [start, start + 1], []
    state.push("paragraph_close", "p", -1)


def _esm(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """`import` and `export` at the left margin, up to the next empty line."""
    if state.sCount[start] or state.level or not _ESM.match(line_of(state, start)):
        return False
    if silent:
        return True
    while start < end and not state.isEmpty(start):
        start += 1
    state.line = start
    return True


def _jsx_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Lines of tags alone, comments, and code given as `{`...`}`."""
    line = line_of(state, start)
    if not line.startswith(("<", "{", "`}")):
        return False
    source, at = state.src, state.bMarks[start] + state.tShift[start]
    limit = state.eMarks[end - 1]
    for opening, closing in (("{/*", "*/}"), ("<!--", "-->")):
        if line.startswith(opening):
            found = source.find(closing, at, limit)
            return silent or _skip_to(state, start, end, found + len(closing) if found >= 0 else limit)
    shown: list[str] = []
    while match := _JSX_TAG.match(source, at, limit):
        shown += [next(filter(None, groups), "") for groups in _SHOWN.findall(match[0])]
        at = match.end()
        while at < limit and source[at] in " \t":
            at += 1
    if at == state.bMarks[start] + state.tShift[start]:
        return False
    code = source.startswith("{`", at)
    if not code and at < limit and source[at] != "\n":
        return False
    if silent:
        return True
    for text in shown:
        add_paragraph(state, text, start)
    if code:
        found = source.find("`}", at + 2, limit)
        found = found if found >= 0 else limit
        state.push("fence", "code", 0).content = source[at + 2 : found]
        at = _end_of_tags(source, found + 2, limit)
    return _skip_to(state, start, end, at)


def _end_of_tags(source: str, at: int, limit: int) -> int:
    while match := _JSX_TAG.match(source, at, limit):
        at = match.end()
    return at


def _skip_to(state: StateBlock, line: int, end: int, at: int) -> bool:
    """Go on with the line behind position `at`."""
    while line < end and state.bMarks[line] < at:
        line += 1
    state.line = line
    return True


def _tag(state: StateInline, silent: bool, pattern: re.Pattern[str]) -> bool:
    if state.src[state.pos] != "<":
        return False
    match = pattern.match(state.src, state.pos, state.posMax)
    if not match:
        return False
    if not silent:
        shown = re.search(r"""\salt\s*=\s*["']([^"']*)["']""", match[0])
        if shown:
            state.push("text", "", 0).content = shown[1]
        state.push("html_inline", "", 0).content = match[0]
    state.pos = match.end()
    return True


def _jsx_inline(state: StateInline, silent: bool) -> bool:
    return _tag(state, silent, _JSX_TAG)


def _html_inline(state: StateInline, silent: bool) -> bool:
    """A tag of HTML; `<your key>` and other names in angle brackets are text."""
    return _tag(state, silent, _HTML_TAG)


def _html_comment(state: StateInline, silent: bool) -> bool:
    if not state.src.startswith("<!--", state.pos) or last_of(state.src, "-->") < state.pos:
        return False
    found = state.src.find("-->", state.pos, state.posMax)
    if found < 0:
        return False
    state.pos = found + 3
    return True
