"""Markdown in the dialects of plain Markdown, MkDocs, Docusaurus and Quarto becomes what a reader of the page sees."""

from __future__ import annotations

from textwrap import dedent

import pytest

from llmops.errors import InvalidInput
from vectorstore.load import Fields, Parsed, parse


def load(source: str, name: str = "page.md") -> Parsed:
    (document,) = parse(dedent(source).encode(), name, Fields())
    assert isinstance(document, Parsed)
    return document


def text(source: str, name: str = "page.md") -> str:
    return load(source, name).text


def test_headings_paragraphs_and_inline_marks() -> None:
    document = load(
        """\
        # Start *here*

        A **bold** word, `code`, a [link](http://x/) and ![a picture](x.png),
        wrapped over
        two lines.\\
        A hard end.

        Setext
        ------
        x &amp; y \\*z\\*
        """
    )
    assert document.text == ("Start here\n\nA bold word, code, a link and a picture, wrapped over two lines.\nA hard end.\n\nSetext\n\nx & y *z*")
    assert document.title == "Start here"
    assert [(block.kind, block.headings) for block in document.blocks] == [
        ("heading", ("Start here",)),
        ("paragraph", ("Start here",)),
        ("heading", ("Start here", "Setext")),
        ("paragraph", ("Start here", "Setext")),
    ]
    assert [document.text[block.start : block.end] for block in document.blocks] == document.text.split("\n\n")


def test_japanese_lines_are_joined_without_a_space() -> None:
    assert text("サーバーを\n起動する。LLM\nを使う。한국어\n문장") == "サーバーを起動する。LLM を使う。한국어 문장"


def test_lists_nest_and_number() -> None:
    source = """\
        Before:

        - one
          goes on
        - two
            1. first
            2. second

               still second
        - three

        After.
        """
    assert text(source) == "Before:\n\n- one goes on\n- two\n  1. first\n  2. second\n    still second\n- three\n\nAfter."


def test_code_is_kept_as_it_is() -> None:
    document = load("a\n\n```python\n    x = 1\n\n\n    y = **2\n```\n\n    indented\n")
    assert document.text == "a\n\n    x = 1\n\n\n    y = **2\n\nindented"
    assert [block.kind for block in document.blocks] == ["paragraph", "code", "code"]


def test_a_table_has_a_line_for_each_row() -> None:
    assert text("| a | b |\n|---|:-:|\n| `c` | **d** <br/> e |\n| | |\n| \\| | f |\n") == "a | b\nc | d e\n| | f"


def test_front_matter_gives_title_and_metadata() -> None:
    document = load(
        """\
        ---
        title: "How to start"
        year: 2024
        draft: false
        date: 2024-05-01
        score: .nan
        tags: [a, b]
        nothing:
        ---
        # Heading
        x
        """
    )
    assert document.title == "How to start"
    assert document.metadata == {"year": 2024, "draft": False, "date": "2024-05-01"}
    assert document.text == "Heading\n\nx"


@pytest.mark.parametrize(
    ("source", "title", "expected"),
    [
        ("---\ntitle: A: b\n---\nx", "A: b", "x"),  # not YAML
        ("---\n\n---\nx", "page", "x"),
        ("---\na sentence\n---\nx", "a sentence", "a sentence\n\nx"),  # a rule and a heading
        ("no title", "page", "no title"),
        ("---\ntitle: x", "page", "title: x"),  # never closed
    ],
)
def test_where_the_title_comes_from(source: str, title: str, expected: str) -> None:
    document = load(source)
    assert (document.title, document.text) == (title, expected)


def test_html_in_markdown() -> None:
    source = """\
        <!-- hidden -->
        <details><summary>More</summary>

        Use <kbd>Ctrl</kbd>+C, your <your key> and a<br>b <!-- no --> c.

        <p align="center"><img src="x" alt="Logo"></p>
        <script>alert(1)</script>

        </details>
        """
    assert text(source) == "More\n\nUse Ctrl+C, your <your key> and a\nb  c.\n\nLogo"


def test_mkdocs() -> None:
    source = """\
        !!! note "Mind the gap"
            Inside *here*.

            ```py
            x = 1
            ```

        === "Linux"

            apt

        See [`Agent.run()`][pkg.agent.Agent.run] and a[0][1].{ .class }
        """
    assert text(source) == "Mind the gap\n\nInside here.\n\nx = 1\n\nLinux\n\napt\n\nSee Agent.run() and a[0][1].{ .class }"


def test_mdx() -> None:
    source = """\
        ---
        title: Page
        ---
        import Tabs from '@theme/Tabs';
        import {
          A,
        } from "b";

        export const x = 1;

        import os is a module of Python.

        {/* hidden
        comment */}

        :::note[Look at `this`]

        Inside.
        :::

        <Tabs>
          <TabItem value="py" label="Python">
            ```python
            import os
            x = <A />
            ```
          </TabItem>
        </Tabs>

        Text <Badge text="new" style={{color: 'red'}} /> in <b>line</b> {/* no */}here.

        <ClickableImage src="/x.png" alt="The flow" size="large" />

        <CodeBlock language="python" title="One">{`def f():

            return 1`}</CodeBlock>

        a < b and b > c
        """
    assert text(source, "page.mdx") == (
        "import os is a module of Python.\n\nLook at this\n\nInside.\n\nPython\n\nimport os\nx = <A />\n\n"
        "Text  in line here.\n\nThe flow\n\nOne\n\ndef f():\n\n    return 1\n\na < b and b > c"
    )


def test_quarto() -> None:
    source = """\
        ---
        title: Quarto
        ---
        ## Section {#sec-a .unlisted}

        ::: {.callout-note title="Careful"}
        Inside [marked *text*]{.mark}. []{#anchor}
        :::

        {{< include _part.md >}}

        ```{python}
        #| label: x
        print(1)
        ```

        ```{python}
        #| echo: false
        hidden()
        ```

        ![Picture](a.png){.border width="50%"}

        | a | b |
        |---|---|
        | c | d |
        : Caption {.borderless}

        +-----+-----+
        | one | two |
        +=====+=====+
        | a   | b   |
        | c   |     |
        +-----+-----+
        """
    assert text(source, "page.qmd") == (
        "Section\n\nCareful\n\nInside marked text.\n\nprint(1)\n\nPicture\n\na | b\nc | d\nCaption\n\none | two\na c | b"
    )


@pytest.mark.parametrize("source", ["", " \n\n", "---\ntitle: only\n---\n", "<!-- x -->", "import x from 'y'", "\ufeff"])
def test_an_empty_text_is_no_text(source: str) -> None:
    with pytest.raises(InvalidInput, match=r"^no text$"):
        load(source, "page.mdx")


@pytest.mark.parametrize(
    "source", ["[" * 5000, "![" * 3000, "> " * 3000 + "x", "*a " * 5000, "- " * 3000 + "x", "a <!-- " * 3000, "<A b={" * 3000, "a {{< " * 3000]
)
@pytest.mark.parametrize("name", ["a.md", "a.mdx", "a.qmd"])
@pytest.mark.timeout(20)
def test_hostile_markup_ends_soon(source: str, name: str) -> None:
    try:
        load(source, name)
    except InvalidInput as error:
        assert str(error).startswith(("no text", "nested too deeply"))


@pytest.mark.parametrize("deep", ["> " * 5000 + "x", "- " * 5000 + "x", "\n".join("  " * n + f"- item {n}" for n in range(400))])
def test_what_nests_too_deeply_is_refused_and_not_cut(deep: str) -> None:
    with pytest.raises(InvalidInput, match=r"^nested too deeply: line \d+$"):
        load(deep)


@pytest.mark.parametrize("deep", ["> " * 50 + "x", "\n".join("  " * n + f"- item {n} x" for n in range(25))])
def test_what_nests_deeply_is_read_whole(deep: str) -> None:
    assert text(deep).count("x") == deep.count("x")
