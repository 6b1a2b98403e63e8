"""A corpus of files that are made to do harm, or are broken: by their names, with their bytes. Each must end as failed, with a reason."""

from __future__ import annotations

import base64
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

from pypdf import PdfWriter

MEGABYTE = 2**20
_OFFICE = {"docx": "word/document.xml", "pptx": "ppt/presentation.xml", "xlsx": "xl/workbook.xml"}
_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/{part}" ContentType="application/vnd.openxmlformats-officedocument.{kind}.main+xml"/></Types>'
)
_KINDS = {"docx": "wordprocessingml.document", "pptx": "presentationml.presentation", "xlsx": "spreadsheetml.sheet"}
_RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="{part}"/></Relationships>'
)
_LAUGHS = "<!DOCTYPE x [" + '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)) + "]>"
_OUTSIDE = '<!DOCTYPE x [<!ENTITY secret SYSTEM "file:///etc/passwd">]>'


def corpus(heavy: bool = True) -> dict[str, bytes]:
    """Every file of the corpus; without those that take long to make, unless `heavy`."""
    found = dict(_broken())
    found.update(_office())
    found.update(_pdf(heavy))
    found.update(_text(heavy))
    return found


def office_file(extension: str, document: bytes, more: dict[str, bytes] | None = None) -> bytes:
    """A file of that kind which holds one XML part."""
    part = _OFFICE[extension]
    parts = {
        "[Content_Types].xml": _TYPES.format(part=part, kind=_KINDS[extension]).encode(),
        "_rels/.rels": _RELATIONS.format(part=part).encode(),
        part: document,
        **(more or {}),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _broken() -> Iterator[tuple[str, bytes]]:
    for extension in ("md", "txt", "html", "pdf", "docx", "pptx", "xlsx", "csv", "json", "jsonl", "eml", "msg"):
        yield f"empty.{extension}", b""
    png = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
    for extension in ("md", "txt", "html", "pdf", "docx", "pptx", "xlsx", "csv", "json", "jsonl", "msg"):
        yield f"really-a-png.{extension}", png
    for extension in _OFFICE:
        whole = office_file(extension, b"<x/>" * 1000)
        yield f"truncated.{extension}", whole[: len(whole) // 2]
        yield f"really-html.{extension}", b"<html><body>hello</body></html>"
        yield f"encrypted.{extension}", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4096)
    yield "truncated.pdf", _pages(3)[:200]
    yield "truncated.msg", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100)
    yield "binary.txt", bytes(range(256)) * 100


def _office() -> Iterator[tuple[str, bytes]]:
    spaces = b" " * (20 * MEGABYTE)
    for extension in _OFFICE:
        yield f"bomb.{extension}", office_file(extension, b"<x>" + spaces * 10 + b"</x>")
        yield f"lying-size.{extension}", _lying(office_file(extension, b"<x>" + spaces * 10 + b"</x>"))
        yield f"laughs.{extension}", office_file(extension, f'<?xml version="1.0"?>{_LAUGHS}<x>&a11;</x>'.encode())
        yield f"outside.{extension}", office_file(extension, f'<?xml version="1.0"?>{_OUTSIDE}<x>&secret;</x>'.encode())
        yield f"many-entries.{extension}", office_file(extension, b"<x/>", {f"custom/{n}.xml": b"<x/>" for n in range(20_000)})
        yield f"deep.{extension}", office_file(extension, b"<x>" * 200_000 + b"</x>" * 200_000)
        yield f"climbing.{extension}", office_file(extension, b"<x/>", {"../../../../tmp/llmops-was-here": b"x"})


def _lying(packed: bytes) -> bytes:
    """The same archive, whose directory says that every entry is small."""
    changed = bytearray(packed)
    place = 0
    while (place := changed.find(b"PK\x01\x02", place)) >= 0:
        struct.pack_into("<I", changed, place + 24, 100)
        place += 4
    return bytes(changed)


def _pages(number: int) -> bytes:
    writer = PdfWriter()
    for _ in range(number):
        writer.add_blank_page(200, 200)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def _pdf(heavy: bool) -> Iterator[tuple[str, bytes]]:
    writer = PdfWriter()
    writer.add_blank_page(200, 200)
    writer.encrypt("secret")
    written = io.BytesIO()
    writer.write(written)
    yield "encrypted.pdf", written.getvalue()
    yield "without-text.pdf", _pages(2)
    if heavy:
        yield "pages-5000.pdf", _pages(5000)
    yield "flate-bomb.pdf", _one_stream(zlib.compress(zlib.compress(b"(x) Tj " * (40 * MEGABYTE // 7) * 8, 1), 9), "[/FlateDecode /FlateDecode]")
    pages = b"2 0 obj<</Type/Pages/Kids[2 0 R 2 0 R]/Count 1000000000>>endobj\n"
    yield "cycle.pdf", b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n" + pages + b"trailer<</Root 1 0 R>>\n"


def _one_stream(stream: bytes, filters: str) -> bytes:
    head = (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>endobj\n"
        b"5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n"
    )
    return head + f"4 0 obj<</Length {len(stream)}/Filter {filters}>>stream\n".encode() + stream + b"\nendstream endobj\ntrailer<</Root 1 0 R>>\n"


def _text(heavy: bool) -> Iterator[tuple[str, bytes]]:
    yield "deep.json", b"[" * 1_000_000 + b"]" * 1_000_000
    yield "endless.json", b'{"a": ' * 10_000
    yield "deep.jsonl", b'{"a": ' + b"[" * 1_000_000 + b"\n"
    yield "not-a-number.json", b"NaN"
    yield "only-tags.html", b"<div>" * 100_000
    yield "only-script.html", b"<script>" + b"x" * MEGABYTE + b"</script>"
    if heavy:
        yield "brackets.md", b"[a][b" * 400_000
    inner = b"Content-Type: text/plain\n\n"
    for _ in range(200):
        inner = b"Content-Type: message/rfc822\n\n" + inner
    yield "nested.eml", inner
    parts = b"".join(b"--b\nContent-Type: application/octet-stream\n\nx\n" for _ in range(50_000))
    yield "many-parts.eml", b'Content-Type: multipart/mixed; boundary="b"\n\n' + parts + b"--b--\n"
    yield (
        "base64-bomb.eml",
        (
            b'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: application/octet-stream\n'
            b'Content-Disposition: attachment; filename="a.docx"\nContent-Transfer-Encoding: base64\n\n'
            + base64.encodebytes(office_file("docx", b"<x>" + b" " * (200 * MEGABYTE) + b"</x>"))
            + b"--b--\n"
        ),
    )
