"""What a Word paragraph is by its style and its numbering: a heading and of which level, an item and under which number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vectorstore.load.ooxml import attribute, child

_LEVELS = 9
_BODY = 9
"""The outline level that says: body text, whatever the name."""
_HEADING_WORDS = """heading|見出し|标题|標題|제목|überschrift|titre|título|titulo|titolo|encabezado|cabeçalho|kop|rubrik|overskrift|otsikko|
nagłówek|nadpis|címsor|başlık|заголовок|titlu|επικεφαλίδα"""
_HEADING = re.compile(rf"(?:{_HEADING_WORDS.replace(chr(10), '')})[ \u00a0_-]?([1-9１-９])", re.IGNORECASE)
_TITLE = re.compile(r"title|表題|标题|標題|제목|titel|titre|título|titulo|titolo|tytuł|název|název|cím|заголовок|название|otsikko", re.IGNORECASE)
_LIST = re.compile(r"list (?:bullet|number|continue|paragraph)? ?([2-5])", re.IGNORECASE)  # deeper by its indentation alone
_CONTENTS = re.compile(r"(?:toc|目次|目录|verzeichnis|table des matières)[ _]?[1-9]", re.IGNORECASE)
_ROMAN = (
    (1000, "m"),
    (900, "cm"),
    (500, "d"),
    (400, "cd"),
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
    (9, "ix"),
    (5, "v"),
    (4, "iv"),
    (1, "i"),
)
_KANJI = "〇一二三四五六七八九"
_AIUEO = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン"
_IROHA = "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセス"
_PLACE = re.compile("%([1-9])")


@dataclass(slots=True)
class Style:
    """A paragraph style with what it inherits. `level` counts from 1, 0 is the document's title, None is no heading.

    `number` and `depth` say which list at which level; `indent` is the depth that a style's name says beside them.
    """

    level: int | None = None
    number: str = ""
    depth: int = 0
    indent: int = 0
    is_contents: bool = False


class Styles:
    """The styles of `word/styles.xml`; one that is not defined there is known by its id alone."""

    def __init__(self, root: Any | None) -> None:
        elements = root.iterchildren("{*}style") if root is not None else ()
        self._elements = {
            attribute(element, "styleId") or "": element for element in elements if attribute(element, "type") in (None, "paragraph", "numbering")
        }
        self._known: dict[str, Style] = {}
        self.default = next((name for name, element in self._elements.items() if attribute(element, "default") in ("1", "true")), "")

    def get(self, name: str) -> Style:
        if name not in self._known:
            self._known[name] = self._resolved(name)
        return self._known[name]

    def _chain(self, name: str) -> Iterator[tuple[str, Any | None]]:
        """(name to a reader, element) of a style and of those it is based on, nearest first."""
        seen: set[str] = set()
        while name and name not in seen:
            seen.add(name)
            element = self._elements.get(name)
            yield attribute(child(element, "name"), "val") or name, element
            name = attribute(child(element, "basedOn"), "val") or ""

    def _resolved(self, name: str) -> Style:
        style = Style()
        found_level = found_number = False
        for shown, element in self._chain(name):
            properties = child(element, "pPr")
            if not found_level and (level := _named_level(shown, properties)) is not None:
                found_level, style.level = True, level if level <= _LEVELS else None
            if not found_number and (numbering := child(properties, "numPr")) is not None:
                found_number = True
                style.number, style.depth = numbering_of(numbering)
                if match := _LIST.fullmatch(shown):
                    style.indent = int(match[1]) - 1
            style.is_contents = style.is_contents or _CONTENTS.fullmatch(shown) is not None
        return style


def _named_level(shown: str, properties: Any | None) -> int | None:
    """The level that a style says itself; one beyond the last is body text."""
    outline = attribute(child(properties, "outlineLvl"), "val")
    if outline is not None and outline.isdecimal():
        return int(outline) + 1
    if match := _HEADING.fullmatch(shown.strip()):
        return int(match[1])
    return 0 if _TITLE.fullmatch(shown.strip()) else None


def numbering_of(numbering: Any) -> tuple[str, int]:
    """The list that `w:numPr` names, "" for none, and the depth in it, counted from 0."""
    number = attribute(child(numbering, "numId"), "val") or ""
    depth = attribute(child(numbering, "ilvl"), "val") or "0"
    return ("" if number == "0" else number), min(int(depth), _LEVELS - 1) if depth.isdecimal() else 0


@dataclass(slots=True)
class _Level:
    """One level of a list."""

    form: str = "decimal"
    text: str = ""
    start: int = 1


@dataclass(slots=True)
class _Numbers:
    """Where the numbers of one list stand; several `w:num` may share them."""

    levels: dict[int, _Level] = field(default_factory=dict)
    counts: list[int | None] = field(default_factory=lambda: [None] * _LEVELS)


class Numbering:
    """The lists of `word/numbering.xml`, counted in the order in which `label` is asked."""

    def __init__(self, root: Any | None, styles: Styles) -> None:
        abstract: dict[str, _Numbers] = {}
        linked: dict[str, str] = {}
        self._lists: dict[str, _Numbers] = {}
        self._starts: dict[str, dict[int, int]] = {}
        for element in root.iterchildren("{*}abstractNum") if root is not None else ():
            name = attribute(element, "abstractNumId") or ""
            abstract[name] = _Numbers({_number(level, "ilvl", 0): _level(level) for level in element.iterchildren("{*}lvl")})
            linked[name] = attribute(child(element, "numStyleLink"), "val") or ""
        links: dict[str, str] = {}
        for element in root.iterchildren("{*}num") if root is not None else ():
            number, name = attribute(element, "numId") or "", attribute(child(element, "abstractNumId"), "val") or ""
            self._lists[number] = abstract.get(name) or _Numbers()
            overrides = ((level, attribute(child(level, "startOverride"), "val")) for level in element.iterchildren("{*}lvlOverride"))
            self._starts[number] = {_number(level, "ilvl", 0): int(start) for level, start in overrides if start and start.isdecimal()}
            if linked.get(name):
                links[number] = linked[name]
        for number, style in links.items():  # a list that is defined where a style's list is
            self._lists[number] = self._lists.get(styles.get(style).number, self._lists[number])

    def label(self, number: str, depth: int) -> str:
        """The next label of a list at a depth, as Word shows it: "2.", "(b)", "第3条"; "-" for a bullet, "" for none."""
        found = self._lists.get(number)
        if found is None:
            return "-"
        level = found.levels.get(depth, _Level())
        if level.form == "bullet":
            return "-"
        if depth in (starts := self._starts.get(number, {})):
            found.counts[depth] = starts.pop(depth) - 1
        count = found.counts[depth]
        found.counts[depth] = level.start if count is None else count + 1
        found.counts[depth + 1 :] = [None] * (_LEVELS - depth - 1)
        if level.form == "none" and not level.text:
            return ""

        def shown(place: re.Match[str]) -> str:
            at = int(place[1]) - 1
            one = found.levels.get(at, _Level())
            value = found.counts[at]
            return spelled(one.start if value is None else value, one.form)

        return _PLACE.sub(shown, level.text or f"%{depth + 1}.").strip()


def _level(element: Any) -> _Level:
    text = attribute(child(element, "lvlText"), "val") or ""
    return _Level(attribute(child(element, "numFmt"), "val") or "decimal", text[:100], _number(child(element, "start"), "val", 1))


def _number(element: Any | None, name: str, default: int) -> int:
    value = attribute(element, name) or ""
    return min(int(value), 10**6) if value.isdecimal() and len(value) < 10 else default


def spelled(count: int, form: str) -> str:
    """A count in one of Word's number formats; one that is not known here is written in digits."""
    match form:
        case "none" | "bullet":
            return ""
        case "lowerLetter" | "upperLetter":
            letters = chr(97 + (count - 1) % 26) * ((count - 1) // 26 % 100 + 1)
            return letters if form == "lowerLetter" else letters.upper()
        case "lowerRoman" | "upperRoman":
            roman = _roman(count)
            return roman if form == "lowerRoman" else roman.upper()
        case "decimalZero":
            return f"{count:02}"
        case "decimalFullWidth" | "decimalFullWidth2":
            return "".join(chr(ord(digit) + 0xFEE0) for digit in str(count))
        case "decimalEnclosedCircle" | "decimalEnclosedCircleChinese" if 1 <= count <= 20:
            return chr(0x245F + count)
        case "japaneseCounting" | "chineseCounting" | "chineseCountingThousand" | "japaneseLegal" | "taiwaneseCounting":
            return _kanji(count)
        case "ideographDigital" | "japaneseDigitalTenThousand":
            return "".join(_KANJI[int(digit)] for digit in str(count))
        case "aiueo" | "aiueoFullWidth" if count > 0:
            return _AIUEO[(count - 1) % len(_AIUEO)]
        case "iroha" | "irohaFullWidth" if count > 0:
            return _IROHA[(count - 1) % len(_IROHA)]
        case _:
            return str(count)


def _roman(count: int) -> str:
    if not 0 < count < 4000:
        return str(count)
    parts = []
    for value, letters in _ROMAN:
        parts.append(letters * (count // value))
        count %= value
    return "".join(parts)


def _kanji(count: int) -> str:
    if not 0 < count < 10_000:
        return str(count)
    parts = []
    for value, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, count = divmod(count, value)
        if digit:
            parts.append(("" if digit == 1 and unit else _KANJI[digit]) + unit)
    return "".join(parts)
