"""Citations: markers are checked, offsets are exact, and no sentence leaves before it is whole."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chains.citations import Citer
from llmops.text import sentences
from llmops.types import Passage, Quote

TEXTS = (
    "The server listens on port 8000. It stops on SIGTERM. An idle server exits at once.",
    "サーバーは llmops serve で起動します。停止するには Ctrl-C を押します。",
)
PASSAGES = [Passage(f"chk_{n}", f"doc_{n}", f"page-{n}.md", "docs", "Page", text, 100, 100 + len(text)) for n, text in enumerate(TEXTS)]


def cite(reply: str, *, pieces: int = 1) -> Citer:
    citer = Citer(PASSAGES)
    size = max(1, len(reply) // pieces)
    said = "".join(citer.feed(reply[at : at + size]) for at in range(0, len(reply), size)) + citer.finish()
    assert said == citer.text
    return citer


def test_a_marker_becomes_a_citation_of_the_sentence():
    citer = cite("It stops on SIGTERM. [1] 停止するには Ctrl-C を押します。[2]")
    first, second = citer.citations
    assert first.text == "It stops on SIGTERM." and TEXTS[0][first.start - 100 : first.end - 100] == first.text
    assert citer.text[first.answer_start : first.answer_end] == "It stops on SIGTERM."
    assert second.text == "停止するには Ctrl-C を押します。" and second.document_id == "doc_1"
    assert citer.text[second.answer_start : second.answer_end] == "停止するには Ctrl-C を押します。"
    assert citer.groundedness == 1.0


def test_t44_a_marker_that_names_no_passage_is_taken_out():
    citer = cite("The moon is made of cheese. [7] It stops on SIGTERM. [1][99]")
    assert citer.text == "The moon is made of cheese. It stops on SIGTERM. [1]"
    assert {citation.document_id for citation in citer.citations} == {"doc_0"}


def test_a_marker_inside_the_full_stop_and_lists_of_numbers():
    citer = cite("The server listens on port 8000 [1, 2]. Nothing else is known here [0].")
    assert [citation.marker for citation in citer.citations] == [1, 2]
    assert "[0]" not in citer.text


def test_a_list_of_numbers_behind_the_full_stop_belongs_to_its_sentence():
    citer = cite("It stops on SIGTERM. [1, 2] An idle server exits at once.")
    assert citer.text == "It stops on SIGTERM. [1][2] An idle server exits at once. [1]"
    assert [citation.marker for citation in citer.citations] == [1, 2, 1]


def test_a_supported_sentence_without_marker_gets_one():
    assert cite("The server listens on port 8000.").text == "The server listens on port 8000. [1]"
    assert cite("Bananas are rich in potassium and taste sweet.").citations == []


def test_code_is_left_alone():
    reply = "```python\nvalues[1] = items[0]\n```\n"
    assert cite(reply).text == reply


PIECES = st.lists(
    st.sampled_from(
        [
            "It stops on SIGTERM.",
            " [1]",
            "[2]",
            "[1, 2]",
            " ",
            "\n",
            "Yes!",
            "停止します。",
            "[9]",
            "e.g. this",
            "3.5",
            "[x]",
            "```\n",
            "[",
            "]",
            "　[1]",
            "? ",
        ]
    ),
    max_size=20,
)


def check_streaming(parts):
    reply = "".join(parts)
    whole = cite(reply)
    for pieces in (3, len(reply) or 1):
        streamed = cite(reply, pieces=pieces)
        assert (streamed.text, streamed.citations) == (whole.text, whole.citations)
    for citation in whole.citations:
        passage = PASSAGES[citation.marker - 1]
        assert citation.chunk_id == passage.chunk_id
        assert passage.text[citation.start - 100 : citation.end - 100] == citation.text
        assert 0 <= citation.answer_start < citation.answer_end <= len(whole.text)


@given(PIECES)
@example(["It stops on SIGTERM.", "\n", " [1]", " [1]", "It stops on SIGTERM."])
@settings(max_examples=300)
def test_t44_streaming_changes_nothing_and_cites_only_what_was_retrieved(parts):
    check_streaming(parts)


@pytest.mark.prove(20_000)
@given(PIECES)
@settings(max_examples=20_000)
def test_t44_streaming_changes_nothing_in_replies_drawn_at_random(parts):
    check_streaming(parts)


@pytest.mark.parametrize(
    ("reply", "text", "markers"),
    [
        ("X [1], [2].", "X. [1][2]", [1, 2]),
        ("According to [1], it stops.", "According to [1], it stops.", [1]),
        ("[1] Title\n[2] Uploads\n", "[1] Title\n[2] Uploads\n", [1, 2]),
        ("use items[0].", "use items[0].", []),
        ("Figure [3] shows 5 apples. (see [9]) Yes.", "Figure shows 5 apples. (see) Yes.", []),
        ("サーバーは止まります【2】。次です。", "サーバーは止まります。 [2]次です。", [2]),
        ("It stops on SIGTERM.【1】 Then.", "It stops on SIGTERM. [1] Then.", [1]),
        ("Press [1] | drains [9]\na | b\n", "Press [1] | drains\na | b\n", [1]),
    ],
)
def test_t44_markers_of_every_make_are_read_or_left(reply, text, markers):
    citer = cite(reply)
    assert citer.text == text and [citation.marker for citation in citer.citations] == markers


def test_a_reply_without_an_end_costs_no_more_than_another(monkeypatch):
    from chains import citations

    scanned = 0

    def counted(text):
        nonlocal scanned
        scanned += len(text)
        return sentences(text)

    monkeypatch.setattr(citations, "sentences", counted)
    reply = "item, " * 4000
    citer = cite(reply, pieces=4000)
    assert citer.text == reply.rstrip() or citer.text == reply
    assert scanned < 4000 * citations.LONGEST * 1.1


@pytest.mark.parametrize("reply", ["item, " * 400, "x" * 2300, "語" * 2100 + "。次。", "a. " * 800, "y" * 1999 + ". Then. [1]"])
def test_t44_a_long_sentence_streams_as_it_stands_whole(reply):
    check_streaming([reply])


def test_brackets_that_are_the_texts_own_stay_and_cite_nothing():
    citer = Citer(PASSAGES)
    said = citer.quote(Quote("The server listens on port 8000.", 1)) + citer.quote(Quote("see values[2] and arr[0]", 2))
    assert said == citer.text == "The server listens on port 8000. [1] see values[2] and arr[0] [2]"
    assert [citation.marker for citation in citer.citations] == [1, 2] and citer.text[citer.citations[1].answer_start :].startswith("see values")
    generated = cite("Then read values[2] and the server stops on SIGTERM. [1]")
    assert generated.text == "Then read values[2] and the server stops on SIGTERM. [1]"
    assert [citation.marker for citation in generated.citations] == [1]


def test_markers_inside_a_sentence_count_where_they_stand_free():
    citer = cite("It listens on port 8000 [1], and サーバー is started by llmops serve [2].")
    assert [citation.marker for citation in citer.citations] == [1, 2]


def test_a_sentence_ends_before_a_marker_that_follows_it_at_once():
    text = "It stops on SIGTERM.[1] An idle server exits.[2][3] Done"
    assert [text[start:end] for start, end in sentences(text)] == [
        "It stops on SIGTERM.[1]",
        "An idle server exits.[2][3]",
        "Done",
    ]
