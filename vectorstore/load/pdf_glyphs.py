"""What stands where on a page of a PDF: runs of characters and ruling lines, upright, with y growing downwards."""

from __future__ import annotations

import ctypes
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

from llmops.errors import InvalidInput
from vectorstore.load.lines import UNSPACED

MOST_GLYPHS = 200_000
"""Characters of one page that are read: some fifty times a densely printed one."""
MOST_RULES = 2_000
"""Lines and boxes of a page above which they are a drawing, not tables."""
SIZE_LIMITS = 2.0, 400.0
"""Points. Letters outside of them are not there to be read."""
RUN_GAP = 1.1
"""Ems of white space inside of a run: justified lines have less, columns and cells more."""
_BOLD = re.compile(r"bold|black|heavy|semibd|demi|[-_ ]w[6-9]\b", re.IGNORECASE)
_MONO = re.compile(r"mono|courier|consol|menlo|typewriter|cmtt", re.IGNORECASE)
_UNSPACED = re.compile(f"[{UNSPACED}]")
_LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}
_BLANK = frozenset((0, 9, 10, 13, 32, 160, 0xFFFF))
_WIDE = 0x2E80  # from here on: Chinese, Japanese, Korean
_HYPHENS = {2: "-", 0xFFFE: "-"}  # PDFium's signs for a hyphen at which a line ends
_SPELLED = _LIGATURES | _HYPHENS


class Run(NamedTuple):
    """Text on one line. Points; `y1` is the lower edge."""

    x0: float
    y0: float
    x1: float
    y1: float
    text: str
    size: float
    bold: bool = False
    mono: bool = False


class Rule(NamedTuple):
    """A line, upright or level, or an edge of a box."""

    x0: float
    y0: float
    x1: float
    y1: float


class Sheet(NamedTuple):
    """A page as it is read: its size, what is written and what is ruled."""

    width: float
    height: float
    runs: list[Run]
    rules: list[Rule]


class _Word(NamedTuple):
    x0: float
    bottom: float
    x1: float
    top: float
    x: float
    y: float
    text: str
    size: float
    bold: bool
    mono: bool
    turn: int


def sheet_of(page: Any, number: int) -> Sheet:
    """A page of PDFium, read. Raises `InvalidInput` for one with too many characters."""
    left, bottom, right, top = page.get_bbox()
    words = _words(page, number)
    turns = Counter[int]()
    for word in words:
        turns[word.turn] += len(word.text)
    turn = turns.most_common(1)[0][0] if turns else 0
    words = [word for word in words if word.turn == turn]  # what stands across the page is a watermark or a label
    frame = (left, bottom, right, top)
    if turn == 0 and _is_vertical(words):
        turn = -1
    runs = _merged([_turned_word(word, turn, frame) for word in words])
    rules = [_turned(rule, turn, frame) for rule in _rules(page)] if runs else []
    if turn in (-1, 90, 270):
        width, height = top - bottom, right - left
    else:
        width, height = right - left, top - bottom
    return Sheet(width, height, runs, rules)


def too_many_glyphs(number: int, count: int) -> InvalidInput:
    return InvalidInput(f"page {number} has {count:,} characters, {MOST_GLYPHS:,} are read", hint="split the page")


def _words(page: Any, number: int) -> list[_Word]:
    """The words of a page in the order in which they are drawn, in the page's own coordinates."""
    textpage = page.get_textpage()
    try:
        raw = textpage.raw
        count = pdfium.FPDFText_CountChars(raw)
        if count > MOST_GLYPHS:
            raise too_many_glyphs(number, count)
        return _Reader(raw).words(max(count, 0))
    finally:
        textpage.close()


class _Reader:
    """One pass over the characters of a page, with a few calls of PDFium for each word."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._box = pdfium.FS_RECTF()
        self._matrix = pdfium.FS_MATRIX()
        self._x, self._y = ctypes.c_double(), ctypes.c_double()
        self._name = ctypes.create_string_buffer(128)
        self._flags = ctypes.c_int()
        self._fonts: dict[bytes, tuple[bool, bool]] = {}

    def words(self, count: int) -> list[_Word]:
        found: list[_Word] = []
        codes = self._codes(count)
        start = 0
        for index, code in enumerate([*codes, 0]):
            if code in _BLANK:
                found += self._spans(codes, start, index)
                start = index + 1
        return found

    def _codes(self, count: int) -> Sequence[int]:
        """The code of each character: read at once, or one by one where PDFium's text and its characters differ in number."""
        buffer = (ctypes.c_ushort * (count + 1))()
        if pdfium.FPDFText_GetText(self._raw, 0, count, buffer) == count + 1 and 0 not in buffer[:count]:
            return buffer[:count]
        return [pdfium.FPDFText_GetUnicode(self._raw, index) for index in range(count)]

    def _spans(self, codes: Sequence[int], start: int, end: int) -> Iterator[_Word]:
        """The characters between two spaces, as one word, or as several where PDFium saw no space between two lines."""
        at = start
        for index in range(start + 1, end) if max(codes[start:end], default=0) >= _WIDE else ():
            before, after = self._box_of(index - 1), self._box_of(index)
            size = max(before[3] - before[1], 1.0)
            if abs(after[0] - before[0]) < 0.3 * size or abs(after[1] - before[1]) > 0.3 * size or after[0] - before[2] > 0.5 * size:
                yield from self._word(codes, at, index)
                at = index
        if at < end:
            yield from self._word(codes, at, end)

    def _box_of(self, index: int) -> tuple[float, float, float, float]:
        box = self._box
        pdfium.FPDFText_GetLooseCharBox(self._raw, index, ctypes.byref(box))
        return box.left, box.bottom, box.right, box.top

    def _word(self, codes: Sequence[int], start: int, end: int) -> Iterator[_Word]:
        style = self._style(start)
        if not style[0]:
            return
        pdfium.FPDFText_GetCharOrigin(self._raw, start, ctypes.byref(self._x), ctypes.byref(self._y))
        first, last = self._box_of(start), self._box_of(end - 1)
        text = "".join(map(chr, codes[start:end])).translate(_SPELLED)
        if not text.isascii():
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        x0, bottom, x1, top = min(first[0], last[0]), min(first[1], last[1]), max(first[2], last[2]), max(first[3], last[3])
        yield _Word(x0, bottom, x1, top, self._x.value, self._y.value, text, *style)

    def _style(self, index: int) -> tuple[float, bool, bool, int]:
        """Size in points as seen (0: not to be read), bold, monospaced, and the turn in degrees."""
        size = pdfium.FPDFText_GetFontSize(self._raw, index)
        turn = 0
        if pdfium.FPDFText_GetMatrix(self._raw, index, ctypes.byref(self._matrix)):
            matrix = self._matrix
            size *= math.hypot(matrix.c, matrix.d)
            angle = math.degrees(math.atan2(matrix.b, matrix.a)) % 360
            turn = round(angle / 90) * 90 % 360
            if abs((angle - turn + 180) % 360 - 180) > 5:
                return 0.0, False, False, 0
        if not SIZE_LIMITS[0] <= size <= SIZE_LIMITS[1]:
            return 0.0, False, False, 0
        pdfium.FPDFText_GetFontInfo(self._raw, index, self._name, 128, ctypes.byref(self._flags))
        name = self._name.value
        if name not in self._fonts:
            spelled = name.decode("utf-8", "replace")
            heavy = pdfium.FPDFText_GetFontWeight(self._raw, index) >= 600
            self._fonts[name] = (heavy or bool(_BOLD.search(spelled)), bool(_MONO.search(spelled)) or bool(self._flags.value & 1))
        return size, *self._fonts[name], turn


def _is_vertical(words: list[_Word]) -> bool:
    """Whether most of a page is written from top to bottom, as Japanese may be."""
    stacked = characters = 0
    for before, word in pairwise(words):
        characters += len(word.text)
        if len(before.text) == len(word.text) == 1 and abs(before.x - word.x) < word.size * 0.3:
            stacked += 0.5 * word.size < before.y - word.y < 1.6 * word.size
    return stacked * 2 > characters > 3


def _turned_word(word: _Word, turn: int, frame: tuple[float, float, float, float]) -> Run:
    box = _turned(Rule(word.x0, word.bottom, word.x1, word.top), turn, frame)
    x0, y0, x1, y1 = box
    if turn == 0:  # letters of one line may have boxes of several heights, but have one base line
        y0, y1 = frame[3] - word.y - 0.8 * word.size, frame[3] - word.y + 0.2 * word.size
    elif turn == -1:
        y0, y1 = frame[2] - word.x - 0.5 * word.size, frame[2] - word.x + 0.5 * word.size
    return Run(x0, y0, x1, y1, word.text, word.size, word.bold, word.mono)


def _turned(box: Rule, turn: int, frame: tuple[float, float, float, float]) -> Rule:
    """A box of the page's coordinates as a reader sees it. -1: lines from top to bottom, the first one at the right."""
    left, bottom, right, top = frame
    x0, y0, x1, y1 = box
    if turn == 90:
        return Rule(y0 - bottom, x0 - left, y1 - bottom, x1 - left)
    if turn == 180:
        return Rule(right - x1, y0 - bottom, right - x0, y1 - bottom)
    if turn == 270:
        return Rule(top - y1, right - x1, top - y0, right - x0)
    if turn == -1:
        return Rule(top - y1, right - x1, top - y0, right - x0)
    return Rule(x0 - left, top - y1, x1 - left, top - y0)


def rows(runs: list[Run]) -> list[list[Run]]:
    """Runs by the line they stand on, each from left to right; a raised or lowered one stands with its neighbours."""
    found: list[list[Run]] = []
    low = high = 0.0
    for run in sorted(runs, key=lambda run: (run.y0 + run.y1, run.x0)):
        middle = (run.y0 + run.y1) / 2
        if found and low <= middle <= high:
            found[-1].append(run)
        else:
            found.append([run])
            low = high = middle
        height = run.y1 - run.y0
        low, high = min(low, middle), max(high, min(middle + 0.45 * height, found[-1][0].y1))
    return [sorted(row, key=lambda run: run.x0) for row in found]


def _merged(words: list[Run]) -> list[Run]:
    """Neighbours on one line put together."""
    found: list[Run] = []
    for row in rows(words):
        start = len(found)
        for run in row:
            if len(found) > start and run.x0 - found[-1].x1 <= RUN_GAP * max(run.size, found[-1].size):
                found[-1] = together(found[-1], run)
            else:
                found.append(run)
    return found


def together(before: Run, run: Run) -> Run:
    """Two runs of one line as one."""
    gap = run.x0 - before.x1
    joint = " " if gap > 0.16 * min(before.size, run.size) else ""
    if joint and gap < 0.24 * run.size and _UNSPACED.match(before.text[-1]) and _UNSPACED.match(run.text):
        joint = ""
    small = run.size < 0.8 * before.size and run.y1 < before.y1 - 0.15 * before.size
    if small and gap < 0.2 * before.size:
        joint = "^" if before.text[-1].isdigit() and run.text[0] in "0123456789-−+" else ""
    longer = before if len(before.text) >= len(run.text) else run
    return Run(
        min(before.x0, run.x0),
        min(before.y0, run.y0),
        max(before.x1, run.x1),
        max(before.y1, run.y1),
        before.text + joint + run.text,
        max(before.size, run.size) if small else longer.size,
        longer.bold,
        before.mono and run.mono,
    )


def _rules(page: Any) -> list[Rule]:
    """The level and upright lines of a page; none where it has so many that they are a drawing."""
    found: list[Rule] = []
    for path in page.get_objects(filter=(pdfium.FPDF_PAGEOBJ_PATH,), max_depth=2):
        if len(found) > MOST_RULES:
            return []
        found += _edges(path)
    return found


def _edges(path: Any) -> list[Rule]:
    """The edges of a path of straight segments; a thin box is one line."""
    count = pdfium.FPDFPath_CountSegments(path)
    filled, stroked = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDFPath_GetDrawMode(path, ctypes.byref(filled), ctypes.byref(stroked))
    left, bottom, right, top = path.get_bounds()
    if right - left < 3 or top - bottom < 3:
        return [Rule(left, bottom, right, top)] if max(right - left, top - bottom) > 8 else []
    if count > 400 or not stroked.value:  # what is only filled is a background
        return []
    matrix = path.get_matrix()
    points: list[tuple[float, float] | None] = []
    x, y = ctypes.c_float(), ctypes.c_float()
    start: tuple[float, float] | None = None
    for index in range(count):
        segment = pdfium.FPDFPath_GetPathSegment(path, index)
        kind = pdfium.FPDFPathSegment_GetType(segment)
        if kind == pdfium.FPDF_SEGMENT_BEZIERTO:
            return []
        pdfium.FPDFPathSegment_GetPoint(segment, ctypes.byref(x), ctypes.byref(y))
        point = matrix.on_point(x.value, y.value)
        if kind == pdfium.FPDF_SEGMENT_MOVETO:
            points.append(None)
            start = point
        points.append(point)
        if pdfium.FPDFPathSegment_GetClose(segment):
            points.append(start)
    edges = (Rule(min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])) for a, b in pairwise(points) if a and b)
    return [edge for edge in edges if (edge.x1 - edge.x0 < 1.5) != (edge.y1 - edge.y0 < 1.5)]
