"""The gateway: from the name of a route to a model's reply."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from llmops import plugins
from llmops.errors import ConfigurationError, UnknownName
from llmops.gateway.providers import ProviderContext
from llmops.gateway.routing import Fallback, Retrying
from llmops.sections import Route, Target
from llmops.settings import Settings
from llmops.types import ChatChunk, ChatRequest, Embedder, Provider, Usage

if TYPE_CHECKING:
    from llmops.outbound import Http


class Gateway:
    """Every call of a model goes through one of these. Close it with `aclose`.

    Any event loop may call it; connections are kept for each loop, since they belong to one. Building it reads no key,
    opens no connection and loads no encoder; a target that cannot be built is a `ConfigurationError` that names its
    route and its place in it.
    """

    def __init__(self, settings: Settings, encoder: Callable[[], Embedder], environ: Mapping[str, str] = os.environ) -> None:
        self._encoder, self._environ = encoder, environ
        self._http: WeakKeyDictionary[asyncio.AbstractEventLoop, Http] = WeakKeyDictionary()
        self._routes = {route.name: route for route in settings.routes}
        self._providers = {route.name: self._route_provider(settings, number, route) for number, route in enumerate(settings.routes)}
        self._prices = {model.name: model for model in settings.models}

    def stream(self, route: str, request: ChatRequest, workspace: str) -> AsyncGenerator[ChatChunk, None]:
        """The reply of a route, chunk by chunk; one chunk where the request does not stream. Close it with `contextlib.aclosing`.

        Raises `UnknownName` at the call; `ProviderRefused`, `AllTargetsFailed`, or after the first chunk `ProviderError`,
        while it is read. The route's `total` bounds the call, besides the request's own deadline.
        """
        allowed = {known.name: known for known in self.routes(workspace)}
        if route not in allowed:
            raise UnknownName("route", route, allowed)
        ends = time.monotonic() + allowed[route].timeouts.total
        deadline = ends if request.deadline is None else min(ends, request.deadline)
        return self._providers[route].stream(replace(request, deadline=deadline))

    def routes(self, workspace: str) -> list[Route]:
        """The routes that this workspace may call."""
        return [route for route in self._routes.values() if route.workspaces is None or workspace in route.workspaces]

    def price(self, model: str, usage: Usage) -> float:
        """What a call cost, in USD, by `[[models]]`; 0 for a model without a price there."""
        listed = self._prices.get(model)
        if listed is None:
            return 0.0
        return (usage.tokens_in * listed.input + usage.tokens_out * listed.output) / 1_000_000

    async def aclose(self) -> None:
        """Close the connections of the running event loop. A later call opens new ones."""
        http = self._http.pop(asyncio.get_running_loop(), None)
        if http is not None:
            await http.aclose()

    def _route_provider(self, settings: Settings, place: int, route: Route) -> Provider:
        targets = []
        for number, target in enumerate(route.targets):
            try:
                targets.append(Retrying(self._target_provider(route, number + 1, target)))
            except ConfigurationError as wrong:
                line = settings.place("routes", place, "targets", number, "provider")
                raise ConfigurationError(f"{line}{wrong}", hint=wrong.hint) from None
        return Fallback(route.name, targets)

    def _target_provider(self, route: Route, number: int, target: Target) -> Provider:
        name = f"route {route.name!r}, target {number} ({target.model or target.provider})"
        try:
            make = plugins.find("providers", target.provider)
        except UnknownName as unknown:
            raise ConfigurationError(f"{name}: {unknown}", hint=unknown.hint) from None
        provider: Provider = make(target, ProviderContext(name, route.timeouts, self._client, self._encoder, self._environ))
        return provider

    def _client(self) -> Http:
        """The event loop's one HTTP client, made at the first call that needs it: a home with embedded models alone never does."""
        loop = asyncio.get_running_loop()
        if loop not in self._http:
            from llmops.outbound import Http

            self._http[loop] = Http()
        return self._http[loop]
