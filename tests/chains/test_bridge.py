"""The LangChain face, used as a LangChain developer would: in pipelines, in an agent, awaited or not, streamed or not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from sqlalchemy import select

from chains.bridge import GatewayChatModel, LLMOpsRetriever, chain_runnable
from chains.flow import Chains, open_rooms
from chains.tables import answers
from llmops import plugins
from llmops.errors import AllTargetsFailed, InvalidInput, LLMOpsError, ProviderError, ProviderRefused, UnknownName
from llmops.gateway.gateway import Gateway
from llmops.home import Home
from llmops.settings import Settings
from llmops.testing import FaultyProvider, ScriptedModel
from llmops.types import Asker, ChatChunk, ChatRequest, Usage
from tests.chains.test_rag import OWNER, ingest
from vectorstore import documents
from vectorstore.search import Searcher

QUESTION = "How do I stop the server?"
PROMPT = ChatPromptTemplate([("system", "Answer from these texts:\n{texts}"), ("human", "{question}")])


def texts(found) -> str:
    return "\n\n".join(document.page_content for document in found)


def gateway_to(tmp_path: Path, provider: str, model: str = "m", base_url: str = "") -> Gateway:
    """A gateway with one route, `default`, to one target."""
    target = f'provider = "{provider}"\nmodel = "{model}"\n' + (f'base_url = "{base_url}"\n' if base_url else "")
    (tmp_path / "llmops.toml").write_text(f'[[routes]]\nname = "default"\n[[routes.targets]]\n{target}')
    return Gateway(Settings.load(), lambda: pytest.fail("no encoder is needed"))


@pytest.fixture
def scripted(monkeypatch, tmp_path, settings) -> Callable[..., tuple[ScriptedModel, Gateway]]:
    """A gateway whose route goes to a model that says what it is told to, and that model."""

    def make(*replies: str | LLMOpsError) -> tuple[ScriptedModel, Gateway]:
        model = ScriptedModel(*replies)
        monkeypatch.setitem(plugins._registered, ("providers", "scripted"), lambda target, context: model)
        return model, gateway_to(tmp_path, "scripted")

    return make


def chat_model(gateway: Gateway, **options) -> GatewayChatModel:
    return GatewayChatModel(gateway=gateway, route="default", workspace="poc", **options)


@pytest.fixture
def retriever_of(cli, home: Home, tmp_path) -> Callable[..., LLMOpsRetriever]:
    """Makes retrievers over a collection of three pages."""
    ingest(cli, tmp_path)
    searcher = Searcher(home)
    return lambda **options: LLMOpsRetriever(searcher=searcher, **{"collection": "docs", "asker": OWNER, **options})


# --- The retriever ----------------------------------------------------------------------------------------------------


def test_the_retriever_finds_what_the_search_finds(retriever_of, home) -> None:
    retriever = retriever_of(k=2)
    found = retriever.invoke(QUESTION)
    assert found == asyncio.run(retriever.ainvoke(QUESTION)) and len(found) == 2
    first = found[0]
    assert "send SIGTERM" in first.page_content and first.id == first.metadata["chunk_id"]
    assert {"document_id", "title", "page", "score"} <= set(first.metadata) and first.metadata["external_id"] == "server.md"
    assert first.metadata["source"] == "pages" and first.metadata["end"] - first.metadata["start"] == len(first.page_content)
    text = home.store.read(lambda c: documents.text(c, OWNER, first.metadata["document_id"]))["text"]
    assert text[first.metadata["start"] : first.metadata["end"]] == first.page_content
    assert retriever_of(filter={"source": "elsewhere"}).invoke(QUESTION) == [] == retriever_of(at=0).invoke(QUESTION)
    with pytest.raises(UnknownName, match="collection"):
        retriever_of(collection="dcos").invoke(QUESTION)
    with pytest.raises(InvalidInput, match="k is 0"):
        retriever_of(k=0).invoke(QUESTION)


def test_t10_the_retriever_finds_nothing_that_its_asker_may_not_read(cli, home, tmp_path) -> None:
    ingest(cli, tmp_path, "--acl", "user:alice")
    for person, finds in (("alice", True), ("mallory", False)):
        asker = Asker("poc", frozenset({f"user:{person}"}), name=person)
        assert bool(LLMOpsRetriever(searcher=Searcher(home), collection="docs", asker=asker).invoke(QUESTION)) is finds


async def test_a_pipeline_of_ones_own(retriever_of, scripted) -> None:
    reply = "Send SIGTERM to its process. [1]"
    model, gateway = scripted(reply, reply, reply, reply)
    question = {"texts": retriever_of(k=1) | texts, "question": RunnablePassthrough()}
    pipeline = question | PROMPT | chat_model(gateway) | StrOutputParser()
    assert await pipeline.ainvoke(QUESTION) == reply
    assert model.seen[0].messages[0]["role"] == "system" and "send SIGTERM" in model.seen[0].messages[0]["content"]
    assert model.seen[0].messages[1] == {"role": "user", "content": QUESTION}
    pieces = [piece async for piece in pipeline.astream(QUESTION)]
    assert "".join(pieces) == reply and len([piece for piece in pieces if piece]) == 6 and model.seen[1].stream
    assert pipeline.invoke(QUESTION) == reply, "without await, though a loop runs here"
    assert "".join(pipeline.stream(QUESTION)) == reply


# --- The chat model ---------------------------------------------------------------------------------------------------


def test_messages_go_in_and_come_out(scripted) -> None:
    model, gateway = scripted("one two", "one two")
    call = {"name": "add", "args": {"a": 1}, "id": "call_1", "type": "tool_call"}
    talk = [
        SystemMessage("Be brief."),
        HumanMessage([{"type": "text", "text": "What is"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]),
        AIMessage("", tool_calls=[call]),
        ToolMessage("2", tool_call_id="call_1"),
        ("human", "And in words?"),
    ]
    bound = chat_model(gateway, parameters={"temperature": 0, "seed": 1}).bind(seed=2)
    reply = bound.invoke(talk, stop=["."])
    sent = model.seen[0]
    assert [message["role"] for message in sent.messages] == ["system", "user", "assistant", "tool", "user"]
    assert sent.messages[1]["content"][1]["image_url"]["url"].startswith("data:")
    asked = sent.messages[2]["tool_calls"][0]
    assert asked["id"] == "call_1" and asked["type"] == "function" and json.loads(asked["function"]["arguments"]) == {"a": 1}
    assert sent.messages[3]["tool_call_id"] == "call_1" and sent.messages[3]["content"] == "2"
    assert sent.extra == {"temperature": 0, "seed": 2, "stop": ["."]} and sent.stream is False
    assert type(reply) is AIMessage and reply.text == "one two"
    assert reply.response_metadata["finish_reason"] == "stop" and reply.response_metadata["model_name"] == "scripted"
    assert reply.usage_metadata["output_tokens"] == 2 and reply.usage_metadata["total_tokens"] == reply.usage_metadata["input_tokens"] + 2
    whole = AIMessageChunk("")
    for chunk in bound.stream(talk):
        whole += chunk
    assert whole.text == "one two" and whole.usage_metadata == reply.usage_metadata
    assert whole.response_metadata["finish_reason"] == "stop" and whole.response_metadata["model_name"] == "scripted"


async def test_a_count_that_grows_with_each_chunk_is_not_added_up(monkeypatch, tmp_path, settings) -> None:
    class Counting:
        async def stream(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
            for number, word in enumerate(("a", "b", "c"), 1):
                yield ChatChunk(text=word, usage=Usage(5, number), model="m", finish_reason="stop" if number == 3 else None)

    monkeypatch.setitem(plugins._registered, ("providers", "counting"), lambda target, context: Counting())
    whole = AIMessageChunk("")
    async for chunk in chat_model(gateway_to(tmp_path, "counting")).astream("hi"):
        whole += chunk
    assert whole.text == "abc" and whole.usage_metadata == {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
    assert whole.response_metadata["model_name"] == "m" and whole.response_metadata["finish_reason"] == "stop"


async def test_errors_stay_ours(scripted, settings, tmp_path) -> None:
    refused = ProviderRefused("too long", provider_status=400)
    _, gateway = scripted(refused, refused, refused, refused)
    model = chat_model(gateway)
    with pytest.raises(ProviderRefused):
        await model.ainvoke("hi")
    with pytest.raises(ProviderRefused):
        [_ async for _ in model.astream("hi")]
    with pytest.raises(ProviderRefused):
        model.invoke("hi")
    with pytest.raises(ProviderRefused):
        list(model.stream("hi"))
    with pytest.raises(UnknownName, match="route"):
        GatewayChatModel(gateway=gateway, route="dfault", workspace="poc").invoke("hi")
    with pytest.raises(InvalidInput, match="not a chat message"):
        model.invoke([HumanMessage([{"type": "text"}])])


@pytest.mark.parametrize("streams", [True, False])
async def test_a_server_over_http_from_any_loop(tmp_path, settings, streams) -> None:
    async with FaultyProvider() as provider:
        gateway = gateway_to(tmp_path, "openai", "ok", provider.url)
        model = chat_model(gateway)

        def talk() -> str:
            return "".join(chunk.text for chunk in model.stream("hi")) if streams else model.invoke("hi").text

        for _ in range(2):  # in this loop; then from threads, each call with a loop of its own
            assert (
                "".join([chunk.text async for chunk in model.astream("hi")] if streams else (await model.ainvoke("hi")).text) == "The answer is 42."
            )
            assert await asyncio.gather(*(asyncio.to_thread(talk) for _ in range(3))) == ["The answer is 42."] * 3
        await gateway.aclose()
        await asyncio.sleep(0.1)
        assert provider.open == 0, "no connection is left behind"
        with pytest.raises(ProviderError, match="cut"):
            await asyncio.to_thread(list, chat_model(gateway_to(tmp_path, "openai", "cut:2", provider.url)).stream("hi"))
        with pytest.raises(AllTargetsFailed):
            await chat_model(gateway_to(tmp_path, "openai", "html", provider.url)).ainvoke("hi")


@pytest.mark.parametrize("awaited", [True, False])
async def test_who_leaves_early_leaves_no_call_behind(tmp_path, settings, awaited) -> None:
    async with FaultyProvider() as provider:
        gateway = gateway_to(tmp_path, "openai", "stall:2", provider.url)
        model = chat_model(gateway)

        def leave() -> None:
            chunks = model.stream("hi")
            next(chunks)
            chunks.close()

        if awaited:
            chunks = model.astream("hi")
            await anext(chunks)
            await chunks.aclose()
        else:
            await asyncio.wait_for(asyncio.to_thread(leave), 5)
        async with asyncio.timeout(5):
            while not provider.left:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await gateway.aclose()


# --- Tools ------------------------------------------------------------------------------------------------------------


def test_langchains_cache_does_not_answer_for_another_route_or_workspace(scripted) -> None:
    from langchain_core.caches import InMemoryCache

    _, gateway = scripted("one", "two", "three")
    cache = InMemoryCache()

    def ask(workspace: str, **parameters) -> str:
        return GatewayChatModel(gateway=gateway, route="default", workspace=workspace, cache=cache, parameters=parameters).invoke("hi").text

    assert [ask("poc"), ask("poc"), ask("prod"), ask("poc", temperature=1)] == ["one", "one", "two", "three"]


# --- A chain ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def chains_of(home: Home) -> AsyncIterator[Chains]:
    async with open_rooms(home) as rooms:
        yield Chains(rooms)


async def test_a_chain_is_a_runnable(cli, home, tmp_path) -> None:
    ingest(cli, tmp_path)
    async with chains_of(home) as chains:
        rag = chain_runnable(chains, "rag", OWNER)
        said = await rag.ainvoke(QUESTION)
        about = said.response_metadata["llmops"]
        assert type(said) is AIMessage and "send SIGTERM" in said.text and about["citations"][0]["external_id"] == "server.md"
        assert said.id == about["answer_id"] and said.usage_metadata["output_tokens"] > 0 and json.dumps(about)
        whole = AIMessageChunk("")
        async for message in rag.astream([HumanMessage(QUESTION)]):
            whole += message
        here = rag.invoke([("user", QUESTION)])
        streamed = list((RunnablePassthrough() | rag | StrOutputParser()).stream(QUESTION))
        assert said.text == whole.text == here.text == "".join(streamed)
        named = {said.id, whole.response_metadata["llmops"]["answer_id"], here.id}
        kept = home.store.read(lambda c: c.execute(select(answers.c.id, answers.c.state)).all())
        assert len(kept) == 4 and {row.state for row in kept} == {"complete"} and named < {row.id for row in kept}
        follow_up = [("user", "How is black tea brewed?"), ("ai", "With boiling water. [1]"), ("user", "And the green one?")]
        assert "eighty degrees" in (await rag.ainvoke(follow_up)).text
        batch = await rag.abatch([QUESTION, "Who won the world cup of 1954?"])
        assert [message.response_metadata["llmops"]["abstained"] for message in batch] == [False, True]
        before = chain_runnable(chains, "rag", OWNER, at=0)
        assert (await before.ainvoke(QUESTION)).response_metadata["llmops"]["snapshot"] == {"collection": "docs", "seq": 0}
        assert (await before.ainvoke(QUESTION, at=None)).response_metadata["llmops"]["snapshot"]["seq"] > 0


async def test_a_chain_that_is_left_early_is_on_record(cli, home, tmp_path) -> None:
    ingest(cli, tmp_path)
    async with chains_of(home) as chains:
        rag = chain_runnable(chains, "rag", OWNER)
        stream = rag.astream(QUESTION)
        await anext(stream)
        await stream.aclose()
        assert home.store.read(lambda c: c.execute(select(answers.c.state)).scalars().all()) == ["partial"]


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ("  ", InvalidInput, "the question is empty"),
        ([], InvalidInput, "not the user's"),
        (7, InvalidInput, "cannot be asked a int"),
        ([7], InvalidInput, "not a chat message"),
        ([("ai", "hello")], InvalidInput, "not the user's"),
        ([HumanMessage([{"type": "image_url", "image_url": {"url": "data:,"}}])], InvalidInput, "text alone"),
    ],
)
async def test_bad_questions(home, asked, error, says) -> None:
    async with chains_of(home) as chains:
        rag = chain_runnable(chains, "rag", OWNER)
        with pytest.raises(error, match=says):
            await rag.ainvoke(asked)
        with pytest.raises(error, match=says):
            list(rag.stream(asked))
        with pytest.raises(UnknownName, match="chain"):
            await chain_runnable(chains, "rga", OWNER).ainvoke("hello")
