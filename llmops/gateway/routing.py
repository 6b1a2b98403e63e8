"""Providers that wrap providers: another try at the same target, and the next target.

Both are silent as long as the caller has got nothing. The first real chunk is the gate: a preamble that only names a
role is held back until one follows. After it, a failure is raised to the caller, who may have shown what came before.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from llmops.errors import AllTargetsFailed, ProviderError, ProviderRefused
from llmops.gateway.chunks import is_real
from llmops.types import ChatChunk, ChatRequest, Provider

RETRIES = 2
LONGEST_WAIT = 10.0
"""Seconds of a Retry-After that are waited; for longer ones the next target is tried at once."""
_FIRST_PAUSE = 0.25


async def gated(chunks: AsyncGenerator[ChatChunk, None]) -> AsyncGenerator[ChatChunk, None]:
    """The same chunks, but nothing before the first real one."""
    held: list[ChatChunk] = []
    async with aclosing(chunks):
        async for chunk in chunks:
            held.append(chunk)
            if is_real(chunk):
                break
        for chunk in held:
            yield chunk
        async for chunk in chunks:
            yield chunk


class Retrying:
    """Asks a target again after a transient failure: at most `RETRIES` times, and never after the first real chunk.

    It waits as long as the provider's Retry-After says, else 0.25 s and 0.5 s, give or take a half. A wait that is
    longer than `LONGEST_WAIT` or than the call has left is not begun: the failure goes up at once.
    """

    def __init__(self, provider: Provider, retries: int = RETRIES, first_pause: float = _FIRST_PAUSE) -> None:
        self._provider, self._retries, self._first_pause = provider, retries, first_pause

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        for attempt in range(self._retries + 1):
            begun = False
            try:
                async with aclosing(gated(self._provider.stream(request))) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
                return
            except ProviderError as failure:
                wait = self._wait(failure, attempt)
                too_long = wait > LONGEST_WAIT or _seconds_left(request) <= wait
                if begun or not failure.transient or attempt == self._retries or too_long:
                    raise
            await asyncio.sleep(wait)

    def _wait(self, failure: ProviderError, attempt: int) -> float:
        if failure.retry_after is not None:
            return failure.retry_after
        return self._first_pause * (1 << attempt) * random.uniform(0.5, 1.5)  # noqa: S311  # spreads callers; hides nothing


class Fallback:
    """Tries the targets in turn until one begins to answer.

    `ProviderRefused` ends it at once: the request is wrong, and would be wrong elsewhere. `AllTargetsFailed` names
    every failure. Errors that are not a provider's, our own bugs among them, are not caught.
    """

    def __init__(self, route: str, targets: Sequence[Provider]) -> None:
        self._route, self._targets = route, targets

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        failures: list[ProviderError] = []
        for target in self._targets:
            if _seconds_left(request) <= 0:
                failures.append(ProviderError("the call's own time was up"))
                break
            begun = False
            try:
                async with aclosing(gated(target.stream(request))) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
                return
            except ProviderRefused:
                raise
            except ProviderError as failure:
                if begun:
                    raise
                failures.append(failure)
        raise AllTargetsFailed(self._route, failures)


def _seconds_left(request: ChatRequest) -> float:
    return float("inf") if request.deadline is None else request.deadline - time.monotonic()
