"""What a PDF itself calls its pages: i, ii, iii, 1, 2, A-1 (ISO 32000-1, 12.4.2)."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

MOST_NODES = 10_000
"""Of the tree that labels are kept in."""
LONGEST_LABEL = 12
_LARGEST = 99_999
_SIGNS = (b"/PageLabels", b"/ObjStm")
"""One of which a file with labels holds; the second hides the first."""
_ROMAN = {1000: "m", 900: "cm", 500: "d", 400: "cd", 100: "c", 90: "xc", 50: "l", 40: "xl", 10: "x", 9: "ix", 5: "v", 4: "iv", 1: "i"}


class _Range(NamedTuple):
    """From its first page on, counted from 0, pages are numbered in a style from `start`, behind a prefix."""

    first: int
    style: str
    prefix: str
    start: int


def page_labels(content: bytes, count: int) -> list[str]:
    """The label of each page; empty where the file gives none, one that is no page's number, or one that cannot be read.

    PDFium's own reading of labels does not end on a tree that leads back to itself.
    """
    labels = [""] * count
    if not any(sign in content for sign in _SIGNS):
        return labels
    import pypdf

    try:
        tree = pypdf.PdfReader(io.BytesIO(content)).root_object.get("/PageLabels")
        ranges = sorted(_ranges(tree)) if tree is not None else []
    except Exception:  # whatever a broken file makes the reader raise: without labels its pages are read all the same
        ranges = []
    ends = [*(one.first for one in ranges[1:]), count]
    for one, end in zip(ranges, ends, strict=False):
        for index in range(max(one.first, 0), min(end, count)):
            labels[index] = _label(one, index)
    return labels


def roman(number: int) -> str:
    """A number up to 3,999 in small Roman letters; "" for others."""
    spelled = ""
    if not 0 < number < 4000:
        return spelled
    for value, letters in _ROMAN.items():
        spelled += letters * (number // value)
        number %= value
    return spelled


def _ranges(tree: Any) -> Iterator[_Range]:
    """The ranges of a number tree, at most `MOST_NODES` of them and of the nodes that lead to them."""
    nodes, seen = [tree.get_object()], 0
    while nodes and seen < MOST_NODES:
        node = nodes.pop()
        seen += 1
        numbers = _list(node.get("/Nums"))
        for index, value in zip(numbers[::2], numbers[1::2], strict=False):
            seen += 1
            if seen > MOST_NODES:
                return
            given = value.get_object()
            yield _Range(int(index), str(given.get("/S", "")), str(given.get("/P", ""))[: LONGEST_LABEL + 1], int(given.get("/St", 1)))
        nodes += [kid.get_object() for kid in _list(node.get("/Kids"))[: MOST_NODES - seen]]


def _list(value: Any) -> Sequence[Any]:
    found = value.get_object() if value is not None else []
    return found if isinstance(found, list) else []


def _label(of: _Range, index: int) -> str:
    number = of.start + index - of.first
    if not 0 < number <= _LARGEST or of.style not in ("/D", "/r", "/R"):
        return ""
    spelled = str(number) if of.style == "/D" else roman(number) if of.style == "/r" else roman(number).upper()
    label = of.prefix + spelled
    return label if len(label) <= LONGEST_LABEL else ""
