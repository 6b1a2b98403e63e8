"""A model provider that goes wrong on purpose: a real server on loopback, for tests of whatever calls one."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from llmops.types import Json


class FaultyProvider:
    """An OpenAI-compatible server on loopback that goes wrong on purpose; the model's name picks the fault.

        async with FaultyProvider() as provider:
            target = {"provider": "openai", "model": "cut:3", "base_url": provider.url}

    `N` is a number of tokens sent before the fault, or of calls that fail before one succeeds (default: every call).

    | model               | what it does                                                              |
    |---------------------|---------------------------------------------------------------------------|
    | `ok`, `split`, `crlf` | answers; each byte by itself; with CRLF, comments and fields of no use  |
    | `cut:N`, `rst:N`    | closes, or resets, the connection after N tokens                          |
    | `stall:N`, `silent` | says no more after N tokens (0: after the role); does not answer at all   |
    | `drip`, `slow:N`    | sends one byte each 50 ms; answers in N tokens, one each 100 ms           |
    | `500:N:W`           | any status; W is the value of Retry-After. The body echoes the caller's key |
    | `error:N`, `malformed:N` | sends an error event, or broken JSON, after N tokens                 |
    | `html`, `empty`, `no-choices` | answers 200 with a web page, with nothing, with no choices      |
    | `line:N`, `gzip:N`, `header` | sends a line of N MB, a body that unpacks to N MB, a header of 1 MB |
    """

    def __init__(self, *tokens: str) -> None:
        self.tokens = tokens or ("The", " answer", " is", " 42", ".")
        self.calls: Counter[str] = Counter()
        self.requests: list[Json] = []
        self.left: list[float] = []
        """When each caller that left before the end was seen to leave, by `time.monotonic()`."""
        self.open = 0
        """Connections that are open now, those included that a client keeps for its next call."""
        self.answering = 0
        """Calls that are being answered now: 0 once every caller has its answer or has left."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def __aenter__(self) -> FaultyProvider:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        try:
            while await self._call(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the caller has left, or the test is over
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
        self.requests.append(body)
        self.calls[body["model"]] += 1
        fault, *numbers = body["model"].split(":")
        answer = _FaultyAnswer(reader, writer, self.tokens, bool(body.get("stream")), fault, numbers)
        failing = int(numbers[0]) if numbers else self.calls[body["model"]]
        if fault.isdecimal():
            if self.calls[body["model"]] <= failing:
                await answer.status(int(fault), _echo(headers.get("authorization", "")), numbers[1] if len(numbers) > 1 else "")
                return True
            fault = "ok"
        self.answering += 1
        try:
            goes_on = await getattr(answer, fault.replace("-", "_"))()
        finally:
            self.answering -= 1
        if answer.left is not None:
            self.left.append(answer.left)
        return bool(goes_on)


class _FaultyAnswer:
    """One answer of a `FaultyProvider`: a method for each fault. True: the connection is still good."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tokens: Sequence[str], streams: bool, fault: str, numbers: list[str]
    ) -> None:
        self._reader, self._writer, self._tokens, self._streams = reader, writer, tokens, streams
        self._number = int(numbers[0]) if numbers else 3
        self._byte_wise, self._end = fault == "split", "\r\n" if fault == "crlf" else "\n"
        self.left: float | None = None

    async def ok(self) -> bool:
        if not self._streams:
            return await self._body(json.dumps(_completion("".join(self._tokens))).encode())
        return await self._answer(len(self._tokens))

    split = crlf = ok

    async def slow(self) -> bool:
        return await self._answer(self._number, pause=0.1)

    async def _answer(self, tokens: int, pause: float = 0) -> bool:
        """A whole stream."""
        await self._events(tokens, pause)
        await self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        await self._event({"choices": [], "usage": _USAGE})
        await self._send(f"data: [DONE]{self._end * 2}".encode())
        await self._raw(b"0\r\n\r\n")
        return True

    async def cut(self) -> bool:
        if self._streams:
            await self._events(self._number)
        else:
            await self._raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{")
        return False

    async def rst(self) -> bool:
        await self.cut()
        await asyncio.sleep(0.02)  # a reset overtakes what was sent just before it
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
        return False

    async def silent(self) -> bool:
        await self._reader.read()
        self.left = time.monotonic()
        return False

    async def stall(self) -> bool:
        await self._events(self._number)
        return await self.silent()

    async def drip(self) -> bool:
        await self._events(0)
        for byte in b'data: {"choices": [{"delta": {"content": "slow"}}]}\n\n' * 9:
            await self._send(bytes([byte]))
            await asyncio.sleep(0.05)
        return False

    async def status(self, status: int, message: str, retry_after: str) -> bool:
        header = f"Retry-After: {retry_after}\r\n" if retry_after else ""
        error = {"error": {"message": message, "type": "test", "code": "fault"}}
        return await self._body(json.dumps(error).encode(), status=f"{status} Fault", headers=header)

    async def error(self) -> bool:
        if not self._streams:
            return await self._body(b'{"error": {"message": "overloaded"}}')
        await self._events(self._number)
        await self._event({"error": {"message": "overloaded"}})
        return False

    async def malformed(self) -> bool:
        if not self._streams:
            return await self._body(b'{"choices": [')
        await self._events(self._number)
        await self._send(b'data: {"choices": [\n\n')
        return False

    async def html(self) -> bool:
        return await self._body(b"<html>Bad gateway</html>", kind="text/html")

    async def empty(self) -> bool:
        return await self._body(b"")

    async def no_choices(self) -> bool:
        if not self._streams:
            return await self._body(b'{"choices": []}')
        return await self._body(b'data: {"choices": []}\n\ndata: [DONE]\n\n', kind="text/event-stream")

    async def line(self) -> bool:
        await self._events(0)
        for _ in range(16 * self._number):
            await self._send(b"x" * 62500)
        return False

    async def gzip(self) -> bool:
        packer = zlib.compressobj(1, wbits=31)
        packed = b"".join(packer.compress(b" " * 1_000_000) for _ in range(self._number)) + packer.flush()
        return await self._body(packed, headers="Content-Encoding: gzip\r\n")

    async def header(self) -> bool:
        return await self._body(b"{}", headers=f"X-Long: {'x' * 1_000_000}\r\n")

    async def _events(self, tokens: int, pause: float = 0) -> None:
        await self._raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await self._event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        for number in range(tokens):
            await self._event({"choices": [{"index": 0, "delta": {"content": self._tokens[number % len(self._tokens)]}, "finish_reason": None}]})
            if pause:
                await asyncio.sleep(pause)

    async def _event(self, event: Json) -> None:
        extra = f": ping{self._end}id: 1{self._end}" if self._end == "\r\n" else ""
        text = json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "faulty-1", **event}, ensure_ascii=False)
        await self._send(f"{extra}data: {text}{self._end * 2}".encode())

    async def _send(self, data: bytes) -> None:
        """One chunk of the transfer, or one for each byte."""
        pieces = [data[i : i + 1] for i in range(len(data))] if self._byte_wise else [data]
        for piece in pieces:
            await self._raw(b"%x\r\n%s\r\n" % (len(piece), piece))

    async def _body(self, body: bytes, *, status: str = "200 OK", kind: str = "application/json", headers: str = "") -> bool:
        await self._raw(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return True

    async def _raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


def _echo(authorization: str) -> str:
    """The caller's key as a careless server would repeat it: as it came, in base64, and as in a URL."""
    key = authorization.removeprefix("Bearer ")
    return f"bad key {authorization} {base64.b64encode(f'user:{key}'.encode()).decode()} /v1?key={quote(key, safe='')}"


_USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def _completion(text: str) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "faulty-1", "choices": [choice], "usage": _USAGE, "x_unknown": 1}
