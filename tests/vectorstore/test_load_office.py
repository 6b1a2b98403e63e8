"""Word and PowerPoint files become headings, paragraphs, items and tables in the order of a reader."""

from __future__ import annotations

import io
import zipfile

import pytest

from llmops.errors import InvalidInput
from tests.vectorstore.office import A, archive, docx, p, pptx, shape
from tests.vectorstore.test_load import assert_sound
from vectorstore.load import Fields, Parsed, parse


def load(content: bytes, name: str = "folder/report.docx") -> Parsed:
    (document,) = parse(content, name, Fields())
    assert isinstance(document, Parsed)
    assert_sound(document)
    return document


STYLES = """<w:style w:type="paragraph" w:styleId="1"><w:name w:val="heading 1"/></w:style>
<w:style w:type="paragraph" w:styleId="mine"><w:name w:val="Chapter"/><w:basedOn w:val="1"/></w:style>
<w:style w:type="paragraph" w:styleId="ja"><w:name w:val="見出し 2"/></w:style>
<w:style w:type="paragraph" w:styleId="out"><w:name w:val="Fancy"/><w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="body"><w:name w:val="Big"/><w:basedOn w:val="1"/><w:pPr><w:outlineLvl w:val="9"/></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="toc"><w:name w:val="toc 1"/></w:style>
<w:style w:type="paragraph" w:styleId="bullet"><w:name w:val="List Bullet"/><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style>"""
NUMBERING = """<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="x"/></w:lvl>
<w:lvl w:ilvl="1"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>
<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="第%1条"/></w:lvl>
<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1.(%2)"/></w:lvl></w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>
<w:num w:numId="3"><w:abstractNumId w:val="1"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="7"/></w:lvlOverride></w:num>"""


def number(list_id: int, depth: int = 0) -> str:
    return f'<w:numPr><w:ilvl w:val="{depth}"/><w:numId w:val="{list_id}"/></w:numPr>'


@pytest.mark.parametrize("style", ["1", "mine", "Heading1", "見出し 1", "Überschrift 1", "Titre1", "标题 1"])
def test_a_heading_by_its_style_in_any_language(style: str) -> None:
    document = load(docx(p("Start", style) + p("Text."), styles=STYLES))
    assert [(block.kind, block.headings) for block in document.blocks] == [("heading", ("Start",)), ("paragraph", ("Start",))]
    assert document.title == "Start"


def test_headings_by_outline_level_nest_and_body_text_is_none() -> None:
    body = p("A", "1") + p("B", "ja") + p("C", "out") + p("D", "", '<w:outlineLvl w:val="1"/>') + p("E", "body") + p("F", "toc")
    document = load(docx(body, styles=STYLES))
    assert document.text == "A\n\nB\n\nC\n\nD\n\nE"
    assert [block.headings for block in document.blocks] == [("A",), ("A", "B"), ("A", "B", "C"), ("A", "D"), ("A", "D")]


def test_lists_with_the_numbers_that_word_shows() -> None:
    items = [("one", 1, 0), ("deep", 1, 1), ("rule", 2, 0), ("case", 2, 1), ("case", 2, 1), ("rule", 2, 0), ("case", 2, 1), ("other", 3, 0)]
    body = p("by style", "bullet") + "".join(p(text, "", number(number_id, depth)) for text, number_id, depth in items)
    document = load(docx(body, styles=STYLES, numbering=NUMBERING))
    assert document.text.split("\n") == [
        "- by style",
        "- one",
        "  - deep",
        "第1条 rule",
        "  1.(a) case",
        "  1.(b) case",
        "第2条 rule",
        "  2.(a) case",
        "第7条 other",
    ]
    assert {block.kind for block in document.blocks} == {"item"}


def test_a_numbered_heading_keeps_its_number() -> None:
    document = load(docx(p("定義", "1", number(2)) + p("本文"), styles=STYLES, numbering=NUMBERING))
    assert document.blocks[1].headings == ("第1条 定義",)


def test_insertions_are_read_and_deletions_and_hidden_text_are_not() -> None:
    run = "<w:r><w:t>{}</w:t></w:r>"
    body = (
        f"<w:p>{run.format('We ')}<w:ins>{run.format('now ')}</w:ins><w:del><w:r><w:delText>never </w:delText></w:r></w:del>"
        f"<w:moveFrom>{run.format('gone ')}</w:moveFrom><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden </w:t></w:r>"
        f'<w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t>see </w:t></w:r><w:hyperlink r:id="x">{run.format("the page")}</w:hyperlink>.'
        f"<w:fldSimple>{run.format(' 5')}</w:fldSimple><w:r><w:instrText>PAGE</w:instrText><w:tab/><w:t>x</w:t><w:br/><w:t>y</w:t></w:r></w:p>"
        "<w:tbl><w:tr><w:trPr><w:del/></w:trPr><w:tc><w:p/></w:tc></w:tr></w:tbl>"
        "<w:sdt><w:sdtPr><w:docPartObj><w:docPartGallery w:val='Table of Contents'/></w:docPartObj></w:sdtPr>"
        f"<w:sdtContent>{p('Toc')}</w:sdtContent></w:sdt>"
        f"<w:sdt><w:sdtContent>{p('A control')}</w:sdtContent></w:sdt>"
    )
    assert load(docx(body)).text == "We now see the page 5 x\ny\n\nA control"


def test_notes_stand_behind_their_paragraph_and_text_boxes_too() -> None:
    note = '<w:footnote w:id="1"><w:p><w:r><w:t>See page 9.</w:t></w:r></w:p></w:footnote><w:footnote w:id="0" w:type="separator"/>'
    box = "<wps:txbx><w:txbxContent>{}</w:txbxContent></wps:txbx>"
    anchor = (
        f"<w:r><mc:AlternateContent><mc:Choice>{box.format(p('In a box.'))}</mc:Choice>"
        f"<mc:Fallback><w:pict><v:textbox><w:txbxContent>{p('In a box.')}</w:txbxContent></v:textbox></w:pict></mc:Fallback>"
        "</mc:AlternateContent></w:r>"
    )
    picture = "".join(f'<w:r><w:drawing><wp:docPr descr="{said}"/></w:drawing></w:r>' for said in ("A map of Rome", "image1.png"))
    body = f'<w:p><w:r><w:t>It grew.</w:t></w:r><w:r><w:footnoteReference w:id="1"/></w:r>{anchor}</w:p><w:p>{picture}</w:p>{p("End.")}'
    assert load(docx(body, footnotes=note)).text == "It grew.\n\n[1] See page 9.\n\nIn a box.\n\nA map of Rome\n\nEnd."


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{p(text)}</w:tc>"


def test_tables_with_merged_cells_and_tables_for_layout() -> None:
    down, more = '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    table = (
        f"<w:tbl><w:tr>{cell('Region')}{cell('Year', '<w:gridSpan w:val=' + chr(34) + '2' + chr(34) + '/>')}</w:tr>"
        f"<w:tr>{cell('East', down)}{cell('2023')}{cell('5')}</w:tr><w:tr>{cell('', more)}{cell('2024')}{cell('6')}</w:tr></w:tbl>"
    )
    layout = f"<w:tbl><w:tr><w:tc>{p('Left')}{table}</w:tc><w:tc>{p('Right')}</w:tc></w:tr></w:tbl>"
    document = load(docx(layout))
    assert document.text == "Left\n\nRegion | Year |\nEast | 2023 | 5\nEast | 2024 | 6\n\nRight"
    assert [block.kind for block in document.blocks] == ["paragraph", "table", "paragraph"]


def test_core_properties() -> None:
    core = "<dc:title>The plan</dc:title><dc:creator>Ann</dc:creator><dcterms:created>2024-05-01T10:00:00Z</dcterms:created>"
    document = load(docx(p("x", "1"), core))
    assert (document.title, document.metadata) == ("The plan", {"author": "Ann", "created": "2024-05-01T10:00:00Z"})
    assert load(docx(p("x"), "<dc:title>Microsoft Word - a.doc</dc:title>")).title == "report"


def test_the_strict_form_of_the_standard_is_read() -> None:
    with zipfile.ZipFile(io.BytesIO(docx(p("Start", "1") + p("Text."), styles=STYLES))) as plain:
        parts = {name: plain.read(name) for name in plain.namelist()}
    strict = {name: part.replace(b"http://schemas.openxmlformats.org/wordprocessingml/2006/main", b"http://purl.oclc.org/ooxml/wordprocessingml/main")
              .replace(b"http://schemas.openxmlformats.org/officeDocument/2006/relationships/", b"http://purl.oclc.org/ooxml/officeDocument/relationships/")
              for name, part in parts.items()}  # fmt: skip
    assert load(archive(strict)).blocks[0].kind == "heading"


def test_a_document_without_text_is_none() -> None:
    with pytest.raises(InvalidInput, match=r"^no text$"):
        load(docx("<w:p/>"))


TITLE = 'type="title"'


def test_slides_with_titles_items_and_notes() -> None:
    said = shape("Say this.", "And that.", place='type="body"')
    notes = f"<p:notes SPACES><p:cSld><p:spTree>{said}</p:spTree></p:cSld></p:notes>"
    slides = [
        shape("Kick-off", place='type="ctrTitle"') + shape("A sub", place='type="subTitle"'),
        shape(
            "Rome",
            'lvl="1"@Capital',
            "><a:buNone/>@Plain",
            '><a:buAutoNum type="arabicPeriod"/>@One',
            '><a:buAutoNum type="arabicPeriod"/>@Two',
            place='idx="1"',
        )
        + shape("Boxed")
        + shape("Cities", place=TITLE)
        + shape("7", place='type="sldNum"')
        + shape("Footer", place='type="ftr"'),
        'show="0"@' + shape("Secret", place=TITLE),
        f"<p:grpSp>{shape('No title')}</p:grpSp>",
    ]
    document = load(pptx(slides, parts={"notesSlides/notesSlide2.xml": notes}), "deck.pptx")
    assert document.text == (
        "Kick-off\n\nA sub\n\nCities\n\n- Rome\n  - Capital\n\nPlain\n\n1. One\n2. Two\n\nBoxed\n\nNotes: Say this.\n\nAnd that.\n\nNo title"
    )
    assert [block.page for block in document.blocks] == [1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 4]
    assert document.blocks[-1].headings == ()
    assert document.blocks[-2].headings == ("Cities",)
    assert (document.title, document.metadata) == ("Kick-off", {"slides": 4, "hidden_slides": "3"})


def test_tables_and_charts_on_slides() -> None:
    text = "<a:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></a:txBody>"
    lines = [["Region", "2023"], ["East", "5"], ["", "6"]]
    cells = ["".join(f"<a:tc vMerge='{int(not one)}'>{text.format(one)}</a:tc>" for one in line) for line in lines]
    merged = "".join(f"<a:tr>{row}</a:tr>" for row in cells)
    table = f"<p:graphicFrame><a:graphic><a:graphicData><a:tbl>{merged}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    frame = '<p:graphicFrame><a:graphic><a:graphicData><c:chart xmlns:c="urn:c/chart" r:id="x0"/></a:graphicData></a:graphic></p:graphicFrame>'
    points = "<c:{0}><c:strRef><c:strCache><c:pt idx='0'><c:v>{1}</c:v></c:pt><c:pt idx='1'><c:v>{2}</c:v></c:pt></c:strCache></c:strRef></c:{0}>"
    series = f"<c:ser><c:tx><c:v>Sold</c:v></c:tx>{points.format('cat', 'East', 'West')}{points.format('val', '3', '4')}</c:ser>"
    chart = f'<c:chartSpace xmlns:c="urn:c/chart" xmlns:a="{A}"><c:title><a:p><a:r><a:t>Sales</a:t></a:r></a:p></c:title>{series}</c:chartSpace>'
    document = load(pptx([table + frame], parts={"charts/chart1.xml": chart}), "deck.pptx")
    assert document.text == "Region | 2023\nEast | 5\nEast | 6\n\nSales\n\n| Sold\nEast | 3\nWest | 4"
