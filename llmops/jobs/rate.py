"""How fast something goes: what was done in a second, over the last half minute."""

from __future__ import annotations

import time
from collections import deque

WINDOW = 30.0
"""Seconds that count."""


class Rate:
    """Note how much is done, now and then. By a clock that nobody sets; a step back begins anew."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, done: int) -> float | None:
        """Done in a second, of late, to three digits; None where it is too early to say."""
        now = time.monotonic()
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] > WINDOW:
            self._seen.popleft()
        since, before = self._seen[0]
        return float(f"{(done - before) / (now - since):.3g}") if now - since >= 1 else None
