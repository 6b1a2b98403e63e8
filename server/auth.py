"""Which key a token is, remembered for a second; and where a request came from."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from starlette.requests import Request

from llmops.access import audit, keys
from llmops.access.keys import Key
from llmops.access.principals import parse_principals
from llmops.access.rows import mark_used
from llmops.errors import InvalidInput, LLMOpsError, NotPermitted
from llmops.types import Asker

if TYPE_CHECKING:
    from llmops.home import Home

REMEMBERED = 1.0
"""Seconds that a key is taken for good without another look: so long a revoked one may still open, in any process."""
MOST_REMEMBERED = 10_000
NOTED_EVERY = 30.0
"""Seconds between two notes of which keys were used."""
SPEAKS_FOR = b"llmops-as"
LONGEST_SPEAKS_FOR = 16_384


class Known(NamedTuple):
    key: Key
    asker: Asker
    until: float


class Keys:
    """The keys that this process has seen lately. What is no key is never remembered."""

    def __init__(self, home: Home) -> None:
        self._home = home
        # By the hash of the whole token: no part of one may stand for it.
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._used: dict[str, float] = {}
        self._refused: dict[str, float] = {}
        self._changes = 0

    async def find(self, token: str) -> Known:
        """The key of a token and whom it is; raises `NotAuthenticated` where there is none."""
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is None or known.until < time.monotonic():
            # From before the look: what is revoked after it is seen in time.
            until, changes = time.monotonic() + REMEMBERED, self._changes
            key = await self._home.store.read_async(lambda connection: keys.authenticate(connection, token))
            known = Known(key, key.asker(), until)
            if changes == self._changes:
                self._known[digest] = known
                self._known.move_to_end(digest)
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
        keys.check_active(known.key)
        self._used[known.key.id] = time.time()
        return known

    def is_news(self, key_id: str) -> bool:
        """Whether a refusal of this key is to be written down: once a minute, so that nobody fills the log with them."""
        now = time.monotonic()
        self._refused = {known: at for known, at in self._refused.items() if now - at < 60}
        return self._refused.setdefault(key_id, now) == now

    def forget(self) -> None:
        """Look again at every key: one was changed here."""
        self._changes += 1
        self._known.clear()

    async def note_forever(self) -> None:
        """Write down every half minute which keys were used."""
        while True:
            await asyncio.sleep(NOTED_EVERY)
            await self.note_used()

    async def note_used(self) -> None:
        """Write down which keys were used since the last time. A store that is away is told the next time."""
        used, self._used = self._used, {}
        try:
            if used:
                await self._home.store.write_async(lambda connection: mark_used(connection, used), durable=False)
        except LLMOpsError:
            self._used = {**used, **self._used}


async def asker_of(home: Home, remembered: Keys, known: Known, spoken_for: Collection[bytes], origin: str) -> Asker:
    """Whom a request is made by: the key's own asker, or those whom the header `Llmops-As` names.

    Raises `InvalidInput` for a header that names nobody, `NotPermitted` for one whom the key may not speak for.
    """
    if not spoken_for:
        return _with_origin(known.asker, origin)
    principals = parse_principals(_text(spoken_for))
    try:
        return known.key.asker_as(principals, origin)
    except NotPermitted:
        if remembered.is_news(known.key.id):
            detail = {"as": sorted(principals)[:10], "principals": len(principals)}
            asker = _with_origin(known.asker, origin)
            await home.store.write_async(lambda connection: audit.record(connection, asker, "key.act-as.refused", f"key:{known.key.name}", detail))
        raise


def origin_of(request: Request, trusted: Collection[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> str:
    """The address that a request came from; of what X-Forwarded-For says, only what trusted proxies added counts."""
    address = request.client.host if request.client else ""
    forwarded = [part.strip() for header in request.headers.getlist("x-forwarded-for") for part in header.split(",")]
    while forwarded and _is_within(address, trusted):
        address = forwarded.pop()
    return address if _parsed(address) else ""


def _is_within(address: str, networks: Collection[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in networks)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None


def _with_origin(asker: Asker, origin: str) -> Asker:
    return replace(asker, origin=origin)


def _text(headers: Collection[bytes]) -> str:
    [header, *others] = headers
    if others:
        raise InvalidInput("the header Llmops-As comes twice", hint="name all principals in one, with commas between them", param="Llmops-As")
    try:
        text = unquote(header.decode("utf-8"), errors="strict")
    except UnicodeDecodeError:
        hint = "write user:alice,group:sales; what is not ASCII as UTF-8, or percent-encoded as in an address"
        raise InvalidInput("the header Llmops-As is not UTF-8", hint=hint, param="Llmops-As") from None
    if len(text) > LONGEST_SPEAKS_FOR:
        raise InvalidInput("the header Llmops-As is too long", hint=f"at most {LONGEST_SPEAKS_FOR} characters", param="Llmops-As")
    return text
