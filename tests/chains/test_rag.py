"""The RAG chain: cited answers, honest abstention, several turns, any OpenAI-compatible model, and the record of it all."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress
from dataclasses import dataclass

import pytest
from sqlalchemy import select

from chains import records, traces
from chains.evidence import NOTHING_FOUND
from chains.flow import Ask, Chains, open_rooms
from chains.tables import answers
from llmops import plugins
from llmops.errors import InvalidInput, ProviderError, UnknownName
from llmops.gateway.extractive import NO_ANSWER
from llmops.home import Home
from llmops.settings import Settings
from llmops.store.tables import outbox
from llmops.testing import ScriptedModel
from llmops.types import Answer, Asker, ChatChunk, Usage
from tests.crash import LLMOPS, crash_at

OWNER = Asker("poc", owner=True, role="admin")
ALICE = Asker("poc", frozenset({"user:alice"}), name="alice")
PAGES = {
    "server.md": "# Server\n\nThe server listens on port 8000. To stop the server, send SIGTERM to its process.\n",
    "ja.md": "# サーバー\n\nサーバーを停止するには Ctrl-C を押します。サーバーは既定でポート 8000 を使います。\n",
    "tea.md": "# Tea\n\nGreen tea is brewed at eighty degrees. Black tea is brewed with boiling water.\n",
}


@pytest.fixture
def asked(home: Home, cli, tmp_path):
    """Ask the chain in this process; returns (pieces, answer)."""
    ingest(cli, tmp_path)

    def ask(*turns: str, asker: Asker = OWNER, chain: str = "rag", **options):
        messages = tuple({"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(turns))
        return asyncio.run(_ask(home, chain, Ask(messages, asker, **options)))

    return ask


def ingest(cli, tmp_path, *arguments):
    folder = tmp_path / "pages"
    folder.mkdir(exist_ok=True)
    for name, text in PAGES.items():
        (folder / name).write_text(text, encoding="utf-8")
    assert cli("ingest", folder, "--collection", "docs", *arguments).rc == 0


async def _ask(home, chain, ask):
    pieces, answer = [], None
    async with open_rooms(home) as rooms, aclosing(Chains(rooms).ask(chain, ask)) as stream:
        async for piece in stream:
            if isinstance(piece, Answer):
                answer = piece
            else:
                pieces.append(piece)
    assert "".join(pieces) == answer.text
    return pieces, answer


def row(home, answer_id):
    return home.store.read(lambda c: dict(c.execute(select(answers).where(answers.c.id == answer_id)).mappings().one()))


@pytest.mark.parametrize(
    ("question", "document", "words"),
    [
        ("How do I stop the server?", "server.md", "send SIGTERM"),
        ("サーバーを停止するにはどうすればよいですか？", "ja.md", "Ctrl-C を押します"),
        ("At what temperature is green tea brewed?", "tea.md", "eighty degrees"),
    ],
)
def test_an_answer_cites_the_sentence_it_rests_on(asked, home, question, document, words):
    _, answer = asked(question)
    assert words in answer.text and not answer.abstained
    cited = next(citation for citation in answer.citations if words in citation.text)
    assert cited.external_id == document and answer.text[cited.answer_start : cited.answer_end] == cited.text
    from vectorstore import documents

    text = home.store.read(lambda c: documents.text(c, OWNER, cited.document_id))["text"]
    assert text[cited.start : cited.end] == cited.text


@pytest.mark.parametrize("question", ["Who won the world cup of 1954?", "富士山の高さは何メートルですか。"])
def test_it_abstains_when_the_documents_do_not_answer(asked, home, question):
    pieces, answer = asked(question)
    assert answer.abstained and answer.citations == () and len(pieces) == 1
    kept = row(home, answer.answer_id)
    assert kept["abstained"] and kept["model"] == "none" and kept["cost"] == 0


def test_a_follow_up_leans_on_the_turn_before(asked):
    _, answer = asked("How is black tea brewed?", "With boiling water. [1]", "And the green one?")
    assert "eighty degrees" in answer.text


def test_a_follow_up_asks_for_something_else_than_the_turn_before(asked):
    _, answer = asked("How is green tea brewed?", "At eighty degrees. [1]", "And on which port does the server listen?")
    assert "8000" in answer.text and "tea" not in answer.text


@pytest.mark.parametrize("declined", [NOTHING_FOUND, NO_ANSWER])
def test_a_turn_without_an_answer_spoils_none_after_it(asked, declined):
    _, answer = asked("How do I bake bread?", declined, "And how do I stop the server?")
    assert "SIGTERM" in answer.text


@pytest.mark.parametrize("words", ["hello", "Thanks!", "1+1?", "???", "ありがとうございます。"])
def test_what_asks_nothing_is_not_answered_from_the_documents(asked, words):
    assert asked(words)[1].abstained
    assert asked("How is black tea brewed?", "With boiling water. [1]", words)[1].abstained


def test_the_record_says_everything(asked, home):
    _, answer = asked("How do I stop the server?", parameters={"temperature": 0}, filter={"source": "pages"})
    kept = row(home, answer.answer_id)
    assert kept["question"] == "How do I stop the server?" and kept["asker"] == "owner" and kept["state"] == "complete"
    assert kept["prompt"].startswith("rag-answer@library-") and kept["route"] == "default" and kept["model"] == "extractive"
    assert (kept["collection"], kept["seq"]) == ("docs", answer.snapshot.seq) and kept["filter"] == {"source": "pages"}
    assert len(kept["query_vector"]) == 4 * 384 and kept["parameters"]["temperature"] == 0
    assert {"chunk_id", "document_id", "version", "start", "end", "score"} <= set(kept["passages"][0])
    assert kept["reply"] == answer.text and len(kept["citations"]) == len(answer.citations)
    assert {"embed", "scan", "rows", "model"} <= set(kept["timings"]) and kept["tokens_out"] > 0 and kept["configuration"]
    told = home.store.read(lambda c: c.execute(select(outbox.c.key)).scalars().all())
    trace = traces.trace_of(kept)
    assert told[-1] == trace["answer_id"] == answer.answer_id and "SIGTERM to its process" not in json.dumps(trace["spans"])
    assert [span["name"] for span in trace["spans"]] == ["embed", "plan", "scan", "rows", "model"]


def test_t10_an_answer_never_rests_on_what_the_asker_may_not_read(cli, home, tmp_path):
    ingest(cli, tmp_path, "--acl", "user:alice")
    allowed = asyncio.run(_ask(home, "rag", Ask(({"role": "user", "content": "How do I stop the server?"},), ALICE)))[1]
    assert "SIGTERM" in allowed.text
    mallory = Asker("poc", frozenset({"user:mallory"}), name="mallory")
    refused = asyncio.run(_ask(home, "rag", Ask(({"role": "user", "content": "How do I stop the server?"},), mallory)))[1]
    assert refused.abstained
    assert home.store.read(lambda c: records.show(c, ALICE, allowed.answer_id))["reply"] == allowed.text
    with pytest.raises(UnknownName):
        home.store.read(lambda c: records.show(c, mallory, allowed.answer_id))
    ingest(cli, tmp_path, "--acl", "user:bob")
    with pytest.raises(UnknownName):  # rights are those of today, for answers of yesterday too
        home.store.read(lambda c: records.show(c, ALICE, allowed.answer_id))


def test_t10_an_answer_after_earlier_turns_is_its_askers_alone(cli, home, tmp_path):
    """Its reply may repeat what stood in them, and that may come from documents which this answer does not name."""
    ingest(cli, tmp_path)
    talk = ("What is the password?", "It is zanzibar.", "How do I stop the server?")
    messages = tuple({"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(talk))
    alice, bob = (Asker("poc", frozenset({f"user:{name}", "workspace:poc"}), name=name) for name in ("alice", "bob"))
    answer = asyncio.run(_ask(home, "rag", Ask(messages, alice)))[1]
    assert not answer.abstained and home.store.read(lambda c: records.show(c, alice, answer.answer_id))["messages"]
    with pytest.raises(UnknownName):
        home.store.read(lambda c: records.show(c, bob, answer.answer_id))
    single = asyncio.run(_ask(home, "rag", Ask(messages[-1:], alice)))[1]
    assert home.store.read(lambda c: records.show(c, bob, single.answer_id))["reply"] == single.text


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"turns": ("   ",)}, InvalidInput, "the question is empty"),
        ({"turns": ("x" * 1_000_000,)}, InvalidInput, "1,000,000 characters"),
        ({"turns": ("hello", "hi")}, InvalidInput, "not the user's"),
        ({"turns": ("hello",), "chain": "rga"}, UnknownName, "unknown chain"),
        ({"turns": ("hello",), "collection": "nope"}, UnknownName, "unknown collection"),
        ({"turns": ("hello",), "k": 0}, InvalidInput, "k is 0"),
        ({"turns": ("stop the server",), "route": "nope"}, UnknownName, "unknown route"),
    ],
)
def test_bad_input(asked, options, error, says):
    with pytest.raises(error, match=says):
        asked(*options.pop("turns"), **options)


@pytest.fixture
def scripted(monkeypatch, tmp_path, settings):
    """A home whose route goes to a model that says what it is told to."""
    models: list[ScriptedModel] = []
    monkeypatch.setitem(plugins._registered, ("providers", "scripted"), lambda target, context: models[0])
    (tmp_path / "llmops.toml").write_text(
        '[[routes]]\nname = "default"\n[[routes.targets]]\nprovider = "scripted"\nmodel = "m"\n'
        '[[models]]\nname = "scripted"\ninput = 1.0\noutput = 2.0\n'
    )

    def use(*replies: str) -> Home:
        models[:] = [ScriptedModel(*replies)]
        return Home(Settings.load())

    yield use, models


def test_a_language_model_gets_the_passages_and_is_held_to_them(cli, tmp_path, scripted):
    use, models = scripted
    ingest(cli, tmp_path)
    with use("Send SIGTERM to its process to stop the server. [1] The moon landing was in 1969 by the way. [42]") as home:
        _, answer = asyncio.run(_ask(home, "rag", Ask(({"role": "user", "content": "How do I stop the server?"},), OWNER)))
        assert "[42]" not in answer.text and "[1]" in answer.text
        assert answer.groundedness < 1
        sent = models[0].seen[0]
        assert sent.messages[0]["role"] == "system" and "[1] " in sent.messages[-1]["content"] and "SIGTERM" in sent.messages[-1]["content"]


@dataclass
class Verbose:
    """A provider whose words are longer, and its counts larger, than any column."""

    fails: bool

    async def stream(self, request):
        yield ChatChunk("Send SIGTERM. [1] Then wait", model="m" * 5000 + "\0")
        if self.fails:
            raise ProviderError("it failed\0 " * 2000)
        yield ChatChunk(finish_reason="because " * 100 + "\0", usage=Usage(2**40, 2**40))


@pytest.mark.parametrize("fails", [False, True])
def test_a_providers_endless_words_lose_no_answer(store_home, cli, tmp_path, monkeypatch, fails):
    ingest(cli, tmp_path)
    monkeypatch.setitem(plugins._registered, ("providers", "verbose"), lambda target, context: Verbose(fails))
    (tmp_path / "llmops.toml").write_text('[[routes]]\nname = "default"\n[[routes.targets]]\nprovider = "verbose"\n')
    messages = (
        {"role": "user", "content": "Why?\0"},
        {"role": "assistant", "content": "\ud800"},
        {"role": "user", "content": "How do I stop the server?"},
    )
    with Home(Settings.load()) as home:
        with suppress(ProviderError):
            asyncio.run(_ask(home, "rag", Ask(messages, OWNER)))
        kept = home.store.read(lambda c: c.execute(select(answers)).mappings().one())
    assert kept["state"] == ("partial" if fails else "complete") and kept["reply"].startswith("Send SIGTERM.")
    assert len(kept["model"]) == 200 and (fails or (len(kept["finish_reason"]), kept["tokens_in"]) == (64, 2**31 - 1))
    assert not fails or len(kept["error"]) == 2000


FAILPOINTS = {"answer.searched": 0, "answer.said": 0, "answer.recording": 0, "answer.recorded": 1}


@pytest.mark.parametrize(("failpoint", "rows"), FAILPOINTS.items())
def test_t34_an_answer_killed_at_a_failpoint_is_on_record_or_was_never_finished(store_home, cli, tmp_path, failpoint, rows):
    ingest(cli, tmp_path)
    crash_at(failpoint, ["ask", "How do I stop the server?"], program=LLMOPS, cwd=tmp_path)
    kept = store_home.store.read(lambda c: c.execute(select(answers.c.id, answers.c.state)).all())
    told = store_home.store.read(lambda c: c.execute(select(outbox.c.key)).scalars().all())
    assert len(kept) == rows and told == [row.id for row in kept]
    assert cli("ask", "How do I stop the server?").rc == 0
