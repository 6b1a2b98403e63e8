"""Office files that tests make by hand: the few parts that a reader needs, in a zip archive or an OLE file."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
A = "http://schemas.openxmlformats.org/drawingml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPES = {
    "word/document.xml": "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml",
    "ppt/presentation.xml": "application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml",
    "xl/workbook.xml": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
}


def archive(parts: Mapping[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as zipped:
        for name, content in parts.items():
            zipped.writestr(name, content)
    return file.getvalue()


def relations(targets: Mapping[str, tuple[str, str]]) -> str:
    """A part of relationships: id → (kind, target)."""
    found = "".join(f'<Relationship Id="{number}" Type="{R}/{kind}" Target="{target}"/>' for number, (kind, target) in targets.items())
    return f'<Relationships xmlns="{PACKAGE}/relationships">{found}</Relationships>'


def package(main: str, parts: Mapping[str, str | bytes], core: str = "") -> dict[str, str | bytes]:
    """The parts of an Office file whose document is `main`; `core` are its core properties."""
    types = f'<Types xmlns="{PACKAGE}/content-types"><Override PartName="/{main}" ContentType="{_TYPES[main]}"/></Types>'
    roots = {"rId1": ("officeDocument", main)}
    made: dict[str, str | bytes] = {"[Content_Types].xml": types}
    if core:
        roots["rId2"] = ("metadata/core-properties", "docProps/core.xml")
        spaces = 'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/"'
        made["docProps/core.xml"] = f'<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties" {spaces}>{core}</cp:coreProperties>'
    return {**made, "_rels/.rels": relations(roots), **parts}


def docx_parts(body: str, core: str = "", **others: str) -> dict[str, str | bytes]:
    """A Word file with this body; `others` are the parts beside it by their kinds: styles, numbering, footnotes, ..."""
    spaces = (
        f'xmlns:w="{W}" xmlns:r="{R}" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" xmlns:v="urn:schemas-microsoft-com:vml" '
        'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
        'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape"'
    )
    parts: dict[str, str | bytes] = {"word/document.xml": f"<w:document {spaces}><w:body>{body}</w:body></w:document>"}
    for kind, inner in others.items():
        parts[f"word/{kind}.xml"] = f"<w:{kind} {spaces}>{inner}</w:{kind}>"
    parts["word/_rels/document.xml.rels"] = relations({f"rId{n}": (kind, f"{kind}.xml") for n, kind in enumerate(others)})
    return package("word/document.xml", parts, core)


def docx(body: str, core: str = "", **others: str) -> bytes:
    return archive(docx_parts(body, core, **others))


def p(text: str, style: str = "", properties: str = "") -> str:
    """A paragraph of Word."""
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f'<w:p><w:pPr>{named}{properties}</w:pPr><w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def pptx(slides: list[str], *, presentation: str = "", parts: Mapping[str, str] | None = None) -> bytes:
    """A presentation whose slides have these shapes; `parts` are further parts by their names, tied to every slide by their folders' names."""
    spaces = f'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:a="{A}" xmlns:r="{R}"'
    ids = "".join(f'<p:sldId id="{256 + n}" r:id="s{n}"/>' for n in range(len(slides)))
    made: dict[str, str | bytes] = {"ppt/presentation.xml": f"<p:presentation {spaces}><p:sldIdLst>{ids}</p:sldIdLst>{presentation}</p:presentation>"}
    made["ppt/_rels/presentation.xml.rels"] = relations({f"s{n}": ("slide", f"slides/slide{n + 1}.xml") for n in range(len(slides))})
    for n, shapes in enumerate(slides, 1):
        show, _, inner = shapes.rpartition("@")
        made[f"ppt/slides/slide{n}.xml"] = f"<p:sld {spaces} {show}><p:cSld><p:spTree>{inner}</p:spTree></p:cSld></p:sld>"
        tied = {f"x{i}": (name.split("/")[0].rstrip("s"), f"../{name}") for i, name in enumerate(parts or {}) if str(n) in name}
        made[f"ppt/slides/_rels/slide{n}.xml.rels"] = relations(tied)
    for name, inner in (parts or {}).items():
        made[f"ppt/{name}"] = inner.replace("SPACES", spaces)
    return archive(package("ppt/presentation.xml", made))


def shape(*paragraphs: str, place: str = "") -> str:
    """A shape of a slide; a paragraph may begin with its properties, as in `lvl="1"@text`."""
    inner = ""
    for one in paragraphs:
        properties, _, text = one.rpartition("@")
        attributes, _, below = properties.partition(">")
        inner += f"<a:p><a:pPr {attributes}>{below}</a:pPr><a:r><a:t>{text}</a:t></a:r></a:p>"
    placed = f"<p:ph {place}/>" if place else ""
    return f'<p:sp><p:nvSpPr><p:cNvPr id="1" name="x"/><p:nvPr>{placed}</p:nvPr></p:nvSpPr><p:txBody>{inner}</p:txBody></p:sp>'


def xlsx_parts(sheets: Mapping[str, str], *, strings: list[str] | None = None, styles: str = "", core: str = "") -> dict[str, str | bytes]:
    """A workbook: name of the sheet, `hidden:name` for a hidden one → what stands in `worksheet`."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    tied = {f"r{n}": ("worksheet", f"worksheets/sheet{n}.xml") for n in range(len(sheets))}
    tabs = ""
    made: dict[str, str | bytes] = {}
    for n, (name, inner) in enumerate(sheets.items()):
        hidden, _, shown = name.rpartition(":")
        tabs += f'<sheet name="{shown}" sheetId="{n + 1}" r:id="r{n}" {"state=" + chr(34) + hidden + chr(34) if hidden else ""}/>'
        made[f"xl/worksheets/sheet{n}.xml"] = f"<worksheet {space}>{inner}</worksheet>"
    if strings is not None:
        tied["strings"] = ("sharedStrings", "sharedStrings.xml")
        made["xl/sharedStrings.xml"] = f"<sst {space}>{''.join(f'<si>{one}</si>' for one in strings)}</sst>"
    if styles:
        tied["styles"] = ("styles", "styles.xml")
        made["xl/styles.xml"] = f"<styleSheet {space}>{styles}</styleSheet>"
    made["xl/workbook.xml"] = f'<workbook {space} xmlns:r="{R}"><sheets>{tabs}</sheets></workbook>'
    made["xl/_rels/workbook.xml.rels"] = relations(tied)
    return package("xl/workbook.xml", made, core)


def xlsx(sheets: Mapping[str, str], **options: Any) -> bytes:
    return archive(xlsx_parts(sheets, **options))


def rows(*lines: list[Any], first: int = 1) -> str:
    """The cells of a sheet; a string that begins with `<` is a cell as it is, None an empty one."""
    made = ""
    for number, line in enumerate(lines, first):
        cells = ""
        for at, value in enumerate(line):
            where = f'r="{chr(65 + at)}{number}"'
            if isinstance(value, str) and value.startswith("<"):
                cells += value.replace("<c", f"<c {where}", 1)
            elif isinstance(value, str):
                cells += f'<c {where} t="inlineStr"><is><t>{value}</t></is></c>'
            elif value is not None:
                cells += f"<c {where}><v>{value}</v></c>"
        made += f'<row r="{number}">{cells}</row>'
    return f"<sheetData>{made}</sheetData>"


def ole(tree: Mapping[str, Any]) -> bytes:
    """An OLE file: name → bytes of a stream, or another such mapping for a storage."""
    entries: list[list[Any]] = []  # name, type, left, right, child, content

    def add(name: str, kind: int, inner: Any) -> int:
        number = len(entries)
        entries.append([name, kind, -1, -1, -1, b"" if isinstance(inner, Mapping) else inner])
        if isinstance(inner, Mapping):
            order = sorted(inner, key=lambda one: (len(one), one.upper()))
            numbers = [add(one, 1 if isinstance(inner[one], Mapping) else 2, inner[one]) for one in order]
            for one, after in pairwise(numbers):
                entries[one][3] = after  # a tree that is a list is a tree
            entries[number][4] = numbers[0] if numbers else -1
        return number

    add("Root Entry", 5, tree)
    sectors: list[bytes] = []
    fat: list[int] = []

    def keep(content: bytes) -> int:
        if not content:
            return -2
        start, count = len(sectors), -(-len(content) // 512)
        sectors.extend(content[at * 512 : at * 512 + 512].ljust(512, b"\0") for at in range(count))
        fat.extend([*range(start + 1, start + count), -2])
        return start

    mini, mini_fat, starts = b"", [], {}
    for number, (_, kind, *_, content) in enumerate(entries):
        if kind != 2 or len(content) >= 4096:
            starts[number] = keep(content) if kind == 2 else -2 if kind == 5 else 0
            continue
        first, count = len(mini_fat), -(-len(content) // 64)
        starts[number] = first if count else -2
        mini += content.ljust(count * 64, b"\0")
        mini_fat.extend([*range(first + 1, first + count), -2] if count else [])
    starts[0] = keep(mini)
    mini_start = keep(struct.pack(f"<{len(mini_fat)}i", *mini_fat).ljust(-(-len(mini_fat) // 128) * 512, b"\xff"))
    directory = b""
    for number, (name, kind, left, right, below, content) in enumerate(entries):
        coded = name.encode("utf-16-le") + b"\0\0"
        size = len(mini) if kind == 5 else len(content)
        directory += coded.ljust(64, b"\0") + struct.pack(
            "<HBBiii16sI8s8siQ", len(coded), kind, 1, left, right, below, b"", 0, b"", b"", starts[number], size
        )
    directory_start = keep(directory)
    fat_count = 1
    while (len(sectors) + fat_count) > fat_count * 128:
        fat_count += 1
    places = list(range(len(sectors), len(sectors) + fat_count))
    fat += [-3] * fat_count
    sectors.append(struct.pack(f"<{len(fat)}i", *fat).ljust(fat_count * 512, b"\xff"))
    mini_count = -(-len(mini_fat) // 128)
    header = struct.pack(
        "<8s16sHHHHH6sIIiIIiIiI",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"",
        0x3E,
        3,
        0xFFFE,
        9,
        6,
        b"",
        0,
        fat_count,
        directory_start,
        0,
        4096,
        mini_start,
        mini_count,
        -2,
        0,
    )
    return header + struct.pack("<109i", *(places + [-1] * 109)[:109]) + b"".join(sectors)


def msg(
    texts: Mapping[int, str | bytes], *, fixed: Mapping[int, int] | None = None, attached: list[Any] | None = None, top: bool = True
) -> dict[str, Any]:
    """The tree of an Outlook message: property → text or bytes; `fixed` → numbers; `attached` → (name, bytes or another tree)."""
    tree: dict[str, Any] = {}
    for number, value in texts.items():
        kind, content = ("001F", value.encode("utf-16-le")) if isinstance(value, str) else ("0102", value)
        tree[f"__substg1.0_{number:04X}{kind}"] = content
    entries = b"".join(struct.pack("<HHIq", 0x0003, number, 6, value) for number, value in (fixed or {}).items())
    tree["__properties_version1.0"] = bytes(32 if top else 24) + entries
    for n, (name, content) in enumerate(attached or []):
        kind, inner = ("000D", content) if isinstance(content, dict) else ("0102", content)
        tree[f"__attach_version1.0_#{n:08X}"] = {
            "__substg1.0_3707001F": name.encode("utf-16-le"),
            f"__substg1.0_3701{kind}": inner,
            "__properties_version1.0": bytes(8),
        }
    return tree
