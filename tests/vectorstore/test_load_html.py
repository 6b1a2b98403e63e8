"""HTML pages become the text of their main part."""

from __future__ import annotations

import pytest

from llmops.errors import InvalidInput
from vectorstore.load import Fields, Parsed, parse


def load(source: str | bytes) -> Parsed:
    content = source if isinstance(source, bytes) else source.encode()
    (document,) = parse(content, "folder/page.html", Fields())
    assert isinstance(document, Parsed)
    return document


PAGE = """<!doctype html><html><head><title> The
 page </title><style>p{}</style><script>x()</script></head><body>
<header>Site</header><nav><ul><li>Menu</li></ul></nav>
<main><h1>Start <em>here</em></h1><nav>On this page</nav>
<p>One   paragraph,
with <b>bold</b>, <a href="x">a link</a> and &lt;tags&gt;.<br>Next line.<!-- no --></p>
<ul><li>one</li><li>two <ol><li>first</li><li>second<p>more</p></li></ol></li></ul>
<pre>  x = 1
    y</pre>
<table><caption>Prices</caption><thead><tr><th>Name</th><th>USD</th></tr></thead><tr><td>a <b>b</b></td><td>1<br>2</td></tr></table>
<h2>Sub</h2>loose text<template>t</template><form>Search</form><p hidden>h</p><img alt="Logo">
</main><footer>Imprint</footer></body></html>"""


def test_a_page() -> None:
    document = load(PAGE)
    assert document.title == "The page"
    assert document.text == (
        "Start here\n\nOne paragraph, with bold, a link and <tags>.\nNext line.\n\n- one\n- two\n  1. first\n  2. second\n    more\n\n"
        "  x = 1\n    y\n\nPrices\n\nName | USD\na b | 1 2\n\nSub\n\nloose text\n\nLogo"
    )
    assert [block.kind for block in document.blocks].count("item") == 5
    assert document.blocks[-1].headings == ("Start here", "Sub")


def test_articles_where_there_is_no_main_part() -> None:
    articles = "<article><header><h1>A</h1></header>one<article>nested</article></article><article>two</article>"
    page = f"<body><nav>Menu</nav>{articles}<aside>ad</aside></body>"
    assert load(page).text == "A\n\none\n\nnested\n\ntwo"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<nav>Menu</nav><p>x</p>", "x"),
        ("<nav>Menu</nav>", "Menu"),  # there is nothing else
        ("<p>10<sup>23</sup>, m<sup><b>2</b></sup>, 1<sup>st</sup>, H<sub>2</sub>O", "10^23, m^2, 1st, H2O"),
        ("<article><h2>10<sup>-9</sup> m</h2><aside><p>A box.</p></aside>x</article>", "10^-9 m\n\nA box.\n\nx"),
        ("<main></main><p>outside</p>", "outside"),  # nothing in it
        ("just text", "just text"),
        ("<p>a<p>b<td>c", "a\n\nb\n\nc"),  # never closed
        ("<table><tr><td><table><tr><td>in<td>ner</table><td>right</table>", "in | ner\n\nright"),  # a table for layout
        ('<?xml version="1.0" encoding="utf-16"?><html><body>x</body></html>', "x"),
        ("<div>" * 1500 + "deep" + "</div>" * 1500, "deep"),
    ],
)
def test_odd_pages(source: str, expected: str) -> None:
    assert load(source).text == expected


def test_the_declared_encoding_is_used() -> None:
    assert load('<meta charset="shift_jis"><p>起動</p>'.encode("shift_jis")).text == "起動"
    assert load(b'<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-7"><p>\xe1\xe2</p>').text == "αβ"
    assert load('<meta charset="no-such"><p>起動</p>'.encode()).text == "起動"


def test_a_page_that_the_parser_would_cut_is_refused() -> None:
    with pytest.raises(InvalidInput, match="nested too deeply"):
        load("<p>start</p>" + "<div>" * 3000 + "deep")


@pytest.mark.parametrize("source", ["", " ", "<html></html>", "<script>x</script>", "<title>t</title>", "<!-- x -->"])
def test_an_empty_page_is_no_text(source: str) -> None:
    with pytest.raises(InvalidInput, match=r"^no text$"):
        load(source)
