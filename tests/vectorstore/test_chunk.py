"""Chunks cover a document exactly, end where it has joints, and fit the encoder."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vectorstore.chunk import CONTEXT, SIZE, TINY, Chunk, chunks, embedded_text
from vectorstore.load import Block, Fields, Parsed, parse
from vectorstore.token_estimate import cumulative, estimate

SENTENCE = "The server starts when the command is given and all its parts are ready. "


def load(source: str, name: str = "page.md") -> Parsed:
    (document,) = parse(source.encode(), name, Fields())
    assert isinstance(document, Parsed)
    return document


def texts(document: Parsed, size: int = SIZE) -> list[str]:
    return [document.text[chunk.start : chunk.end] for chunk in chunks(document, size=size)]


def assert_exact(document: Parsed, found: list[Chunk]) -> None:
    at = 0
    for chunk in found:
        text = document.text[chunk.start : chunk.end]
        assert text
        assert text == text.strip()
        assert chunk.start >= at
        assert not document.text[at : chunk.start].strip()
        at = chunk.end
    assert not document.text[at:].strip()


TEXT = st.text(alphabet=st.sampled_from("aB9.!。、 \n\t語か_-é😀\u3000\u00a0\u0301한"), max_size=120)


@st.composite
def documents(draw: st.DrawFn) -> Parsed:
    text, blocks = "", []
    for _ in range(draw(st.integers(0, 12))):
        text += draw(st.sampled_from(["", "\n", "\n\n", " stray "]))
        start = len(text)
        text += draw(TEXT)
        kind = draw(st.sampled_from(["heading", "paragraph", "item", "code", "table"]))
        headings = tuple(draw(st.lists(st.sampled_from("ABC"), max_size=3)))
        blocks.append(Block(start, len(text), kind, headings, draw(st.sampled_from([None, 1, 2]))))
    return Parsed("t", text + draw(st.sampled_from(["", " end"])), tuple(blocks), {})


@given(documents(), st.integers(1, 60))
def test_every_character_lies_in_exactly_one_chunk(document: Parsed, size: int) -> None:
    found = chunks(document, size=size)
    assert_exact(document, found)


@given(documents())
def test_a_chunk_is_on_one_page(document: Parsed) -> None:
    pages = {at: block.page for block in document.blocks for at in range(block.start, block.end)}
    for chunk in chunks(document, size=30):
        inside = {pages[at] for at in range(chunk.start, chunk.end) if at in pages and not document.text[at].isspace()}
        assert inside <= {chunk.page} or any(at not in pages for at in range(chunk.start, chunk.end))


@given(st.text(max_size=200))
def test_the_estimate_is_additive_and_knows_white_space(text: str) -> None:
    costs = cumulative(text)
    assert len(costs) == len(text) + 1
    for character, before, after in zip(text, costs, costs[1:], strict=False):
        assert (after == before) == character.isspace()


def test_one_line_is_one_chunk() -> None:
    assert chunks(load("Hello.", "a.txt")) == [Chunk(0, 6, "", None)]


def test_no_text_no_chunk() -> None:
    assert chunks(Parsed("", "  \n", (), {})) == []


def test_chunks_end_with_sections() -> None:
    sections = [f"## Part {n}\n\n{SENTENCE * 4}" for n in range(5)]
    document = load("# Guide\n\n" + "\n\n".join(sections))
    found = chunks(document)
    assert [chunk.heading for chunk in found] == [f"Guide > Part {n}" for n in range(5)]
    assert document.text[found[0].start : found[0].end].startswith("Guide\n\nPart 0\n\nThe server")


def test_a_heading_stays_with_what_follows() -> None:
    document = load(f"# A\n\n{SENTENCE * 9}\n\n## B\n\n### C\n\n{SENTENCE * 30}\n\n## D\n\n" + "x = 1\n\n" * 3 + "# E\n")
    for text in texts(document):
        assert text.splitlines()[-1] not in ("A", "B", "C", "D")


def test_tiny_sections_are_put_together_within_their_part() -> None:
    document = load("# FAQ\n\n" + "\n\n".join(f"## Question {n}?\n\nYes, it does that." for n in range(12)))
    found = texts(document)
    assert 1 < len(found) < 6
    assert all(TINY < estimate(text) <= SIZE for text in found[:-1])


def test_sections_of_a_page_do_not_mix() -> None:
    document = load(f"# One\n\n{SENTENCE * 3}\n\n# Two\n\nShort.\n\n# Three\n\n{SENTENCE * 3}")
    assert [chunk.heading for chunk in chunks(document)] == ["One", "Two", "Three"]


def test_a_long_paragraph_is_cut_at_sentences() -> None:
    found = texts(load(SENTENCE * 40))
    assert all(text.endswith("ready.") and text.startswith("The server") for text in found)
    assert max(map(estimate, found)) <= SIZE
    assert min(map(estimate, found)) > SIZE / 2  # no small rest


def test_code_and_tables_are_cut_at_line_ends() -> None:
    code = "\n".join(f"    value_{n} = compute(first={n}, second={n})" for n in range(60))
    rows = "\n".join(f"| {n}. row. Here | value {n} |" for n in range(90))
    document = load(f"```\n{code}\n```\n\n| a | b |\n|---|---|\n{rows}\n")
    lines = {line.strip() for line in document.text.split("\n")}
    for text in texts(document):
        assert {line.strip() for line in text.split("\n")} <= lines


def test_a_sentence_without_an_end_is_cut_at_white_space_else_anywhere() -> None:
    assert all(set(text.split()) == {"word"} for text in texts(load("word " * 2000)))
    japanese = texts(load("語" * 2000))
    assert "".join(japanese) == "語" * 2000
    assert max(map(len, japanese)) <= SIZE


def test_japanese_is_cut_at_its_sentences() -> None:
    assert all(text.endswith("。") for text in texts(load("サーバーを起動するには、次のコマンドを実行します。" * 40)))


def test_offsets_are_code_points() -> None:
    document = load("😀😀 first\n\n# 𠮷野家\n\n" + SENTENCE * 5)
    assert_exact(document, chunks(document))
    assert texts(document)[0].startswith("😀😀 first\n\n𠮷野家\n\nThe server")


def test_title_and_headings_are_embedded_with_the_text() -> None:
    assert embedded_text("Guide", "Start > Linux", "Run it.") == "Guide > Start > Linux\nRun it."
    assert embedded_text("Guide", "Guide > Linux", "Run it.") == "Guide > Linux\nRun it."
    assert embedded_text("Guide", "Guide > Linux", "Linux\n\nRun it.") == "Guide\nLinux\n\nRun it."
    assert embedded_text("", "", "Run it.") == "Run it."


@given(st.text(max_size=300), st.text(max_size=900), st.text(max_size=20))
def test_the_context_is_short(title: str, heading: str, text: str) -> None:
    embedded = embedded_text(title, heading, text)
    assert embedded.endswith(text)
    assert estimate(embedded[: len(embedded) - len(text)]) <= CONTEXT * 1.2


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "source", [b"x" * 5_000_000, "語".encode() * 1_600_000, b"a. " * 300_000, b"a\n\n" * 200_000], ids=["letters", "han", "sentences", "paragraphs"]
)
def test_time_is_linear(source: bytes) -> None:
    (document,) = parse(source, "a.txt", Fields())
    assert isinstance(document, Parsed)
    began = time.perf_counter()
    found = chunks(document)
    assert time.perf_counter() - began < 10
    assert len(found) > 100
