"""Office files that are broken, lying or meant to do harm: each fails with its reason, soon and in little memory."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from llmops.errors import InvalidInput
from tests.vectorstore.office import archive, docx, docx_parts, ole, p, pptx, rows, shape, xlsx, xlsx_parts
from vectorstore.load import Fields, Parsed, parse
from vectorstore.load import archive as zips

GOOD = docx(p("Fine."))
MB = 2**20


def load(content: bytes, name: str = "a.docx") -> Parsed:
    (document,) = parse(content, name, Fields())
    assert isinstance(document, Parsed)
    return document


def refused(content: bytes, reason: str, name: str = "a.docx") -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        load(content, name)
    assert len(str(caught.value)) < 300
    assert caught.value.hint


def with_entry(*entries: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    """A good Word file with further entries."""
    file = io.BytesIO(GOOD)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in entries:
            zipped.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", "a.docx", "is empty"),
        (b"%PDF-1.7\n...", "a.docx", "is a PDF, not a DOCX"),
        (b"\n <html><p>x", "a.xlsx", "is an HTML page, not a XLSX"),
        (b"{\\rtf1 x}", "a.docx", "is an RTF file, not a DOCX"),
        (b"plain text", "a.pptx", "is not a PPTX: it is no zip archive"),
        (GOOD, "a.xlsx", "is a DOCX, not a XLSX"),
        (xlsx({"A": rows(["x"])}), "a.docm", "is an XLSX, not a DOCX"),
        (pptx([shape("x")]), "a.docx", "is a PPTX, not a DOCX"),
        (archive({"mimetype": "application/vnd.oasis.opendocument.text"}), "a.docx", "is an OpenDocument file, not a DOCX"),
        (archive({"a.txt": "x"}), "a.docx", "is a zip archive, not a DOCX"),
        (ole({"WordDocument": b"x" * 5000}), "a.docx", "is an old binary Office file, not a DOCX"),
        (ole({"EncryptedPackage": b"x" * 5000, "EncryptionInfo": b"x"}), "a.xlsx", "is encrypted; remove its password first"),
        (GOOD[: len(GOOD) // 2], "a.docx", "is a broken DOCX"),
        (b"PK\x03\x04" + bytes(1000), "a.docx", "is a broken DOCX"),
        (archive({"[Content_Types].xml": "<Types/>"}), "a.docx", "is a broken DOCX: it does not say which part is the document"),
        (archive({name: part for name, part in docx_parts(p("x")).items() if name != "word/document.xml"}), "a.docx", "has no part"),
    ],
)
def test_t55_a_file_that_is_not_what_its_name_says(content: bytes, name: str, reason: str) -> None:
    refused(content, reason, name)


def test_t55_names_that_lead_outside_or_stand_twice() -> None:
    refused(with_entry(("../../etc/passwd", b"x")), "name leads outside")
    refused(with_entry(("/etc/passwd", b"x")), "name leads outside")
    refused(with_entry(("a\\..\\..\\b", b"x")), "name leads outside")
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = with_entry(("word/document.xml", b"<x/>"))
    refused(twice, "has two entries named 'word/document.xml'")


def test_t55_too_many_entries_are_counted_before_they_are_listed() -> None:
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    count = zips.MOST_ENTRIES + 1
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, count * len(entry), 4, 0)  # it says that there is one
    refused(b"PK\x03\x04" + entry * count + end, "has more than 5,000 entries")


def bomb(size: int, name: str = "word/document.xml") -> bytes:
    """A Word file with a part of so many equal bytes."""
    return archive({**docx_parts(p("x")), name: b"<a>" + b" " * size + b"</a>"})


def test_t55_a_bomb_is_refused_by_what_it_inflates_to() -> None:
    refused(bomb(100 * MB), "inflates to more than 300 times its size")
    refused(bomb(16 * MB), "inflates to more than 300 times its size")  # its directory does not betray it


def test_t55_a_directory_that_lies_is_found_out() -> None:
    content = bytearray(bomb(6 * MB, "word/document.xml"))
    for mark, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        start = -1
        while (start := content.find(mark, start + 1)) >= 0:
            head = 46 if mark == b"PK\x01\x02" else 30
            if content[start + head :].startswith(b"word/document.xml"):
                struct.pack_into("<I", content, start + at, 100)  # says that it is of 100 bytes
    refused(bytes(content), "has a directory that lies about 'word/document.xml'")
    wrong_sum = bytearray(GOOD)
    start = wrong_sum.find(b"word/document.xml", wrong_sum.find(b"PK\x01\x02")) - 46
    struct.pack_into("<I", wrong_sum, start + 16, 1)
    refused(bytes(wrong_sum), "has a directory that lies about 'word/document.xml'")
    elsewhere = bytearray(GOOD)
    struct.pack_into("<I", elsewhere, start + 42, 0)  # points to another entry
    refused(bytes(elsewhere), "has a directory that does not fit its entries")


def test_t55_all_entries_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MOST_IN_ALL", 500)
    refused(GOOD, "inflates to more than 0 MB")


def test_t55_archives_inside_cost_nothing() -> None:
    inner = archive({"x": bytes(50 * MB)})
    assert load(with_entry(("word/embeddings/inner.zip", inner))).text == "Fine."


def test_t55_encrypted_and_oddly_packed_entries() -> None:
    encrypted = bytearray(with_entry(("word/x", b"x")))
    at = encrypted.rfind(b"PK\x01\x02")
    encrypted[at + 8] |= 1
    refused(bytes(encrypted), "is encrypted; remove its password first")
    refused(archive(docx_parts(p("x")), zipfile.ZIP_BZIP2), "packed in a way that no DOCX is")


def test_t55_a_stream_that_is_cut_off_or_no_deflate() -> None:
    for broken in (b"\xff" * 20, zlib.compress(b"x" * 1000)[2:-8]):
        parts = docx_parts(p("x"))
        file = io.BytesIO(archive({**parts, "word/document.xml": broken}, zipfile.ZIP_STORED))
        content = bytearray(file.getvalue())
        for mark, at, head in ((b"PK\x01\x02", 10, 46), (b"PK\x03\x04", 8, 30)):
            start = -1
            while (start := content.find(mark, start + 1)) >= 0:
                if content[start + head :].startswith(b"word/document.xml"):
                    struct.pack_into("<H", content, start + at, 8)  # says that it is deflated
        refused(bytes(content), "is cut off in|is broken in|lies about")


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)) + "]>"
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("declared", [LAUGHS, OUTSIDE, '<!DOCTYPE x SYSTEM "http://example.com/x.dtd">', "<!-- " + "x" * 70_000 + " -->" + OUTSIDE])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", ["a.docx", "a.xlsx"])
def test_t55_entities_are_refused_before_they_are_read(declared: str, encoding: str, name: str) -> None:
    parts, part = (docx_parts(p("x")), "word/document.xml") if name == "a.docx" else (xlsx_parts({"A": rows(["x"])}), "xl/worksheets/sheet0.xml")
    parts[part] = (f'<?xml version="1.0" encoding="{encoding}"?>' + declared + str(parts[part]).replace("x</", "&j;&a;</")).encode(encoding)
    refused(archive(parts), "has a document type, which no Office file may have", name)


def test_t55_xml_that_is_broken_or_deep() -> None:
    refused(archive({**docx_parts(""), "word/document.xml": "<w:document><w:body>"}), "is not sound XML")
    refused(docx("<w:sdt><w:sdtContent>" * 5000 + p("x") + "</w:sdtContent></w:sdt>" * 5000), "is not sound XML|nested too deeply")
    with pytest.raises(InvalidInput, match=r"is not sound XML|nested too deeply|no text"):
        load(docx("<w:sdt><w:sdtContent>" * 900 + p("x") + "</w:sdtContent></w:sdt>" * 900))


def test_t55_styles_and_lists_that_refer_to_themselves() -> None:
    styles = '<w:style w:styleId="a"><w:basedOn w:val="b"/></w:style><w:style w:styleId="b"><w:basedOn w:val="a"/></w:style>'
    assert load(docx(p("x", "a"), styles=styles)).text == "x"


def test_t55_a_text_that_is_said_a_million_times_is_given_up() -> None:
    cells = "".join(f'<row r="{n}">' + '<c t="s"><v>0</v></c>' * 100 + "</row>" for n in range(1, 100))
    refused(xlsx({"A": f"<sheetData>{cells}</sheetData>"}, strings=[f"<t>{'x' * 30_000}</t>"]), "more than .* million characters", "a.xlsx")


def test_t55_a_merge_over_all_rows_repeats_nothing_where_nothing_is() -> None:
    sheet = rows(["a", "b"], [None, 1]) + '<mergeCells><mergeCell ref="A1:A1048576"/><mergeCell ref="C1:XFD1048576"/></mergeCells>'
    assert load(xlsx({"A": sheet}), "a.xlsx").text == "A\n\na: a | b: 1"


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx", "a.eml", "a.msg", "a.json"])
def test_t55_any_cut_of_a_file_is_read_or_refused(name: str) -> None:
    made = {
        "a.docx": GOOD,
        "a.pptx": pptx([shape("x")]),
        "a.xlsx": xlsx({"A": rows(["x"])}),
        "a.msg": ole({"__properties_version1.0": bytes(32), "__substg1.0_1000001F": b"x\0"}),
        "a.eml": b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--",
        "a.json": b'[{"a": 1}, {"b": "x"}]',
    }
    content = made[name]
    for at in range(0, len(content), max(len(content) // 60, 1)):
        flipped = bytearray(content)
        flipped[at] ^= 0x55
        for one in (content[:at], bytes(flipped)):
            try:
                list(parse(one, name, Fields()))
            except InvalidInput as error:
                assert "cannot be read" not in str(error) or name == "a.msg", str(error)


MEASURED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (512 * 2**20,) * 2)
from vectorstore.load import Fields, parse
name, *fields = sys.argv[1:]
content = open(name, "rb").read()
fields = Fields(**dict(one.split("=") for one in fields))
before, count = None, 0
try:
    for _ in parse(content, name, fields):
        before = before or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        count += 1
    print(count, "documents", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, "MB more")
except Exception as error:
    print(type(error).__name__, error)
print({"numpy", "pandas", "torch", "sqlalchemy", "fastapi", "transformers", "openpyxl"} & sys.modules.keys() or "")
"""


def child(path: Path, *fields: str) -> str:
    """What a process with 512 MB of address space says of a file."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path), *fields], capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2]
    )
    assert not done.stderr, done.stderr
    return done.stdout.strip()


def test_t55_rows_are_given_as_they_are_read(tmp_path: Path) -> None:
    row = "The text of a row goes on. " * 300
    (tmp_path / "a.csv").write_text("id,text\n" + "".join(f"{n},{row}\n" for n in range(4000)))
    (tmp_path / "a.jsonl").write_text("".join(f'{{"id": {n}, "text": "{row}"}}\n' for n in range(4000)))
    cells = "".join(f'<row><c t="str"><v>{n}</v></c><c t="str"><v>{row}</v></c></row>' for n in range(4000))
    head = '<row><c t="str"><v>id</v></c><c t="str"><v>text</v></c></row>'
    parts = xlsx_parts({"A": f"<sheetData>{head}{cells}</sheetData>"})
    (tmp_path / "a.xlsx").write_bytes(archive(parts, zipfile.ZIP_STORED))
    for name in ("a.csv", "a.jsonl", "a.xlsx"):
        said = child(tmp_path / name, "id=id", "text=text").split()
        assert said[:2] == ["4000", "documents"]
        assert int(said[2]) < 10, said  # of 32 MB of text


def test_t55_bombs_fail_within_the_memory_of_a_child(tmp_path: Path) -> None:
    noise = "".join(f"<a:p><a:r><a:t>{random.Random(n).randbytes(500).hex()}</a:t></a:r></a:p>" for n in range(21_500))
    deck = pptx([f"<p:sp><p:txBody>{noise}</p:txBody></p:sp>"])
    (tmp_path / "a.pptx").write_bytes(deck)
    assert child(tmp_path / "a.pptx") == "InvalidInput its part 'ppt/slides/slide1.xml' is too large"
    (tmp_path / "b.docx").write_bytes(bomb(300 * MB))
    assert child(tmp_path / "b.docx") == "InvalidInput its part 'word/document.xml' inflates to more than 300 times its size"


def test_t55_a_long_document_is_read_in_little_memory(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(docx("".join(f"<w:p><w:r><w:t>{zlib.crc32(str(n).encode()):x}</w:t></w:r></w:p>" for n in range(120_000))))
    assert child(tmp_path / "a.docx").startswith("1 documents 0 MB more")
