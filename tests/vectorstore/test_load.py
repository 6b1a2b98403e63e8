"""Which loader reads which file, and how bytes become characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.errors import InvalidInput
from llmops.plugins import names
from vectorstore.load import EXTENSIONS, Failed, Fields, Parsed, loader_for, parse

JAPANESE = "サーバーを起動するには、次のコマンドを実行します。"


def load(content: bytes, name: str = "note.txt") -> Parsed:
    (document,) = parse(content, name, Fields())
    assert isinstance(document, Parsed)
    return document


@pytest.mark.parametrize(
    ("name", "loader"),
    [
        ("a.md", "markdown"),
        ("A.MDX", "markdown"),
        ("x/y.qmd", "markdown"),
        ("a.b.csv", "csv"),
        ("a", None),
        ("a.doc", None),
        (".md", None),
        ("md", None),
    ],
)
def test_the_extension_says_which_loader(name: str, loader: str | None) -> None:
    assert loader_for(name) == loader


def test_every_loader_in_the_table_exists() -> None:
    assert set(EXTENSIONS.values()) <= set(names("loaders"))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"unknown kind of file: '\.doc'"):
        list(parse(b"x", "a.doc", Fields()))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (JAPANESE, "utf-8"),
        (JAPANESE, "utf-8-sig"),
        (JAPANESE, "utf-16"),
        (JAPANESE, "utf-32"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc_jp"),
        (JAPANESE, "iso2022_jp"),
        ("氏名、住所、山田太郎", "cp932"),
        ("Le café est fermé. “Déjà vu” – naïve, 3 €", "cp1252"),
        ("Größe", "latin-1"),
        ("Привет, мир. Это обычный текст на русском языке.", "cp1251"),
        ("Zażółć gęślą jaźń, to jest polski tekst, który ma wiele znaków diakrytycznych.", "cp1250"),
        ("안녕하세요. 서버를 시작하려면 다음 명령을 실행하세요.", "euc_kr"),
    ],
)
def test_encodings(text: str, encoding: str) -> None:
    assert load(text.encode(encoding)).text == text


def test_a_few_broken_bytes_do_not_spoil_a_text() -> None:
    assert load((JAPANESE * 20).encode()[:-1]).text == (JAPANESE * 20)[:-1] + "\ufffd"


@pytest.mark.parametrize(
    "content",
    [
        bytes(100),
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9,
        b"\xff\xfe\x00",
        b"\xff\xfe\x00\xd8",
        b"PK\x03\x04" + bytes(range(256)) * 9,
        b"a\x00b\x01",
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv", "a.jsonl", "a.html"])
def test_what_is_no_text_is_refused(content: bytes, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"^not text in any known encoding$"):
        list(parse(content, name, Fields()))


@pytest.mark.parametrize("content", [b"", b"  \r\n\t", b"\xef\xbb\xbf", "\u3000\n".encode(), "\u200b".encode()[:0]])
def test_an_empty_text_is_no_text(content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^no text$"):
        load(content)


def test_line_ends_and_control_characters() -> None:
    assert load(("a\r\nb\rc\n\n\n" + "d" * 400 + "\x00\u00ad\ufeffe\x0cf").encode()).text == "a\nb\nc\n\n" + "d" * 400 + "e\nf"


def test_wrapped_paragraphs_are_joined_and_meant_lines_are_kept() -> None:
    prose = (
        "This paragraph was wrapped by an editor at seventy columns, so its\n"
        "line ends mean nothing and a sentence should not be cut at them in the\nmiddle."
    )
    poem = "Two roads diverged in a yellow wood,\nAnd sorry I could not travel both"
    listing = "Shopping, which is a longer line than any of the items that follow here:\n- bread\n- milk"
    assert load(f"{prose}\n\n{poem}\n\n{listing}".encode()).text == f"{prose.replace(chr(10), ' ')}\n\n{poem}\n\n{listing}"


@given(
    st.sampled_from(sorted(EXTENSIONS)),
    st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))),
)
def test_any_bytes_are_read_or_refused(extension: str, content: bytes) -> None:
    try:
        documents = list(parse(content, f"a{extension}", Fields()))
    except InvalidInput:
        return
    for document in documents:
        if isinstance(document, Failed):
            assert document.error
            continue
        assert_sound(document)


BITS = """# |- |1. |> |    |```~|*|**|`|[|](x)|!|<b>|</b>|<div>~|<A b={1}>|<!--|-->|:::|:::note[x]~|!!! note~|{{<|>}}|{.x}|import a from 'b'~|---~
|a: b~|語|word |。|&#0;|&#xd800;|<pre>|<table><td>|~|~~"""
MARKUP = st.lists(st.sampled_from(["\t", "|a|b|\n|-|-|\n", *BITS.replace("\n", "").replace("~", "\n").split("|")]), max_size=30).map("".join)


@given(st.sampled_from([".md", ".mdx", ".qmd", ".html"]), MARKUP)
def test_any_markup_is_read_or_empty(extension: str, source: str) -> None:
    try:
        assert_sound(load(source.encode(), f"a{extension}"))
    except InvalidInput as error:
        assert str(error) == "no text"


def assert_sound(document: Parsed) -> None:
    """The blocks cover the text in order, and every store can hold it."""
    assert document.text.strip()
    at = 0
    for block in document.blocks:
        assert at <= block.start < block.end
        assert not document.text[at : block.start].strip()
        at = block.end
    assert not document.text[at:].strip()
    everything = document.text + document.title + (document.id or "") + repr(document.metadata) + "".join(document.blocks[0].headings)
    assert "\x00" not in everything
    assert "\r" not in document.text
    everything.encode()
