"""Tools through the LangChain face: calls pass both ways, whole and streamed, and agents run on a route."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk
from pydantic import BaseModel

from llmops import plugins
from llmops.types import ChatChunk, ChatRequest
from tests.chains.test_bridge import chat_model, gateway_to


@pytest.fixture
def tool_server() -> Iterator[Callable[..., tuple[str, list[dict]]]]:
    """An OpenAI-compatible server that answers with the given messages in turn; in a stream, arguments come in two pieces."""
    replies: list[dict] = []
    seen: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(body)
            message = replies.pop(0)
            reason = "tool_calls" if message.get("tool_calls") else "stop"
            usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
            if body.get("stream"):
                events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas(message)]
                events += [{"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}, {"choices": [], "usage": usage}]
                content = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
            else:
                choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
                content = json.dumps({"id": "chatcmpl-1", "choices": [choice], "usage": usage})
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream" if body.get("stream") else "application/json")
            self.send_header("Content-Length", str(len(content.encode())))
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def start(*messages: dict) -> tuple[str, list[dict]]:
        replies[:] = messages
        return f"http://127.0.0.1:{server.server_port}/v1", seen

    yield start
    server.shutdown()
    server.server_close()


def deltas(message: dict) -> Iterator[dict]:
    """The pieces in which a server streams a message."""
    yield {"role": "assistant", "content": None}
    yield {name: value for name, value in message.items() if name != "tool_calls"}
    for index, call in enumerate(message.get("tool_calls") or ()):
        arguments = call["function"]["arguments"]
        yield {"tool_calls": [{**call, "index": index, "function": {**call["function"], "arguments": arguments[:3]}}]}
        yield {"tool_calls": [{"index": index, "function": {"arguments": arguments[3:]}}]}


def calls(*named: tuple[str, str]) -> dict:
    """A message that calls tools: a name and arguments as the model wrote them, each."""
    return {
        "content": None,
        "tool_calls": [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for number, (name, arguments) in enumerate(named, 1)
        ],
    }


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.mark.parametrize("streams", [True, False])
def test_tool_calls_pass_both_ways(tool_server, tmp_path, settings, streams) -> None:
    said = calls(("add", '{"a": 1, "b": 2}'), ("add", '{"a": 3, "b": 4}')) | {"reasoning_content": "Two sums."}
    url, seen = tool_server(said)
    model = chat_model(gateway_to(tmp_path, "openai", "m", url)).bind_tools([add], tool_choice="add")
    if streams:
        reply = AIMessageChunk("")
        for chunk in model.stream("Add."):
            reply += chunk
    else:
        reply = model.invoke("Add.")
    assert [(call["name"], call["args"], call["id"]) for call in reply.tool_calls] == [
        ("add", {"a": 1, "b": 2}, "call_1"),
        ("add", {"a": 3, "b": 4}, "call_2"),
    ]
    assert reply.text == "" and reply.response_metadata["finish_reason"] == "tool_calls" and reply.usage_metadata["total_tokens"] == 5
    assert reply.additional_kwargs == {"reasoning_content": "Two sums."}
    assert seen[0]["tools"][0]["function"]["name"] == "add" and seen[0]["tools"][0]["function"]["description"] == "Add two numbers."
    assert seen[0]["tool_choice"] == {"type": "function", "function": {"name": "add"}}


@pytest.mark.parametrize("arguments", ['{"a": 1, "b"', "[[1, 2]]", "42", "three"])
def test_arguments_that_are_no_object_are_marked_invalid(tool_server, tmp_path, settings, arguments) -> None:
    url, _ = tool_server(calls(("add", arguments)))
    reply = chat_model(gateway_to(tmp_path, "openai", "m", url)).bind_tools([add]).invoke("Add.")
    assert reply.tool_calls == [] and reply.invalid_tool_calls[0]["name"] == "add" and reply.invalid_tool_calls[0]["args"] == arguments


@pytest.mark.parametrize("streams", [True, False])
async def test_whole_calls_that_a_server_does_not_number_stay_apart(monkeypatch, tmp_path, settings, streams) -> None:
    class Unnumbered:
        async def stream(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
            made = calls(("add", '{"a": 1, "b": 2}'), ("add", '{"a": 3, "b": 4}'))["tool_calls"]
            if request.stream:
                for call in made:
                    yield ChatChunk(raw={"choices": [{"delta": {"tool_calls": [call]}}]}, model="m")
                yield ChatChunk(finish_reason="tool_calls", model="m")
            else:
                yield ChatChunk(raw={"choices": [{"message": {"tool_calls": made}}]}, finish_reason="tool_calls", model="m")

    monkeypatch.setitem(plugins._registered, ("providers", "unnumbered"), lambda target, context: Unnumbered())
    model = chat_model(gateway_to(tmp_path, "unnumbered")).bind_tools([add])
    whole = AIMessageChunk("")
    if streams:
        async for chunk in model.astream("hi"):
            whole += chunk
    else:
        whole = await model.ainvoke("hi")
    assert [call["args"] for call in whole.tool_calls] == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "astream"])
async def test_an_agent_runs_on_a_route(tool_server, tmp_path, settings, how) -> None:
    url, seen = tool_server(calls(("add", '{"a": 20, "b": 22}')), {"content": "It is 42."})
    agent = create_agent(chat_model(gateway_to(tmp_path, "openai", "m", url)), tools=[add], system_prompt="Use tools.")
    asked = {"messages": [{"role": "user", "content": "20 + 22?"}]}
    if how == "astream":
        pieces = [piece async for piece, _ in agent.astream(asked, stream_mode="messages")]
        assert "".join(piece.text for piece in pieces if isinstance(piece, AIMessageChunk)) == "It is 42." and seen[0]["stream"]
    else:
        state = agent.invoke(asked) if how == "invoke" else await agent.ainvoke(asked)
        assert state["messages"][-1].text == "It is 42." and state["messages"][-2].content == "42"
    assert seen[1]["messages"][-1]["role"] == "tool" and seen[1]["messages"][-1]["content"] == "42"
    assert seen[1]["messages"][-1]["tool_call_id"] == seen[1]["messages"][-2]["tool_calls"][0]["id"] == "call_1"


def test_structured_output(tool_server, tmp_path, settings) -> None:
    class Sum(BaseModel):
        """A sum."""

        total: int

    url, seen = tool_server(calls(("Sum", '{"total": 42}')))
    assert chat_model(gateway_to(tmp_path, "openai", "m", url)).with_structured_output(Sum).invoke("20 + 22?") == Sum(total=42)
    assert seen[0]["tool_choice"] == "required" and set(seen[0]) == {"model", "messages", "tools", "tool_choice"}
