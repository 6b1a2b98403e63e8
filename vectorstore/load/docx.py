"""Word files to reading text: what a reader of the finished document sees, without headers, footers and remarks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from llmops.types import CELL_JOINT
from vectorstore.load.docx_styles import Numbering, Style, Styles, numbering_of
from vectorstore.load.ooxml import LONGEST_REPEATED, Package, Relation, attribute, child, chosen, local, title_of
from vectorstore.load.parsed import Failed, Fields, Parsed, TextBuilder

_OUT = frozenset(("del", "moveFrom", "pPr", "rPr", "instrText", "delText", "delInstrText", "sdtPr", "rt", "sectPr", "tblPr", "trPr", "tcPr"))
_AROUND_BLOCKS = frozenset(("sdtContent", "ins", "moveTo", "customXml", "smartTag"))
_BLOCKS = ("p", "tbl", "sdt", "AlternateContent")
_SPACES = re.compile(r"[ \t\u00a0]+")
_FILE_NAME = re.compile(r"[\w .()-]+\.(?:png|jpe?g|gif|bmp|tiff?|emf|wmf|svg)", re.IGNORECASE)
_CODE = re.compile(r"[0-9A-Fa-f]{1,4}")
_OFF = ("0", "false", "off")


def load(content: bytes, name: str, fields: Fields) -> list[Parsed | Failed]:
    """A DOCX or DOCM file as one document. Insertions are read, deletions and hidden text are not; a note stands behind its paragraph."""
    package = Package(content, "DOCX")
    builder = TextBuilder()
    _Reader(package, builder).blocks(package.outermost(package.main, *_BLOCKS, *_AROUND_BLOCKS))
    core = package.core()
    title = title_of(core, builder, name)
    return [builder.finish(title, core)]


class _Reader:
    """One pass over the blocks of a document."""

    def __init__(self, package: Package, builder: TextBuilder) -> None:
        self._builder = builder
        relations = package.relations(package.main)
        self._styles = Styles(package.part("styles", relations))
        self._numbering = Numbering(package.part("numbering", relations), self._styles)
        self._notes = {kind: _notes(package, relations, kind) for kind in ("footnote", "endnote")}
        self._noted = 0
        self._after_item = False
        self._initial = ""

    def blocks(self, container: Iterable[Any] | None) -> None:
        """The paragraphs and tables in a body, a cell, a text box or a note."""
        for element in container if container is not None else ():
            match local(element):
                case "p":
                    self._paragraph(element)
                case "tbl":
                    self._table(element)
                case "sdt":
                    if not _is_contents(element):
                        self.blocks(child(element, "sdtContent"))
                case "AlternateContent":
                    self.blocks(chosen(element))
                case name if name in _AROUND_BLOCKS:
                    self.blocks(element)

    def _paragraph(self, element: Any) -> None:
        properties = child(element, "pPr")
        style = self._style(properties)
        if style.is_contents:
            return
        inline = _Inline(element)
        text = self._initial + inline.text
        self._initial = ""
        if text and attribute(child(properties, "framePr"), "dropCap") not in (None, "none"):
            self._initial = text  # the first letter of the paragraph that follows
            return
        label = self._numbering.label(style.number, style.depth) if style.number and text else ""
        if style.level is not None:
            self._builder.heading(style.level, f"{'' if label == '-' else label} {text}")
            self._after_item = False
        elif label:
            self._add_item(max(style.depth, style.indent), label, text)
        else:
            self._add("paragraph", text)
        self._add_aside(inline)

    def _style(self, properties: Any | None) -> Style:
        """The style of a paragraph with what the paragraph itself says otherwise."""
        named = self._styles.get(attribute(child(properties, "pStyle"), "val") or self._styles.default)
        style = replace(named)
        outline = attribute(child(properties, "outlineLvl"), "val")
        if outline is not None and outline.isdecimal():
            style.level = int(outline) + 1 if int(outline) < 9 else None
        numbering = child(properties, "numPr")
        if numbering is not None:
            number, depth = numbering_of(numbering)
            style.number = number if child(numbering, "numId") is not None else style.number
            style.depth = depth if child(numbering, "ilvl") is not None else style.depth
        return style

    def _add(self, kind: Any, text: str) -> None:
        self._builder.add(kind, text)
        self._after_item = self._after_item and not text

    def _add_item(self, depth: int, label: str, text: str) -> None:
        self._builder.add("item", f"{'  ' * depth}{label} {text}", tight=self._after_item)
        self._after_item = True

    def _add_aside(self, inline: _Inline) -> None:
        """What stands beside a paragraph: its notes and the text boxes that are anchored in it. Each note comes once."""
        for kind, number in inline.notes:
            note = self._notes[kind].pop(number, None)
            if note is not None:
                self._noted += 1
                self._add("paragraph", f"[{self._noted}] {note}")
        for box in inline.boxes:
            self.blocks(box)

    def _table(self, table: Any) -> None:
        """Rows of cells; but a table that holds tables, or one cell, is there for the layout, and its cells are read one by one."""
        rows = [[*_inside(row, "tc")] for row in _inside(table, "tr") if child(row, "trPr", "del") is None]
        if sum(map(len, rows)) == 1 or next(table.iterdescendants("{*}tbl"), None) is not None:
            for cell in (cell for row in rows for cell in row):
                self.blocks(cell)
            return
        lines: list[str] = []
        above: dict[int, str] = {}
        asides: list[_Inline] = []
        for row in rows:
            cells, above = self._cells(row, above, asides)
            if any(cells):
                lines.append(CELL_JOINT.join(cells).rstrip())
        self._add("table", "\n".join(lines))
        for inline in asides:
            self._add_aside(inline)

    def _cells(self, row: list[Any], above: dict[int, str], asides: list[_Inline]) -> tuple[list[str], dict[int, str]]:
        """The texts of a row, a column each, and those that cells merged downwards will need in the next row."""
        cells: list[str] = []
        merged: dict[int, str] = {}
        for cell in row:
            properties = child(cell, "tcPr")
            if child(properties, "cellDel") is not None:
                continue
            down = child(properties, "vMerge")
            at = len(cells)
            if down is not None and attribute(down, "val") != "restart":
                text = above.get(at, "")
            else:
                parts = [_Inline(paragraph) for paragraph in _inside(cell, "p")]
                asides.extend(part for part in parts if part.notes or part.boxes)
                text = " ".join(" ".join(part.text for part in parts).split())
            if down is not None and len(text) <= LONGEST_REPEATED:
                merged[at] = text
            span = attribute(child(properties, "gridSpan"), "val") or "1"
            cells += [text] + [""] * (min(int(span), 64) - 1 if span.isdecimal() else 0)
        return cells, merged


class _Inline:
    """The text of one paragraph, and what is anchored in it."""

    def __init__(self, paragraph: Any) -> None:
        self._parts: list[str] = []
        self.boxes: list[Any] = []
        self.notes: list[tuple[str, str]] = []
        self._walk(paragraph)
        lines = (_SPACES.sub(" ", line).strip() for line in "".join(self._parts).split("\n"))
        self.text = "\n".join(lines).strip()

    def _walk(self, element: Any) -> None:
        for inner in element:
            name = local(inner)
            if name in _OUT or (name == "r" and _is_hidden(inner)):
                continue
            if name == "AlternateContent":
                branch = chosen(inner)
                if branch is not None:
                    self._walk(branch)
            elif name == "txbxContent":
                self.boxes.append(inner)
            elif name in ("footnoteReference", "endnoteReference"):
                self.notes.append((name.removesuffix("Reference"), attribute(inner, "id") or ""))
            elif (text := _spelled(name, inner)) is not None:
                self._parts.append(text)
            else:
                self._walk(inner)


def _spelled(name: str, element: Any) -> str | None:
    """The text of an element that holds no others; None for one that may hold some."""
    match name:
        case "t":
            return element.text or ""
        case "tab" | "ptab":
            return "\t"
        case "br" | "cr":
            return "\n"
        case "noBreakHyphen":
            return "-"
        case "sym":
            shown = attribute(element, "char") or ""
            code = int(shown, 16) if _CODE.fullmatch(shown) else 0
            return "" if not 0x20 <= code < 0xE000 else chr(code)  # the others are signs of one font only
        case "docPr":
            shown = (attribute(element, "descr") or "").strip()
            return "" if _FILE_NAME.fullmatch(shown) or shown.startswith(("http:", "https:")) else f" {shown} "
    return None


def _is_hidden(run: Any) -> bool:
    vanish = child(run, "rPr", "vanish")
    return vanish is not None and attribute(vanish, "val") not in _OFF


def _inside(element: Any, name: str) -> Iterator[Any]:
    """The rows of a table, the cells of a row or the paragraphs of a cell, through content controls and insertions."""
    for inner in element:
        if local(inner) == name:
            yield inner
        elif local(inner) == "sdt" or local(inner) in _AROUND_BLOCKS:
            yield from _inside(inner, name)


def _is_contents(control: Any) -> bool:
    """Whether a content control is the table of contents, which only repeats the headings."""
    gallery = attribute(child(control, "sdtPr", "docPartObj", "docPartGallery"), "val")
    return gallery == "Table of Contents"


def _notes(package: Package, relations: dict[str, Relation], kind: str) -> dict[str, str]:
    """The texts of the foot- or endnotes by their ids; the separators among them have a type."""
    root = package.part(f"{kind}s", relations)
    elements = root.iterchildren(f"{{*}}{kind}") if root is not None else ()
    notes = {attribute(note, "id") or "": note for note in elements if attribute(note, "type") in (None, "normal")}
    return {number: " ".join(" ".join(_Inline(p).text for p in note.iterdescendants("{*}p")).split()) for number, note in notes.items()}
