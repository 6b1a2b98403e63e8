"""The wiring: what the routes work with, each made once, out of one home."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from functools import cached_property
from typing import TYPE_CHECKING

from llmops.errors import LLMOpsError, Unavailable
from server.auth import Keys

if TYPE_CHECKING:
    from chains.flow import Chains
    from llmops.gateway.gateway import Gateway
    from llmops.home import Home
    from vectorstore.search import Searcher

log = logging.getLogger("llmops.server")

PATIENCE = 10.0
"""Seconds that a request waits for a server that is still loading."""
RETRY = 5.0
"""Seconds between two attempts to load what could not be loaded."""


class Rooms:
    """Store, encoder, search, gateway and chains of a home. `load` opens them; until then requests wait a little."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.failure = ""
        self.keys = Keys(home)
        self.kinds = {workspace.name: workspace.kind for workspace in home.settings.workspaces}
        self.proxies = [ipaddress.ip_network(network) for network in home.settings.server.trusted_proxies]
        self._loaded = asyncio.Event()

    @cached_property
    def searcher(self) -> Searcher:
        from vectorstore.search import Searcher

        return Searcher(self.home)

    @cached_property
    def chains(self) -> Chains:
        from chains.flow import Chains
        from chains.flow import Rooms as ChainRooms

        return Chains(ChainRooms(self.home, self.searcher, self.gateway))

    @cached_property
    def gateway(self) -> Gateway:
        from llmops.gateway.gateway import Gateway

        return Gateway(self.home.settings, lambda: self.home.encoder)

    @property
    def loaded(self) -> bool:
        return self._loaded.is_set()

    async def load(self) -> None:
        """Open everything, in a thread; what fails is logged, its code kept in `failure`, and it is tried again."""
        while not self.loaded:
            try:
                await asyncio.to_thread(self._open)
            except Exception as error:  # whatever it is, the process stays and says so, and tries again
                self.failure = error.code if isinstance(error, LLMOpsError) else "internal_error"
                log.error("cannot load yet: %s", error, exc_info=not isinstance(error, LLMOpsError))
                await asyncio.sleep(RETRY)
            else:
                self.failure = ""
                self._loaded.set()

    async def opened(self) -> None:
        """Return once everything is loaded; `Unavailable` where that takes too long."""
        if self.loaded:
            return
        try:
            await asyncio.wait_for(self._loaded.wait(), PATIENCE)
        except TimeoutError:
            raise Unavailable(
                f"the server is starting{': ' + self.failure if self.failure else ''}", hint="GET /readyz says what is missing"
            ) from None

    async def close(self) -> None:
        """Let go of connections, and finish the writes that were handed in."""
        if "gateway" in self.__dict__:
            await self.gateway.aclose()
        if self.loaded:
            await self.keys.note_used()
        await asyncio.to_thread(self.home.close)

    def _open(self) -> None:
        self.home.store  # noqa: B018  # opened on first use
        self.home.encoder  # noqa: B018
        self.searcher, self.gateway, self.chains  # noqa: B018
