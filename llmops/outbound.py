"""The one factory of HTTP clients.

An address in llmops.toml is the operator's word: `Http` reaches it wherever it is, through the proxy that the
environment names. An address that comes through the API or out of a document is not: `guarded_client` and `fetch`
judge where it leads (`llmops.addresses`), at each redirect again, and connect to the very address that was judged.
They go past any proxy, for a proxy would look the name up a second time.

Nobody asks for compressed bodies and nobody takes them: a small body that unpacks to a large one would pass the limits.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import httpx

from llmops import __version__
from llmops.addresses import Guard, Resolve, resolve
from llmops.errors import ConnectionFailed, InvalidInput, TooLarge

_HEADERS = {"User-Agent": f"llmops/{__version__}", "Accept-Encoding": "identity"}
_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request: its status, its headers in lower case, and its body as it comes in."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncGenerator[bytes, None]

    async def read(self, limit: int) -> bytes:
        """The whole body; `TooLarge` beyond `limit` bytes."""
        body = bytearray()
        async with aclosing(self.chunks) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > limit:
                    raise TooLarge(f"the answer is larger than {limit} bytes")
        return bytes(body)


class Http:
    """The client for the operator's own addresses; it keeps connections open. Loopback never goes through a proxy.

    Failures to connect, to send or to receive are `ConnectionFailed`. Redirects are not followed.
    """

    def __init__(self) -> None:
        direct = {f"all://{host}": httpx.AsyncHTTPTransport(limits=_limits()) for host in ("localhost", "127.0.0.1", "[::1]")}
        self._client = httpx.AsyncClient(headers=_HEADERS, mounts=direct, limits=_limits(), timeout=None)  # noqa: S113  # deadlines are the caller's

    @asynccontextmanager
    async def post(self, url: str, *, body: bytes, headers: Mapping[str, str], connect: float) -> AsyncIterator[Reply]:
        """Send `body` and give the reply once its headers are there. `connect` is in seconds; other deadlines are the caller's."""
        async with self._send("POST", url, body, headers, connect) as reply:
            yield reply

    @asynccontextmanager
    async def get(self, url: str, *, connect: float) -> AsyncIterator[Reply]:
        """Give the reply once its headers are there; as `post`."""
        async with self._send("GET", url, b"", {}, connect) as reply:
            yield reply

    @asynccontextmanager
    async def _send(self, method: str, url: str, body: bytes, headers: Mapping[str, str], connect: float) -> AsyncIterator[Reply]:
        timeout = httpx.Timeout(None, connect=connect)
        try:
            request = self._client.build_request(method, url, content=body, headers=dict(headers), timeout=timeout)
            response = await self._client.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as failure:
            raise _failed(_shown(url), failure) from failure
        try:
            yield Reply(response.status_code, _lowered(response), _chunks(response))
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        await self._client.aclose()


@dataclass(frozen=True, slots=True)
class Fetched:
    """What lay at an address. `content_type` is without its parameters; `url` is where the last redirect led."""

    content: bytes
    content_type: str
    url: str


def guarded_client(allow: Sequence[str] = (), *, resolve: Resolve = resolve) -> httpx.AsyncClient:
    """A client for addresses that come through the API or out of documents.

    It follows redirects, judges each one, and takes `Authorization` away where one leads to another origin.
    An address that is not for the asking is `InvalidInput`. `allow` are networks (CIDR) that are good nevertheless.
    """
    return httpx.AsyncClient(
        transport=_GuardedTransport(Guard(allow, resolve)),
        headers=_HEADERS,
        follow_redirects=True,
        max_redirects=_REDIRECTS,
        trust_env=False,
        timeout=30,
    )


async def fetch(url: str, allow: Sequence[str] = (), *, max_bytes: int, deadline: float, resolve: Resolve = resolve) -> Fetched:
    """Get what lies at an address from a document or a caller. `deadline` is a `time.monotonic()` value.

    Raises `InvalidInput` (the address is refused, or the server answers with an error), `TooLarge`, `ConnectionFailed`.
    """
    where = _shown(url)
    try:
        async with asyncio.timeout(deadline - time.monotonic()), guarded_client(allow, resolve=resolve) as client:
            request = client.build_request("GET", url)
            response = await client.send(request, stream=True)
            try:
                return await _content(response, where, max_bytes)
            finally:
                await response.aclose()
    except TimeoutError as failure:
        raise ConnectionFailed(f"{where}: not fetched in time") from failure
    except httpx.TooManyRedirects as failure:
        raise InvalidInput(f"{where}: more than {_REDIRECTS} redirects", param="url") from failure
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as failure:
        raise InvalidInput(f"{where}: not an http or https address", param="url") from failure
    except httpx.HTTPError as failure:
        raise _failed(where, failure) from failure


class _GuardedTransport(httpx.AsyncBaseTransport):
    """Sends a request to an address that `guard` has judged, under the name that the URL has."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        # A connection is never kept: it was checked for one name, and another name may have the same address.
        self._inner = httpx.AsyncHTTPTransport(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.raw_host.decode("ascii")
        addresses = await self._guard.addresses(request.url.scheme, request.url.userinfo, host, request.url.port)
        for address in addresses[:-1]:
            try:
                return await self._inner.handle_async_request(_pinned(request, host, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._inner.handle_async_request(_pinned(request, host, addresses[-1]))

    async def aclose(self) -> None:
        await self._inner.aclose()


def _pinned(request: httpx.Request, host: str, address: str) -> httpx.Request:
    """The same request, to a number instead of a name; the Host header and the certificate's name stay."""
    extensions = {**request.extensions, "sni_hostname": host}
    return httpx.Request(request.method, request.url.copy_with(host=address), headers=request.headers, stream=request.stream, extensions=extensions)


async def _content(response: httpx.Response, where: str, max_bytes: int) -> Fetched:
    if not response.is_success:
        raise InvalidInput(f"{where}: the server answered {response.status_code}", param="url")
    reply = Reply(response.status_code, _lowered(response), _chunks(response))
    declared = reply.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise TooLarge(f"{where}: larger than {max_bytes} bytes")
    try:
        content = await reply.read(max_bytes)
    except TooLarge:
        raise TooLarge(f"{where}: larger than {max_bytes} bytes") from None
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Fetched(content, kind, str(response.url))


async def _chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"", "identity"}:
        raise ConnectionFailed(f"{response.url.host}: the answer is compressed ({coding[:20]}), which was not asked for")
    try:
        async for chunk in response.aiter_raw():
            yield chunk
    except httpx.HTTPError as failure:
        raise _failed(response.url.host, failure) from failure


def _lowered(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _limits() -> httpx.Limits:
    return httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=30)


def _failed(where: str, failure: Exception) -> ConnectionFailed:
    """What happened, in words of our own: a library's message may quote a header."""
    if isinstance(failure, httpx.ConnectTimeout):
        return ConnectionFailed(f"{where}: no connection in time")
    if isinstance(failure, httpx.ConnectError):
        return ConnectionFailed(f"{where}: no connection", hint="is the server up, and its address right?")
    if isinstance(failure, UnicodeError | httpx.InvalidURL | httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return ConnectionFailed(f"{where}: the request could not be sent ({type(failure).__name__})", hint="check the address and the key")
    return ConnectionFailed(f"{where}: the connection broke ({type(failure).__name__})")


def _shown(url: str) -> str:
    """A URL as messages show it: without what may be secret in it."""
    scheme, slashes, rest = url.partition("://")
    place = rest if slashes else url
    place = re.split(r"[?#]", place, maxsplit=1)[0]
    place = place.rpartition("@")[2]
    return f"{scheme}{slashes}{place}"[:200] if slashes else place[:200]
