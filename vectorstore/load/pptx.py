"""Slides to reading text: each under its title, with what the speaker says to it. A block's page is the number of its slide."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from vectorstore.load.drawing import Line, add_chart, add_diagram, add_lines, lines, shapes, table_text
from vectorstore.load.ooxml import Package, Relation, attribute, child, link, local, title_of
from vectorstore.load.parsed import Failed, Fields, Parsed, TextBuilder

_TITLES = ("title", "ctrTitle")
_AROUND = ("dt", "ftr", "hdr", "sldNum", "sldImg")
_FILE_NAME = re.compile(r"[\w .()-]+\.(?:png|jpe?g|gif|bmp|tiff?|emf|wmf|svg)|https?:\S+", re.IGNORECASE)
_HIDDEN = ("0", "false")


def load(content: bytes, name: str, fields: Fields) -> list[Parsed | Failed]:
    """A PPTX or PPTM file as one document. Hidden slides are counted and not read; the metadata names them."""
    package = Package(content, "PPTX")
    builder = TextBuilder()
    root = package.tree(package.main)
    slides = package.relations(package.main)
    sections = _sections(root)
    hidden: list[str] = []
    number = 0
    for number, element in enumerate(root.iter("{*}sldId"), 1):
        relation = slides.get(link(element))
        if relation is None or relation.external:
            continue
        slide = package.tree(relation.target)
        if attribute(slide, "show") in _HIDDEN:
            hidden.append(str(number))
            continue
        builder.page = number
        builder.leave(2)
        if section := sections.get(element.get("id") or ""):
            builder.heading(1, section)
        _Slide(package, relation.target, builder).read(slide)
    core = package.core()
    title = title_of(core, builder, name)
    return [builder.finish(title, {**core, "slides": number, **({"hidden_slides": ", ".join(hidden)[:1000]} if hidden else {})})]


def _sections(root: Any) -> dict[str, str]:
    """The name of a section by the id of its first slide. One section alone says nothing."""
    found = [(section.get("name") or "", next(section.iter("{*}sldId"), None)) for section in root.iter("{*}section")]
    return {first.get("id") or "": name for name, first in found if first is not None} if len(found) > 1 else {}


class _Slide:
    """One slide with what belongs to it."""

    def __init__(self, package: Package, name: str, builder: TextBuilder) -> None:
        self._package, self._builder = package, builder
        self._relations = package.relations(name)

    def read(self, slide: Any) -> None:
        tree = child(slide, "cSld", "spTree")
        found = list(shapes(tree)) if tree is not None else []
        titles = [shape for shape in found if _place(shape) in _TITLES]
        text = " ".join(line.text for shape in titles for line in lines(child(shape, "txBody")))
        self._builder.heading(2, text)
        for shape in found:
            if shape not in titles and _place(shape) not in _AROUND:
                self._shape(shape)
        for line in self._notes():
            self._builder.add("paragraph", line)

    def _shape(self, shape: Any) -> None:
        match local(shape):
            case "graphicFrame":
                self._frame(shape)
            case "pic":
                shown = (attribute(next(shape.iter("{*}cNvPr"), None), "descr") or "").strip()
                if not _FILE_NAME.fullmatch(shown):
                    self._builder.add("paragraph", shown)
            case _:
                add_lines(self._builder, list(lines(child(shape, "txBody"))), bulleted=_place(shape) in ("body", "obj"))

    def _frame(self, frame: Any) -> None:
        """A table, a chart or a diagram."""
        for table in frame.iter("{*}tbl"):
            self._builder.add("table", table_text(table))
        for element in frame.iter("{*}chart", "{*}relIds"):
            root = self._part(link(element) or link(element, "dm"))
            if root is None:
                continue
            if local(element) == "chart":
                add_chart(self._builder, root)
            else:
                add_diagram(self._builder, root)

    def _part(self, number: str) -> Any | None:
        relation: Relation | None = self._relations.get(number)
        if relation is None or relation.external or relation.target not in self._package.archive:
            return None
        return self._package.tree(relation.target)

    def _notes(self) -> Iterator[str]:
        """What the speaker says, a paragraph each; the first one tells that it is notes."""
        root = self._package.part("notesSlide", self._relations)
        tree = child(root, "cSld", "spTree")
        said: list[Line] = []
        for shape in shapes(tree) if tree is not None else ():
            if _place(shape) == "body":
                said += lines(child(shape, "txBody"))
        for index, line in enumerate(said):
            yield line.text if index else f"Notes: {line.text}"


def _place(shape: Any) -> str:
    """The kind of placeholder that a shape fills, "" for a shape of its own. One without a type holds the slide's content."""
    place = next(shape.iter("{*}ph"), None)
    return "" if place is None else attribute(place, "type") or "obj"
