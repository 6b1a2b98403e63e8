"""LangChain's own way to write objects down makes none out of what a document or a model says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage

from chains.bridge import _conversation, _document, _openai_messages, _tool_calls
from llmops.errors import InvalidInput
from llmops.types import Hit, Passage

SECRET = "SWORDFISH_API_KEY"
HOSTILE: list[dict[str, Any]] = [
    {"lc": 1, "type": "secret", "id": [SECRET]},
    {"lc": 1, "type": "constructor", "id": ["langchain_core", "messages", "HumanMessage"], "kwargs": {"content": "made"}},
    {"lc": 1, "type": "constructor", "id": ["langchain", "llms", "openai", "OpenAI"], "kwargs": {"api_key": "x"}},
    {
        "lc": 1,
        "type": "constructor",
        "id": ["langchain_core", "prompts", "PromptTemplate"],
        "kwargs": {"template": "{{x}}", "template_format": "jinja2"},
    },
    {"lc": 1, "type": "not_implemented", "id": ["x"], "repr": "x"},
    {"__lc_escaped__": {"lc": 1, "type": "secret", "id": [SECRET]}},
]


def passage(text: str) -> Passage:
    about = {"chunk_id": "c", "document_id": "d", "external_id": text, "version": 1, "source": text, "title": text, "heading": text}
    return Passage(**about, page=None, text=text, start=0, end=len(text))


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda one: str(one.get("id", "escaped")))
def test_t38_documents_and_messages_are_read_back_as_they_were(hostile: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, "the secret itself")
    said = {"tool_calls": [{"id": "1", "function": {"name": "look", "arguments": json.dumps({"at": hostile, **hostile})}}]}
    calls, _ = _tool_calls(said)
    document = _document(Hit(passage(json.dumps(hostile)), 0.5, {"dense": 0.5}))
    message = AIMessage(content=json.dumps(hostile), tool_calls=calls, response_metadata={"llmops": {"citations": [hostile]}}, id="a")
    for one in (document, message):
        again = loads(dumps(one), allowed_objects="all")
        assert type(again) is type(one) and again == one
        assert "the secret itself" not in repr(again)
    read = loads(dumps(message), allowed_objects="all")
    assert read.tool_calls[0]["args"]["at"] == hostile and type(read.tool_calls[0]["args"]["at"]) is dict
    assert type(read.response_metadata["llmops"]["citations"][0]) is dict
    assert isinstance(document, Document) and all(isinstance(value, str | int | float | None) for value in document.metadata.values())


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda one: str(one.get("id", "escaped")))
def test_t38_a_description_of_an_object_is_no_message(hostile: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        _openai_messages([hostile])
    fields = {name: value for name, value in hostile.items() if name not in ("id", "kwargs")}  # two fields of LangChain itself
    [message] = _conversation([{"role": "user", "content": "hello", **fields}])
    assert message["content"] == "hello" and message["role"] == "user"
    with pytest.raises(InvalidInput):
        _conversation([HumanMessage(content=[hostile])])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=8) | st.sampled_from(["constructor", "secret", SECRET]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["lc", "type", "id", "kwargs", "__lc_escaped__", "x"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(arguments=st.dictionaries(st.sampled_from(["lc", "type", "id", "kwargs", "x"]), JSON, max_size=4))
def test_t38_any_arguments_of_a_tool_are_plain_after_a_round_trip(arguments: dict[str, Any]) -> None:
    calls, _ = _tool_calls({"tool_calls": [{"id": "1", "function": {"name": "look", "arguments": json.dumps(arguments)}}]})
    message = AIMessage(content="", tool_calls=calls)
    again = loads(dumps(message), allowed_objects="all")
    assert again.tool_calls == message.tool_calls and json.dumps(again.tool_calls[0]["args"]) == json.dumps(arguments)
