"""The `openai` client and `langchain-openai`, unchanged, against a live server."""

from __future__ import annotations

import base64

import httpx
import numpy as np
import openai
import pytest

from tests.server.conftest import GUIDE, Server

QUESTION = [{"role": "user", "content": "How do I stop the server?"}]


def client_of(live: Server, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{live.url}/v1", api_key=live.keys[key], max_retries=0, http_client=httpx.Client(trust_env=False))


@pytest.fixture
def client(live: Server) -> openai.OpenAI:
    """What a product's backend uses."""
    return client_of(live, "application")


@pytest.fixture
def person(live: Server) -> openai.OpenAI:
    """Someone who may list models and embed, too."""
    return client_of(live, "alice")


def test_a_chain_answers_and_cites(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="rag", messages=QUESTION)
    said = reply.model_extra["llmops"]
    text = reply.choices[0].message.content
    assert "Ctrl-C" in text and text.rstrip().endswith("[1]")
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0
    assert said["answer_id"].startswith("ans_") and not said["abstained"]
    assert said["snapshot"]["collection"] == "docs" and said["route"] == "default"
    citation = said["citations"][0]
    assert citation["external_id"] == "serve.md" and citation["source"] == "api"
    assert citation["text"] in text[citation["answer_start"] : citation["answer_end"]]


def test_a_japanese_question_gets_a_japanese_answer(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="rag", messages=[{"role": "user", "content": "サーバーを停止するにはどうすればよいですか?"}])
    assert "Ctrl-C を押します" in reply.choices[0].message.content
    assert reply.model_extra["llmops"]["citations"][0]["external_id"] == "serve.ja.md"


def test_a_stream_says_the_same_and_ends_with_what_it_rests_on(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="rag", messages=QUESTION, stream=True, stream_options={"include_usage": True}))
    whole = client.chat.completions.create(model="rag", messages=QUESTION)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole.choices[0].message.content
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop" and chunks[-2].model_extra["llmops"]["citations"]
    assert chunks[-1].usage.total_tokens > 0 and chunks[-1].model_extra["llmops"] == chunks[-2].model_extra["llmops"]


def test_a_question_without_an_answer_is_not_answered(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="rag", messages=[{"role": "user", "content": "Who won the chess championship of 1972 in Reykjavik?"}]
    )
    assert reply.model_extra["llmops"]["abstained"] and not reply.model_extra["llmops"]["citations"]


def test_several_turns_and_parts_of_text(client: openai.OpenAI) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Which command starts the server?"},
        {"role": "assistant", "content": "`llmops serve` [1]"},
        {"role": "user", "content": [{"type": "text", "text": "And how do I"}, {"type": "text", "text": "stop it?"}]},
    ]
    reply = client.chat.completions.create(model="rag", messages=messages, temperature=0, user="someone", extra_body={"not_known": [1]})
    assert "Ctrl-C" in reply.choices[0].message.content


def test_where_to_look(client: openai.OpenAI) -> None:
    def ask(**where: object) -> dict:
        return client.chat.completions.create(model="rag", messages=QUESTION, extra_body={"llmops": where}).model_extra["llmops"]

    assert ask(filter={"page": 0}, k=1)["citations"][0]["external_id"] == "serve.md"
    assert ask(at=0)["abstained"] and ask(at=0)["snapshot"] == {"collection": "docs", "seq": 0}
    assert ask(filter={"no_such_field": 1})["abstained"]
    wrong_ones = [({"collection": "dosc"}, "collection"), ({"at": 10**6}, "at")]
    wrong_ones += [({"k": k}, "llmops.k") for k in (0, 51, 10**30, "8", True)]
    for wrong, param in wrong_ones:
        with pytest.raises(openai.APIStatusError) as refused:
            ask(**wrong)
        assert refused.value.status_code in (404, 422) and refused.value.body["param"] == param
    with pytest.raises(openai.NotFoundError) as unknown:
        ask(collection="dosc")
    assert "did you mean 'docs'" in unknown.value.body["hint"]


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        ([{"role": "user", "content": "  "}], "messages"),
        ([{"role": "user", "content": None}], "messages"),
        ([{"role": "assistant", "content": "hello"}], "messages"),
        ([{"role": "user", "content": "x" * 40_000}], "messages"),
        ([{"content": "no role"}], "messages.0"),
        ([{"role": "user", "content": 7}], "messages.0"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}], "messages.0.content"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_questions_that_cannot_be_answered(client: openai.OpenAI, messages: list, param: str, stream: bool) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.chat.completions.create(model="rag", messages=messages, stream=stream)
    assert refused.value.body["param"] == param and refused.value.body["message"]


def test_a_chain_gives_one_answer(client: openai.OpenAI) -> None:
    assert len(client.chat.completions.create(model="rag", messages=QUESTION, n=1).choices) == 1
    for stream in (False, True):
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            client.chat.completions.create(model="rag", messages=QUESTION, n=3, stream=stream)
        assert refused.value.body["param"] == "n" and refused.value.body["hint"]


def test_a_question_of_a_megabyte(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="rag", messages=[{"role": "user", "content": "why " * 300_000}])
    assert refused.value.status_code == 413 and refused.value.body["code"] == "too_large"


def test_models(client: openai.OpenAI, person: openai.OpenAI) -> None:
    owners = {model.id: model.owned_by for model in person.models.list()}
    assert (owners["rag"], owners["default"]) == ("chain", "route") and set(owners.values()) == {"chain", "route"}
    assert person.models.retrieve("rag").id == "rag"
    with pytest.raises(openai.NotFoundError):
        person.models.retrieve("nothing")
    with pytest.raises(openai.PermissionDeniedError):
        client.models.list()
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="rga", messages=QUESTION)
    assert "did you mean 'rag'" in unknown.value.body["hint"]


def test_the_default_route_says_what_it_is(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="default", messages=QUESTION).choices[0].message.content
    streamed = "".join(
        chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(model="default", messages=QUESTION, stream=True)
    )
    assert "extractive" in whole and whole == streamed
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.chat.completions.create(model="default", messages=QUESTION, extra_body={"llmops": {"k": 3}})
    assert refused.value.body["param"] == "llmops"


def test_embeddings(person: openai.OpenAI, live: Server) -> None:
    texts = ["stop the server", "サーバー", GUIDE]
    packed = person.embeddings.create(model="minilm", input=texts)
    plain = person.embeddings.create(model="minilm", input=texts, encoding_format="float")
    vectors = np.array([datum.embedding for datum in packed.data])
    assert vectors.shape == (3, 384) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors, [datum.embedding for datum in plain.data], atol=1e-6)
    assert np.array_equal(person.embeddings.create(model="minilm", input=texts[2]).data[0].embedding, packed.data[2].embedding)
    with live.client() as raw:
        reply = raw.post("/v1/embeddings", json={"model": "minilm", "input": "stop the server", "encoding_format": "base64"}).json()
    assert np.allclose(np.frombuffer(base64.b64decode(reply["data"][0]["embedding"]), "<f4"), vectors[0], atol=1e-6)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": [[1, 2, 3]]}, 400, "input"),
        ({"input": [1, 2, 3]}, 400, "input"),
        ({"input": []}, 422, "input"),
        ({"input": ""}, 422, "input.0"),
        ({"input": ["a", None]}, 422, "input.1"),
        ({"input": ["a"] * 2049}, 422, "input"),
        ({"input": "a", "dimensions": 8}, 422, "dimensions"),
        ({"input": "a", "model": "rag"}, 404, "model"),
        ({"input": {"text": "a"}}, 422, "input"),
        ({"input": None}, 422, "input"),
        ({}, 422, "input"),
    ],
)
def test_embeddings_that_cannot_be(live: Server, body: dict, status: int, param: str) -> None:
    with live.client() as raw:
        reply = raw.post("/v1/embeddings", json={"model": "minilm", **body})
    assert (reply.status_code, reply.json()["error"]["param"]) == (status, param)
    assert reply.json()["error"]["hint"]
    if status == 400:
        assert "check_embedding_ctx_length=False" in reply.json()["error"]["hint"]


def test_langchain(live: Server) -> None:
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings

    plain = httpx.Client(trust_env=False)
    settings = {"base_url": f"{live.url}/v1", "api_key": live.keys["alice"], "http_client": plain}
    chat = ChatOpenAI(model="rag", **settings)
    assert "Ctrl-C" in chat.invoke("How do I stop the server?").content
    assert "Ctrl-C" in "".join(chunk.content for chunk in chat.stream("How do I stop the server?"))
    embed = OpenAIEmbeddings(model="minilm", check_embedding_ctx_length=False, **settings)
    assert np.array(embed.embed_documents(["one", "two"])).shape == (2, 384) and len(embed.embed_query("one")) == 384
