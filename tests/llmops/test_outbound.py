"""What may be reached from here, and by whom the address was given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from llmops.addresses import Guard
from llmops.errors import ConfigurationError, ConnectionFailed, InvalidInput, LLMOpsError, TooLarge
from llmops.outbound import Fetched, Http, fetch, guarded_client

PUBLIC = "93.184.216.34"


class Site:
    """A server on loopback: a handler from the request's head to the whole response; `heads` is what it saw."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.answer: Callable[[str], bytes] = lambda head: page(b"hello")
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        writer.write(self.answer(head))
        writer.close()


def page(body: bytes, status: str = "200 OK", headers: str = "Content-Type: text/html; charset=utf-8\r\n") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def redirect(to: str) -> bytes:
    return page(b"", "302 Found", f"Location: {to}\r\n")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    yield site
    server.close()


def names(**addresses: str | list[str]) -> Callable[[str, int], object]:
    """A resolver that knows these names alone; a list is given out one look-up after the other."""

    async def resolve(host: str, port: int) -> list[str]:
        known = addresses[host.replace(".", "_")]
        return [known.pop(0)] if isinstance(known, list) else known.split()

    return resolve


async def get(url: str, allow: tuple[str, ...] = (), resolve: object = None, max_bytes: int = 1000, seconds: float = 5) -> Fetched:
    resolver = {"resolve": resolve} if resolve else {}
    return await fetch(url, allow, max_bytes=max_bytes, deadline=time.monotonic() + seconds, **resolver)  # type: ignore[arg-type]


LOOPBACK = ("127.0.0.0/8",)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://0x7f.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:7f00:1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1]/",
        "http://[fec0::1]/",
        "http://[fd00:ec2::254]/",
        "http://[ff02::1]/",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://100.100.100.200/",
        "http://168.63.129.16/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://１２７.0.0.1/",
        f"http://{PUBLIC}:22/",
        f"http://{PUBLIC}:8080/",
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://169.254.169.254#@example.com/",
        "http://example.com@169.254.169.254/",
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://example.com/",
        "//example.com/",
        "example.com",
        "http://",
        "http:///x",
        "http://exa mple.com/",
        "http://example.com:99999/",
        "http://\x00/",
        "",
    ],
)
async def test_t16_an_address_that_is_not_on_the_open_internet_is_refused(url: str) -> None:
    async def nobody(host: str, port: int) -> list[str]:
        raise AssertionError(f"looked up {host!r}")

    with pytest.raises(InvalidInput) as raised:
        await get(url, resolve=nobody)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "::1", "169.254.169.254", "::ffff:127.0.0.1", f"{PUBLIC} 10.0.0.1"])
async def test_t16_a_name_with_a_private_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match=r"intranet\.example"):
        await get("http://intranet.example/", resolve=names(intranet_example=address))


async def test_t16_a_name_that_changes_its_address_is_connected_where_it_was_judged(site: Site) -> None:
    rebinding = names(rebind_example=["127.0.0.2", "10.0.0.1"])
    with pytest.raises(ConnectionFailed):  # nothing listens at 127.0.0.2: the connection went there, and the name was asked once
        await get(f"http://rebind.example:{site.port}/", LOOPBACK, rebinding)
    with pytest.raises(InvalidInput):
        await get("http://rebind.example/", LOOPBACK, rebinding)
    assert not site.heads


async def test_a_good_address_is_fetched_by_its_number_under_its_name(site: Site) -> None:
    found = await get(f"http://docs.example:{site.port}/a?b=c", LOOPBACK, names(docs_example="127.0.0.9 127.0.0.1"))
    assert found == Fetched(b"hello", "text/html", f"http://docs.example:{site.port}/a?b=c")
    assert site.heads[0].startswith("GET /a?b=c ") and f"Host: docs.example:{site.port}" in site.heads[0]


@pytest.mark.parametrize(
    "to", ["http://10.0.0.1/", "http://169.254.169.254/", "http://intranet.example/", "file:///etc/passwd", "http://a:b@docs.example/", "//0x7f.1/"]
)
async def test_t16_every_redirect_is_judged(site: Site, to: str) -> None:
    site.answer = lambda head: redirect(to)
    with pytest.raises(InvalidInput):
        await get(f"http://docs.example:{site.port}/", LOOPBACK, names(docs_example="127.0.0.1", intranet_example="192.168.0.1"))
    assert len(site.heads) == 1


async def test_t16_authorization_stays_with_the_origin_that_it_is_for(site: Site) -> None:
    port = site.port
    site.answer = lambda head: page(b"end") if "/end" in head else redirect("/next" if "/start" in head else f"http://other.example:{port}/end")
    resolver = names(docs_example="127.0.0.1", other_example="127.0.0.1")
    async with guarded_client(LOOPBACK, resolve=resolver) as client:  # type: ignore[arg-type]
        response = await client.get(f"http://docs.example:{port}/start", headers={"Authorization": "Bearer x1"})
    assert response.text == "end"
    assert ["x1" in head for head in site.heads] == [True, True, False]


async def test_redirects_without_end_are_ended(site: Site) -> None:
    site.answer = lambda head: redirect("/again")
    with pytest.raises(InvalidInput, match="redirects"):
        await get(f"http://127.0.0.1:{site.port}/", LOOPBACK)
    assert len(site.heads) == 6


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (page(b"x" * 2000), TooLarge, "1000 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000, TooLarge, "1000 bytes"),
        (page(b"gone", "404 Not Found"), InvalidInput, "404"),
        (page(b"x", headers="Content-Encoding: gzip\r\n"), ConnectionFailed, "compressed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nx", ConnectionFailed, "broke"),
        (b"nonsense\r\n\r\n", ConnectionFailed, "broke"),
        (redirect("http://[/"), LLMOpsError, "address"),
    ],
)
async def test_each_bad_answer_has_one_outcome(site: Site, answer: bytes, error: type[LLMOpsError], says: str) -> None:
    site.answer = lambda head: answer
    with pytest.raises(error, match=says) as raised:
        await get(f"http://127.0.0.1:{site.port}/?token=secret", LOOPBACK)
    assert "secret" not in str(raised.value)


async def test_a_server_that_says_nothing_is_left_in_time(site: Site) -> None:
    site.answer = lambda head: b"HTTP/1.1 200 OK\r\n"
    server = await asyncio.start_server(lambda reader, writer: asyncio.sleep(5), "127.0.0.1", 0)
    started = time.monotonic()
    with pytest.raises(ConnectionFailed, match="in time"):
        await get(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", LOOPBACK, seconds=0.3)
    assert time.monotonic() - started < 3
    server.close()


def test_a_network_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.1/8"):
        Guard(["10.0.0.1/8"])


async def test_the_operators_own_addresses_are_reached_without_a_proxy(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    http = Http()
    async with http.post(f"http://127.0.0.1:{site.port}/v1", body=b"{}", headers={"A": "b"}, connect=1) as reply:
        assert (reply.status, await reply.read(100), reply.headers["content-type"]) == (200, b"hello", "text/html; charset=utf-8")
    with pytest.raises(ConnectionFailed):
        async with http.post("http://docs.example/v1", body=b"{}", headers={}, connect=1):
            raise AssertionError
    await http.aclose()


async def test_a_header_that_cannot_be_sent_is_not_quoted() -> None:
    http = Http()
    with pytest.raises(ConnectionFailed) as raised:
        async with http.post("http://127.0.0.1:9/", body=b"", headers={"Authorization": "Bearer se\ncret"}, connect=1):
            raise AssertionError
    assert "cret" not in str(raised.value)
    await http.aclose()
