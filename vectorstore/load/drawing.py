"""What stands in drawings of Office files: paragraphs of shapes, tables, charts and diagrams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from llmops.types import CELL_JOINT
from vectorstore.load.docx_styles import spelled
from vectorstore.load.ooxml import LONGEST_REPEATED, attribute, child, chosen, local
from vectorstore.load.parsed import TextBuilder

_NUMBERS = {"alphaLc": "lowerLetter", "alphaUc": "upperLetter", "romanLc": "lowerRoman", "romanUc": "upperRoman", "arabic": "decimal"}
_MOST_POINTS = 10_000


class Line(NamedTuple):
    """A paragraph of a shape. `bullet` is its mark, "" for none, None where the layout decides."""

    text: str
    depth: int
    bullet: str | None


def lines(body: Any | None) -> Iterator[Line]:
    """The paragraphs of a text body that are not empty."""
    counts: dict[int, int] = {}
    for paragraph in body.iterchildren("{*}p") if body is not None else ():
        properties = child(paragraph, "pPr")
        level = attribute(properties, "lvl") or "0"
        depth = min(int(level), 8) if level.isdecimal() else 0
        text = paragraph_text(paragraph)
        if not text:
            continue
        bullet = _bullet(properties, depth, counts)
        counts = {above: count for above, count in counts.items() if above < depth or (above == depth and bullet)}
        yield Line(text, depth, bullet)


def _bullet(properties: Any | None, depth: int, counts: dict[int, int]) -> str | None:
    if child(properties, "buNone") is not None:
        return ""
    numbered = child(properties, "buAutoNum")
    if numbered is not None:
        start = attribute(numbered, "startAt") or "1"
        counts[depth] = counts[depth] + 1 if depth in counts else int(start) if start.isdecimal() else 1
        form = attribute(numbered, "type") or ""
        named = next((ours for theirs, ours in _NUMBERS.items() if form.startswith(theirs)), "decimal")
        number = spelled(counts[depth], named)
        return f"({number})" if form.endswith("ParenBoth") else f"{number})" if form.endswith("ParenR") else f"{number}."
    return "-" if child(properties, "buChar") is not None or child(properties, "buBlip") is not None else None


def paragraph_text(paragraph: Any) -> str:
    """The text of `a:p`: its runs, fields but the slide's number, line ends."""
    parts: list[str] = []
    for inner in paragraph.iter("{*}t", "{*}br"):
        if local(inner) == "br":
            parts.append("\n")
        elif (attribute(inner.getparent(), "type") or "") != "slidenum":
            parts.append(inner.text or "")
    return "\n".join(" ".join(line.split()) for line in "".join(parts).replace("\v", "\n").split("\n")).strip()


def add_lines(builder: TextBuilder, found: list[Line], *, bulleted: bool) -> None:
    """The paragraphs of a shape, as items where they have marks, or where the layout gives them one: `bulleted`."""
    after_item = False
    for line in found:
        mark = line.bullet if line.bullet is not None else "-" if bulleted or line.depth else ""
        if mark:
            builder.add("item", f"{'  ' * line.depth}{mark} {line.text}", tight=after_item)
        else:
            builder.add("paragraph", line.text)
        after_item = bool(mark)


def table_text(table: Any) -> str:
    """The rows of `a:tbl`; what is merged downwards stands in each of its rows."""
    rows: list[str] = []
    above: list[str] = []
    for row in table.iterchildren("{*}tr"):
        cells: list[str] = []
        for cell in row.iterchildren("{*}tc"):
            text = " ".join(" ".join(paragraph_text(p) for p in cell.iter("{*}p")).split())
            if attribute(cell, "vMerge") in ("1", "true") and len(cells) < len(above) and len(above[len(cells)]) <= LONGEST_REPEATED:
                text = above[len(cells)]
            cells.append(text)
        above = cells
        if any(cells):
            rows.append(CELL_JOINT.join(cells).rstrip())
    return "\n".join(rows)


def add_chart(builder: TextBuilder, root: Any) -> None:
    """A chart as its title and a table: a row for each category, a column for each series, as they were last drawn."""
    title = next(root.iter("{*}title"), None)
    if title is not None:
        builder.add("paragraph", " ".join(paragraph_text(p) for p in title.iter("{*}p")))
    series = list(root.iter("{*}ser"))[:100]
    names = [" ".join(_points(child(one, "tx")).values()) for one in series]
    values = [_points(child(one, "val")) or _points(child(one, "yVal")) for one in series]
    categories = next((found for one in series if (found := _points(child(one, "cat")) or _points(child(one, "xVal")))), {})
    places = sorted(set(categories).union(*values))
    rows = [["", *names]] if any(names) else []
    rows += [[categories.get(place, ""), *(column.get(place, "") for column in values)] for place in places]
    builder.add("table", "\n".join(CELL_JOINT.join(row) for row in rows))


def _points(element: Any | None) -> dict[int, str]:
    """The values that a chart keeps of a range, by their places. Of categories in several levels the nearest."""
    points: dict[int, str] = {}
    for point in element.iter("{*}pt") if element is not None else ():
        place, value = attribute(point, "idx") or "", child(point, "v")
        if place.isdecimal() and value is not None and len(points) < _MOST_POINTS:
            points.setdefault(int(place), " ".join((value.text or "").split()))
    plain = next(element.iter("{*}v"), None) if element is not None and not points else None
    return points if plain is None else {0: plain.text or ""}


def add_diagram(builder: TextBuilder, root: Any) -> None:
    """The texts of a diagram (SmartArt), an item each, in the order in which they were made."""
    found = [Line(text, 0, "-") for paragraph in root.iter("{*}p") if (text := paragraph_text(paragraph))]
    add_lines(builder, found, bulleted=True)


def shapes(tree: Any) -> Iterator[Any]:
    """The shapes and frames in a drawing, in their order, those of groups too. A shape that is hidden is left out."""
    for element in tree:
        name = local(element)
        if name == "AlternateContent":
            branch = chosen(element)
            if branch is not None:
                yield from shapes(branch)
        elif name == "grpSp" or name.endswith("Anchor"):
            yield from shapes(element)
        elif name in ("sp", "graphicFrame", "pic", "cxnSp") and not _is_hidden(element):
            yield element


def _is_hidden(shape: Any) -> bool:
    return any(attribute(element, "hidden") in ("1", "true") for element in shape.iter("{*}cNvPr"))
