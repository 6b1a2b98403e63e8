"""Which network addresses may be reached when a URL comes from a caller or out of a document.

Such a URL must not lead into the operator's own network, whatever it is called there. So a name is resolved here, every
address that it has is judged, and the connection is made to an address that was judged: the name is not looked up again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from llmops.errors import ConfigurationError, ConnectionFailed, InvalidInput

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""From a host name and a port to the addresses of that name."""

_PORTS = {80, 443}
# A last label that is a number makes the host an address in one of its old notations: 127.1, 0x7f.1, 2130706433.
_NUMERIC = re.compile(r"(?:^|\.)(?:0x[0-9a-f]*|[0-9]+)\.?$", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]+")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# What the registries call global, and what still leads somewhere else: tunnels, old site-local, a cloud's own services.
_NOT_PUBLIC: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in ("::/96", "2001::/32", "2002::/16", "64:ff9b:1::/48", "fec0::/10", "192.88.99.0/24", "168.63.129.16/32")
)


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as the operating system knows them."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as failure:
        raise ConnectionFailed(f"{host}: the name is not known", hint="check the address") from failure
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: Address) -> bool:
    """Whether an address belongs to the open internet and to a single host."""
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not special and not any(address in network for network in _NOT_PUBLIC)


class Guard:
    """Judges where a URL leads. `allow` names networks (CIDR) that are good in spite of being private."""

    def __init__(self, allow: Sequence[str] = (), resolve: Resolve = resolve) -> None:
        self._allow = [_network(entry) for entry in allow]
        self._resolve = resolve

    async def addresses(self, scheme: str, userinfo: bytes, host: str, port: int | None) -> list[str]:
        """The addresses that may be connected to. `InvalidInput` if any address of the host is not for the asking."""
        if scheme not in {"http", "https"}:
            raise InvalidInput(f"{scheme or 'no'} scheme: only http and https addresses are fetched", param="url")
        if userinfo:
            raise InvalidInput("an address with a user name or password in it is not fetched", hint="leave out what stands before the @", param="url")
        port = {"http": 80, "https": 443}[scheme] if port is None else port
        if not (_HOST.fullmatch(host) and 0 < port < 65536):
            raise InvalidInput("the address names no host and port that could be", param="url")
        found = [_parse(text) for text in await self._lookup(host, port)]
        if not found:
            raise ConnectionFailed(f"{host}: the name has no address")
        for address in found:
            self._judge(host, port, address)
        return [str(address) for address in found]

    async def _lookup(self, host: str, port: int) -> list[str]:
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        if _NUMERIC.search(host):
            raise InvalidInput(f"{host}: an address in an old notation is not fetched", hint="write it as four decimal numbers", param="url")
        return await self._resolve(host, port)

    def _judge(self, host: str, port: int, address: Address) -> None:
        if any(address in network for network in self._allow):
            return
        hint = "[outbound] allow in llmops.toml can name networks that are good"
        if not is_public(address):
            raise InvalidInput(f"{host}: the address is not on the open internet", hint=hint, param="url")
        if port not in _PORTS:
            raise InvalidInput(f"{host}: port {port} is not fetched, only 80 and 443", hint=hint, param="url")


def _network(entry: str) -> Network:
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        raise ConfigurationError(f"[outbound] allow: {entry!r} is not a network", hint='write it as "10.0.0.0/8"') from None


def _parse(text: str) -> Address:
    """An address, and where it only wraps an IPv4 one, that one: it is where packets end."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
