"""The LangChain face: our search as a retriever, our gateway as a chat model, a chain as a Runnable.

    async with open_rooms(home) as rooms:
        retriever = LLMOpsRetriever(searcher=rooms.searcher, collection="docs", asker=asker, k=5)
        model = GatewayChatModel(gateway=rooms.gateway, route="default", workspace=asker.workspace)
        texts = retriever | (lambda documents: "\\n\\n".join(document.page_content for document in documents))
        prompt = ChatPromptTemplate.from_template("Answer from these texts:\\n{texts}\\n\\nQuestion: {question}")
        own = {"texts": texts, "question": RunnablePassthrough()} | prompt | model | StrOutputParser()
        print(await own.ainvoke("How do I stop the server?"))

        rag = chain_runnable(Chains(rooms), "rag", asker)
        reply = await rag.ainvoke("How do I stop the server?")
        print(reply.text, reply.response_metadata["llmops"]["citations"])

A chain cites, abstains and keeps a row of each answer; a pipeline of one's own does what it was built to do. All of it
works without `await` too, where an event loop runs as well (a notebook). Errors are those of `llmops.errors`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, InvalidToolCall, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCall, ToolCallChunk, invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompt_values import PromptValue
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from chains import blocking
from chains.flow import Ask, Chains
from llmops.errors import InvalidInput
from llmops.gateway.gateway import Gateway
from llmops.types import Answer, Asker, ChatChunk, ChatRequest, Hit, Json, Usage
from vectorstore.search import Searcher

_ASIDE = ("reasoning_content", "reasoning", "refusal")
"""Fields of a model's message that LangChain keeps in `additional_kwargs`."""


class LLMOpsRetriever(BaseRetriever):
    """Searches one collection on behalf of one asker, whose rights hold at each call. `at` and `filter` are as in `Searcher.search`."""

    searcher: Searcher = Field(repr=False)
    collection: str
    asker: Asker
    k: int = 10
    at: int | None = None
    filter: dict[str, Any] | None = None

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [_document(hit) for hit in self.searcher.search(query, **self._options()).hits]

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        found = await self.searcher.search_async(query, **self._options())
        return [_document(hit) for hit in found.hits]

    def _options(self) -> dict[str, Any]:
        return {"collection": self.collection, "asker": self.asker, "k": self.k, "at": self.at, "filter": self.filter}


class GatewayChatModel(BaseChatModel):
    """A route as a chat model. `parameters`, and what is bound or given with a call, go to the model as they are."""

    gateway: Gateway = Field(repr=False)
    route: str
    workspace: str
    parameters: dict[str, Any] = Field(default_factory=dict)

    @property
    def _llm_type(self) -> str:
        return "llmops-gateway"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """What LangChain's cache goes by: replies of one route or workspace are not those of another."""
        return {"route": self.route, "workspace": self.workspace, "parameters": self.parameters}

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with these tools. `tool_choice`: a tool's name, `any` (or True) for at least one, or as OpenAI has it."""
        shaped = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        if tool_choice in (True, "any"):
            kwargs["tool_choice"] = "required"
        elif any(tool_choice == tool.get("function", {}).get("name") for tool in shaped):
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=shaped, **kwargs) if shaped else self.bind(**kwargs)

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        """Pieces as they come; then one that says how it ended and what it used, for LangChain adds up whatever comes twice."""
        ending = _Ending()
        async with aclosing(self._chunks(messages, stop, kwargs, stream=True)) as chunks:
            async for chunk in chunks:
                ending.note(chunk)
                if (message := _message_chunk(chunk)) is not None:
                    yield ChatGenerationChunk(message=message)
        last = AIMessageChunk(content="", usage_metadata=ending.usage, chunk_position="last")
        yield ChatGenerationChunk(message=last, generation_info=ending.info)

    async def _agenerate(self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        text, says, ending = "", dict[str, Any](), _Ending()
        async with aclosing(self._chunks(messages, stop, kwargs, stream=False)) as chunks:
            async for chunk in chunks:
                ending.note(chunk)
                text += chunk.text
                says |= _said(chunk)
        calls, broken = _tool_calls(says)
        message = AIMessage(content=text, tool_calls=calls, invalid_tool_calls=broken, additional_kwargs=_aside(says), usage_metadata=ending.usage)
        return ChatResult(generations=[ChatGeneration(message=message, generation_info=ending.info)])

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        return blocking.iterate(self._astream(messages, stop, **kwargs), self.gateway.aclose)

    def _generate(self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        return blocking.result_of(self._agenerate(messages, stop, **kwargs), self.gateway.aclose)

    def _chunks(self, messages: list[BaseMessage], stop: list[str] | None, given: Json, *, stream: bool) -> AsyncGenerator[ChatChunk, None]:
        extra = {**self.parameters, **given} | ({"stop": stop} if stop else {})
        extra.pop("stream", None)
        request = ChatRequest(self.route, tuple(_openai_messages(messages)), stream=stream, extra=extra)
        return self.gateway.stream(self.route, request, self.workspace)


def chain_runnable(chains: Chains, name: str, asker: Asker, **narrowing: Any) -> Runnable[LanguageModelInput, AIMessage]:
    """A chain as a Runnable, on behalf of one asker: a question or messages in, an `AIMessage` out.

    `response_metadata["llmops"]` of the message is what the API calls `llmops`: the answer's id, its citations, whether
    it abstained. A stream has it in its last chunk. `narrowing` (collection, at, k, filter, route, parameters) overrides
    the chain's settings, and so does what is given with a call: `runnable.invoke(question, k=3)`.
    """
    return _ChainRunnable(chains, name, asker, narrowing)


class _ChainRunnable(Runnable[LanguageModelInput, AIMessage]):
    def __init__(self, chains: Chains, name: str, asker: Asker, narrowing: Mapping[str, Any]) -> None:
        self.name = name
        self._chains, self._chain, self._asker, self._narrowing = chains, name, asker, narrowing

    async def ainvoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        return await self._acall_with_config(self._answer, input, config, run_type="chain", **kwargs)

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        return self._call_with_config(self._answer_here, input, config, run_type="chain", **kwargs)

    async def astream(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncGenerator[AIMessage, None]:
        async def inputs() -> AsyncIterator[LanguageModelInput]:
            yield input

        stream = self._atransform_stream_with_config(inputs(), self._pieces, config, run_type="chain", **kwargs)
        async with aclosing(cast(AsyncGenerator[AIMessage, None], stream)) as messages:
            async for message in messages:
                yield message

    def stream(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[AIMessage]:
        yield from self._transform_stream_with_config(iter([input]), self._pieces_here, config, run_type="chain", **kwargs)

    async def _answer(self, input: LanguageModelInput, **narrowing: Any) -> AIMessage:
        async with aclosing(self._ask(input, narrowing, stream=False)) as parts:
            [answer] = [part async for part in parts if isinstance(part, Answer)]
        return AIMessage(content=answer.text, **_of_answer(answer))

    def _answer_here(self, input: LanguageModelInput, **narrowing: Any) -> AIMessage:
        return blocking.result_of(self._answer(input, **narrowing), self._chains.rooms.gateway.aclose)

    async def _pieces(self, inputs: AsyncIterator[LanguageModelInput], **narrowing: Any) -> AsyncGenerator[AIMessage, None]:
        async for input in inputs:
            async with aclosing(self._spoken(input, narrowing)) as messages:
                async for message in messages:
                    yield message

    def _pieces_here(self, inputs: Iterator[LanguageModelInput], **narrowing: Any) -> Iterator[AIMessage]:
        for input in inputs:
            yield from blocking.iterate(self._spoken(input, narrowing), self._chains.rooms.gateway.aclose)

    async def _spoken(self, input: LanguageModelInput, narrowing: Mapping[str, Any]) -> AsyncGenerator[AIMessage, None]:
        async with aclosing(self._ask(input, narrowing, stream=True)) as parts:
            async for part in parts:
                if isinstance(part, Answer):
                    yield AIMessageChunk(content="", chunk_position="last", **_of_answer(part))
                elif part:
                    yield AIMessageChunk(content=part)

    def _ask(self, input: LanguageModelInput, narrowing: Mapping[str, Any], *, stream: bool) -> AsyncGenerator[str | Answer, None]:
        ask = Ask(_conversation(input), self._asker, stream=stream, **{**self._narrowing, **narrowing})
        return self._chains.ask(self._chain, ask)


def _document(hit: Hit) -> Document:
    passage = hit.passage
    fields = ("chunk_id", "document_id", "external_id", "version", "source", "title", "heading", "page", "start", "end")
    return Document(id=passage.chunk_id, page_content=passage.text, metadata={f: getattr(passage, f) for f in fields} | {"score": hit.score})


def _conversation(input: LanguageModelInput) -> tuple[Json, ...]:
    """The messages that a chain is asked."""
    if isinstance(input, str):
        input = [HumanMessage(input)]
    elif isinstance(input, BaseMessage):
        input = [input]
    elif not isinstance(input, PromptValue | Sequence):
        raise InvalidInput(f"a chain cannot be asked a {type(input).__name__}", hint="give it a question, or a list of messages", param="messages")
    messages = _openai_messages(input.to_messages() if isinstance(input, PromptValue) else input)
    if any(not isinstance(message["content"], str) for message in messages):
        raise InvalidInput("a chain reads text alone", hint='send parts of {"type": "text"}, or call a route', param="messages")
    return tuple(messages)


def _openai_messages(messages: Sequence[Any]) -> list[Json]:
    if any(isinstance(message, Mapping) and "lc" in message and "role" not in message for message in messages):
        raise InvalidInput("a message is not the description of an object", hint='send {"role": "user", "content": "..."}', param="messages")
    try:
        return convert_to_openai_messages(list(messages))
    except (ValueError, TypeError, LookupError, NotImplementedError) as failure:
        reason = str(failure).partition("\n")[0]
        raise InvalidInput(f"not a chat message: {reason}", hint="messages are those of LangChain, or OpenAI's", param="messages") from failure


def _of_answer(answer: Answer) -> dict[str, Any]:
    about = {"llmops": answer.to_json(), "model_name": answer.model, "finish_reason": answer.finish_reason}
    return {"id": answer.answer_id, "usage_metadata": _usage(answer.usage), "response_metadata": about}


def _usage(usage: Usage) -> UsageMetadata:
    return UsageMetadata(input_tokens=usage.tokens_in, output_tokens=usage.tokens_out, total_tokens=usage.tokens_in + usage.tokens_out)


class _Ending:
    """How a reply ended and what it used. Of counts that come with each chunk the last is the whole."""

    def __init__(self) -> None:
        self.usage: UsageMetadata | None = None
        self.info: dict[str, str] = {}

    def note(self, chunk: ChatChunk) -> None:
        self.usage = _usage(chunk.usage) if chunk.usage else self.usage
        told = {"model_name": chunk.model, "finish_reason": chunk.finish_reason}
        self.info |= {name: value for name, value in told.items() if value}


def _said(chunk: ChatChunk) -> Mapping[str, Any]:
    """The provider's own message, or piece of one, in OpenAI's shape; empty where there is none."""
    choices = (chunk.raw or {}).get("choices") or [{}]
    says = choices[0].get("message") or choices[0].get("delta")
    return says if isinstance(says, Mapping) else {}


def _aside(says: Mapping[str, Any]) -> dict[str, Any]:
    return {field: says[field] for field in _ASIDE if isinstance(says.get(field), str)}


def _message_chunk(chunk: ChatChunk) -> AIMessageChunk | None:
    """A piece of a message; None for a chunk that says nothing."""
    says = _said(chunk)
    calls = [_call_chunk(call) for call in says.get("tool_calls") or ()]
    aside = _aside(says)
    if not (chunk.text or calls or aside):
        return None
    return AIMessageChunk(content=chunk.text, tool_call_chunks=calls, additional_kwargs=aside)


def _call_chunk(call: Mapping[str, Any]) -> ToolCallChunk:
    """A piece of a tool call. A server that numbers none sends whole ones: without an index LangChain keeps them apart."""
    function = call.get("function") or {}
    return tool_call_chunk(name=function.get("name"), args=function.get("arguments"), id=call.get("id"), index=call.get("index"))


def _tool_calls(says: Mapping[str, Any]) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """The calls of a whole message, and those whose arguments are not a JSON object."""
    calls, broken = [], []
    for call in says.get("tool_calls") or ():
        function, call_id = call.get("function") or {}, call.get("id")
        name, arguments = function.get("name") or "", function.get("arguments") or "{}"
        try:
            value = json.loads(arguments)
        except (ValueError, TypeError):
            value = None
        if name and isinstance(value, dict):
            calls.append(tool_call(name=name, args=value, id=call_id))
        else:
            broken.append(invalid_tool_call(name=name, args=str(arguments), id=call_id, error="a tool call is a name and a JSON object"))
    return calls, broken
