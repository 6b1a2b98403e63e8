"""The gateway against a server that goes wrong on purpose."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from email.utils import formatdate

import pytest

from llmops.errors import AllTargetsFailed, ProviderError, ProviderRefused
from llmops.gateway import routing
from llmops.gateway.failures import retry_after
from llmops.gateway.gateway import Gateway
from llmops.settings import Settings
from llmops.testing import FaultyProvider, HashEncoder
from llmops.types import ChatChunk, ChatRequest, Passage, Usage

KEY = "sk-test-0123456789abcdefghij"
PATIENT = {"connect": 10, "first_token": 10, "stall": 10, "attempt": 20, "total": 30}
"""For whoever answers: on a busy machine that may take its time."""
QUICK = {"connect": 1, "first_token": 0.4, "stall": 0.4, "attempt": 5, "total": 10}
"""For whoever never answers."""


@pytest.fixture
async def provider() -> AsyncIterator[FaultyProvider]:
    async with FaultyProvider() as provider:
        yield provider


@asynccontextmanager
async def gateway_to(provider: FaultyProvider, *models: str, timeouts: dict[str, float] = PATIENT, **more: object) -> AsyncIterator[Gateway]:
    """A gateway whose route `r` tries these models of the faulty provider in turn."""
    targets = [{"provider": "openai", "model": model, "base_url": provider.url, "api_key_env": "SOME_KEY"} for model in models]
    settings = Settings.model_validate({"routes": [{"name": "r", "targets": targets, "timeouts": timeouts}], **more})
    gateway = Gateway(settings, HashEncoder, {"SOME_KEY": KEY})
    try:
        yield gateway
    finally:
        await gateway.aclose()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing.Retrying.__init__, "__defaults__", (routing.RETRIES, 0.01))


def request(stream: bool = True, **more: object) -> ChatRequest:
    return ChatRequest("r", ({"role": "user", "content": "What is the answer?"},), stream=stream, **more)  # type: ignore[arg-type]


async def ask(gateway: Gateway, asked: ChatRequest, got: list[ChatChunk] | None = None) -> list[ChatChunk]:
    chunks = [] if got is None else got
    async with aclosing(gateway.stream("r", asked, "poc")) as stream:
        async for chunk in stream:
            chunks.append(chunk)
    return chunks


def text(chunks: list[ChatChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


async def wait_until(true: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"not so within {seconds} s"
        await asyncio.sleep(0.01)


# --- What goes through ------------------------------------------------------------------------------------------------


async def test_a_call_that_does_not_stream_gives_the_providers_body_untouched(provider: FaultyProvider) -> None:
    async with gateway_to(provider, "ok") as gateway:
        (chunk,) = await ask(gateway, request(stream=False, extra={"temperature": 0.5, "x_new": {"a": [1]}}))
    assert chunk.text == "The answer is 42." and chunk.finish_reason == "stop" and chunk.usage == Usage(7, 5)
    assert chunk.raw is not None and chunk.raw["x_unknown"] == 1 and chunk.raw["model"] == "faulty-1"
    assert chunk.model == "ok", "prices go by the name in the configuration"
    (sent,) = provider.requests
    assert sent == {"temperature": 0.5, "x_new": {"a": [1]}, "model": "ok", "messages": [{"role": "user", "content": "What is the answer?"}]}


async def test_passages_and_question_are_not_sent(provider: FaultyProvider) -> None:
    passage = Passage("c", "d", "e", "s", "t", "secret text", 0, 11)
    async with gateway_to(provider, "ok") as gateway:
        await ask(gateway, request(passages=(passage,), question="hidden"))
    assert "secret" not in str(provider.requests) and "hidden" not in str(provider.requests)


async def test_a_stream_asks_for_usage_and_hides_it_from_who_did_not(provider: FaultyProvider) -> None:
    async with gateway_to(provider, "ok") as gateway:
        chunks = await ask(gateway, request())
        asked = await ask(gateway, request(extra={"stream_options": {"include_usage": True, "other": 1}}))
    assert text(chunks) == "The answer is 42."
    assert [chunk.usage for chunk in chunks if chunk.usage] == [Usage(7, 5)]
    assert chunks[-1].raw is None and all(chunk.raw for chunk in chunks[:-1])
    assert asked[-1].raw is not None and asked[-1].raw["usage"]["total_tokens"] == 12
    assert [sent["stream_options"] for sent in provider.requests] == [{"include_usage": True}, {"include_usage": True, "other": 1}]


async def test_a_connection_serves_many_calls(provider: FaultyProvider) -> None:
    async with gateway_to(provider, "ok") as gateway:
        for stream in (True, False, True, True):
            await ask(gateway, request(stream=stream))
        assert provider.open == 1


async def test_price_comes_from_the_models_table(provider: FaultyProvider) -> None:
    async with gateway_to(provider, "ok", models=[{"name": "gpt-x", "input": 2.5, "output": 10}]) as gateway:
        assert gateway.price("gpt-x", Usage(1_000_000, 500_000)) == pytest.approx(7.5)
        assert gateway.price("free", Usage(5, 5)) == 0


# --- Streams that break -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["cut:3", "rst:3", "error:3", "malformed:3"])
async def test_t23_a_stream_that_breaks_after_its_first_token_is_an_error(provider: FaultyProvider, fault: str) -> None:
    got: list[ChatChunk] = []
    async with gateway_to(provider, fault, "ok") as gateway:
        with pytest.raises(ProviderError) as raised:
            await ask(gateway, request(), got)
    assert not isinstance(raised.value, AllTargetsFailed)
    assert text(got) == "The answer is" and not any(chunk.finish_reason for chunk in got)
    assert provider.calls == {fault: 1}, "nobody else is asked once something was shown"


@pytest.mark.parametrize(
    "fault", ["cut:0", "rst:0", "error:0", "malformed:0", "stall:0", "silent", "html", "empty", "no-choices", "line:2", "header"]
)
async def test_t23_t25_a_stream_that_breaks_before_its_first_token_falls_back(provider: FaultyProvider, fault: str) -> None:
    async with gateway_to(provider, fault, "ok", timeouts={**PATIENT, "first_token": 2}) as gateway:
        assert text(await ask(gateway, request())) == "The answer is 42."
    assert provider.calls["ok"] == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("html", "web page"),
        ("malformed", "malformed"),
        ("no-choices", "no choices"),
        ("empty", "malformed"),
        ("error", "overloaded"),
        ("cut", "connection broke"),
        ("gzip", "compressed"),
        ("line:20", "larger than"),
    ],
)
async def test_t25_each_broken_body_has_one_outcome(provider: FaultyProvider, fault: str, says: str) -> None:
    async with gateway_to(provider, fault) as gateway:
        with pytest.raises(AllTargetsFailed, match=says) as raised:
            await ask(gateway, request(stream=False))
    assert raised.value.status == 503 and "target 1" in str(raised.value)


@pytest.mark.parametrize("fault", ["split", "crlf"])
async def test_t25_odd_but_right_streams_are_read(fault: str) -> None:
    async with FaultyProvider("日本", "語の", "答え😀") as provider, gateway_to(provider, fault) as gateway:
        assert text(await ask(gateway, request())) == "日本語の答え😀"


GREEDY = """
import asyncio, json, sys, tracemalloc
from llmops.errors import ProviderError
from llmops.gateway.gateway import Gateway
from llmops.settings import Settings
from llmops.types import ChatRequest

async def ask(gateway, stream):
    request = ChatRequest("r", ({"role": "user", "content": "What is the answer?"},), stream=stream)
    return [chunk async for chunk in gateway.stream("r", request, "poc")]

async def main(url, model):
    targets = [{"provider": "openai", "model": name, "base_url": url} for name in (model, "ok")]
    warm, gateway = (Gateway(Settings.model_validate({"routes": [{"name": "r", "targets": some}]}), None, {}) for some in (targets[1:], targets[:1]))
    tracemalloc.start()
    for stream in (True, False):
        await ask(warm, stream)  # what is imported and built once is no answer's cost
    for stream in (True, False):
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        try:
            await ask(gateway, stream)
        except ProviderError as failure:
            print(json.dumps({"says": str(failure), "bytes": tracemalloc.get_traced_memory()[1] - before}))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("fault", "says"), [("line:50", ["longer than", "larger than"]), ("gzip:200", ["compressed"] * 2), ("header", ["connection broke"] * 2)]
)
async def test_t25_a_reply_far_over_the_limit_costs_little_memory(provider: FaultyProvider, fault: str, says: list[str]) -> None:
    """In a process of its own, streamed and whole: what the provider here holds of it does not count."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", GREEDY, provider.url, fault, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(child.communicate(), 120)
    told = [json.loads(line) for line in output.splitlines()]
    assert child.returncode == 0 and len(told) == 2
    for one, words in zip(told, says, strict=True):
        assert words in one["says"] and one["bytes"] < 64_000_000, one


# --- Deadlines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "says", "shown"),
    [("silent", "no first token", ""), ("stall:0", "no first token", ""), ("drip", "no first token", ""), ("stall:3", "stalled", "The answer is")],
)
async def test_t24_a_stall_is_noticed_in_time_and_the_provider_is_left(provider: FaultyProvider, fault: str, says: str, shown: str) -> None:
    got: list[ChatChunk] = []
    started = time.monotonic()
    async with gateway_to(provider, fault, timeouts={"connect": 10, "first_token": 1.5, "stall": 1.5, "attempt": 15, "total": 20}) as gateway:
        with pytest.raises(ProviderError, match=says):
            await ask(gateway, request(), got)
        assert 1.5 <= time.monotonic() - started < 10
        assert text(got) == shown and provider.calls[fault] == 1
        await wait_until(lambda: provider.open == 0, 5)


async def test_t24_an_answer_that_does_not_stream_has_its_own_deadline(provider: FaultyProvider) -> None:
    async with gateway_to(provider, "silent", timeouts={**QUICK, "attempt": 0.3}) as gateway:
        with pytest.raises(ProviderError, match=r"no whole answer within 0\.3 s"):
            await ask(gateway, request(stream=False))


async def test_t24_time_that_the_reader_takes_is_not_the_providers(provider: FaultyProvider) -> None:
    async with gateway_to(provider, "ok", timeouts={**QUICK, "first_token": 2}) as gateway, aclosing(gateway.stream("r", request(), "poc")) as stream:
        async for chunk in stream:
            if chunk.text == "The":
                await asyncio.sleep(0.6)
    assert chunk.usage == Usage(7, 5)


@pytest.mark.parametrize("stream", [True, False])
async def test_t28_the_call_as_a_whole_has_a_deadline_and_leaves_no_socket_open(provider: FaultyProvider, stream: bool) -> None:
    timeouts = {**QUICK, "first_token": 0.8, "attempt": 0.8, "total": 1.2}
    started = time.monotonic()
    async with gateway_to(provider, "silent", "silent", "silent", timeouts=timeouts) as gateway:
        with pytest.raises(AllTargetsFailed, match="the call's own time was up"):
            await ask(gateway, request(stream=stream))
        assert 1.2 <= time.monotonic() - started < 6
        await wait_until(lambda: provider.open == 0, 1)
    assert provider.calls["silent"] == len(provider.left) == 2, "both were left, and the third was not begun"


async def test_t29_when_the_reader_leaves_the_provider_is_left(provider: FaultyProvider) -> None:
    async with gateway_to(provider, "stall:2") as gateway:
        async with aclosing(gateway.stream("r", request(), "poc")) as stream:
            await anext(stream)
        await asyncio.sleep(0.9)
        assert provider.open == 0 and provider.left


# --- Retries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
async def test_t26_a_passing_failure_is_tried_again_twice_then_the_next(provider: FaultyProvider, status: int, stream: bool) -> None:
    async with gateway_to(provider, f"{status}", "ok") as gateway:
        assert text(await ask(gateway, request(stream=stream))) == "The answer is 42."
    assert provider.calls == {f"{status}": 3, "ok": 1}


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_t26_a_refused_key_or_model_goes_to_the_next_at_once(provider: FaultyProvider, status: int) -> None:
    async with gateway_to(provider, f"{status}", "ok") as gateway:
        assert text(await ask(gateway, request())) == "The answer is 42."
    assert provider.calls == {f"{status}": 1, "ok": 1}
    async with gateway_to(provider, f"{status}") as gateway:
        with pytest.raises(AllTargetsFailed) as raised:
            await ask(gateway, request())
    assert raised.value.status == 502


@pytest.mark.parametrize("status", [400, 422])
async def test_t26_a_wrong_request_goes_back_as_it_is(provider: FaultyProvider, status: int) -> None:
    async with gateway_to(provider, f"{status}", "ok") as gateway:
        with pytest.raises(ProviderRefused) as raised:
            await ask(gateway, request(stream=False))
    assert raised.value.status == status and raised.value.error["code"] == "fault" and raised.value.exit_code == 2
    assert provider.calls == {f"{status}": 1}


async def test_t26_retry_after_is_obeyed(provider: FaultyProvider) -> None:
    started = time.monotonic()
    async with gateway_to(provider, "429:1:0.3") as gateway:
        assert text(await ask(gateway, request())) == "The answer is 42."
    assert 0.3 <= time.monotonic() - started < 2 and provider.calls["429:1:0.3"] == 2


@pytest.mark.parametrize("absurd", ["11", "1000000000"])
async def test_t26_a_long_retry_after_is_not_waited_for(provider: FaultyProvider, absurd: str) -> None:
    started = time.monotonic()
    async with gateway_to(provider, f"429:9:{absurd}", "ok") as gateway:
        assert text(await ask(gateway, request())) == "The answer is 42."
    assert time.monotonic() - started < 5 and provider.calls == {f"429:9:{absurd}": 1, "ok": 1}


async def test_t26_a_wait_beyond_the_calls_own_time_is_not_begun(provider: FaultyProvider) -> None:
    started = time.monotonic()
    async with gateway_to(provider, "429:9:5", timeouts={**PATIENT, "total": 4}) as gateway:
        with pytest.raises(AllTargetsFailed):
            await ask(gateway, request())
    assert time.monotonic() - started < 3.5


def test_t26_retry_after_is_read_in_every_form() -> None:
    def ahead(seconds: float) -> str:
        return formatdate(time.time() + seconds, usegmt=True)

    assert retry_after({"retry-after": "2"}) == 2
    assert retry_after({"retry-after": "2", "retry-after-ms": "1500"}) == 1.5
    assert retry_after({"retry-after": ahead(30)}) == pytest.approx(30, abs=2)
    assert retry_after({"retry-after": ahead(-30)}) == 0
    assert [retry_after({"retry-after": value}) for value in ("soon", "", "-5", "nan", "inf")] == [None, None, 0, None, float("inf")]
    assert retry_after({}) is None


async def test_t26_a_connection_that_fails_is_tried_again(provider: FaultyProvider) -> None:
    async with gateway_to(provider, "rst:0") as gateway:
        with pytest.raises(AllTargetsFailed, match="connection broke"):
            await ask(gateway, request(stream=False))
    assert provider.calls["rst:0"] == 3


async def test_t27_all_targets_down_lists_every_attempt_and_the_shortest_wait(provider: FaultyProvider) -> None:
    async with gateway_to(provider, "503:9:60", "429:9:30", "401") as gateway:
        with pytest.raises(AllTargetsFailed) as raised:
            await ask(gateway, request())
    failed = raised.value
    assert failed.status == 503 and failed.retry_after == 30 and [f.provider_status for f in failed.failures] == [503, 429, 401]
    assert "target 1" in str(failed) and "target 3" in str(failed) and "SOME_KEY" in failed.hint


async def test_no_server_at_the_address_says_so() -> None:
    target = {"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    settings = Settings.model_validate({"routes": [{"name": "r", "targets": [target]}]})
    gateway = Gateway(settings, HashEncoder, {})
    with pytest.raises(AllTargetsFailed, match="no connection"):
        await ask(gateway, request())
    await gateway.aclose()


# --- Secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
@pytest.mark.parametrize("stream", [True, False])
async def test_t13_a_body_that_echoes_our_key_is_not_passed_on(provider: FaultyProvider, status: int, stream: bool) -> None:
    async with gateway_to(provider, f"{status}") as gateway:
        with pytest.raises(ProviderError) as raised:
            await ask(gateway, request(stream=stream))
    seen = [str(raised.value), raised.value.hint, repr(vars(raised.value))]
    assert not any(KEY in what for what in seen)


async def test_a_missing_key_is_the_targets_failure_and_names_its_variable(provider: FaultyProvider) -> None:
    targets = [{"provider": "openai", "model": "ok", "base_url": provider.url, "api_key_env": "ABSENT_KEY"}]
    alone = Gateway(Settings.model_validate({"routes": [{"name": "r", "targets": targets}]}), HashEncoder, {})
    with pytest.raises(AllTargetsFailed, match="ABSENT_KEY"):
        await ask(alone, request())
    helped = Gateway(Settings.model_validate({"routes": [{"name": "r", "targets": [*targets, {"provider": "extractive"}]}]}), HashEncoder, {})
    assert "extractive" in text(await ask(helped, request()))
    assert not provider.requests


@pytest.mark.parametrize("broken", ["two words", "line\nbreak", "ключ"])
async def test_a_key_that_cannot_be_one_is_not_shown(provider: FaultyProvider, broken: str) -> None:
    targets = [{"provider": "openai", "model": "ok", "base_url": provider.url, "api_key_env": "BAD_KEY"}]
    gateway = Gateway(Settings.model_validate({"routes": [{"name": "r", "targets": targets}]}), HashEncoder, {"BAD_KEY": broken})
    with pytest.raises(AllTargetsFailed, match="BAD_KEY") as raised:
        await ask(gateway, request())
    assert broken not in str(raised.value)
