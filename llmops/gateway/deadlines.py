"""The deadlines of one attempt: the first token, the gaps after it, the whole attempt, the whole call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from llmops.errors import ProviderError
from llmops.sections import Timeouts

Result = TypeVar("Result")


class Deadlines:
    """Bounds each wait for a provider. Time that the reader of a stream takes between two waits is not the provider's.

    `call_ends` is a `time.monotonic()` value. A deadline that passes is a `ProviderError` that is not transient: who
    was silent once is not asked again, the next target is.
    """

    def __init__(self, name: str, timeouts: Timeouts, call_ends: float | None, *, streams: bool) -> None:
        now = time.monotonic()
        self._name, self._timeouts = name, timeouts
        self._last = [(now + timeouts.attempt, f"no whole answer within {timeouts.attempt:g} s")]
        if call_ends is not None:
            self._last.append((call_ends, "the call's own time was up"))
        self._next = (now + timeouts.first_token, f"no first token within {timeouts.first_token:g} s") if streams else self._last[0]

    def answered(self) -> None:
        """A part of the answer came: the next must come within `stall`."""
        self._next = (time.monotonic() + self._timeouts.stall, f"the stream stalled for {self._timeouts.stall:g} s")

    async def wait(self, awaitable: Awaitable[Result]) -> Result:
        """The awaitable's result, or `ProviderError` if it does not come in time."""
        end, why = min(self._next, *self._last)
        try:
            async with asyncio.timeout(end - time.monotonic()):
                return await awaitable
        except TimeoutError as late:
            raise ProviderError(f"{self._name}: {why}", hint="`timeouts` of the route sets its deadlines") from late
