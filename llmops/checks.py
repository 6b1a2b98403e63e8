"""What `llmops doctor` asks: parts of kind `checks`, each a `Check`.

A look changes nothing. A rebuild makes again what is derived, from the truth, and never changes the truth: it says in
a line what it did, and raises where it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.types import Json

MOST_TOLD = 5


@dataclass(slots=True)
class Finding:
    """One line of the report: what was looked at, how much of it there is, and what is wrong with it. `hint` is the way out.

    `cannot_look`: nothing is known; the fault says why.
    """

    name: str
    detail: str = ""
    hint: str = ""
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cannot_look: bool = False

    @property
    def ok(self) -> bool:
        return not self.faults

    def to_json(self) -> Json:
        told = {"check": self.name, "ok": self.ok, "cannot_look": self.cannot_look, "detail": self.detail}
        return {**told, "faults": self.faults, "hint": self.hint, "seconds": round(self.seconds, 3)}

    def __str__(self) -> str:
        if self.ok:
            return f"ok    {self.name}: {self.detail}"
        told = "; ".join(self.faults[:MOST_TOLD])
        more = f"; and {len(self.faults) - MOST_TOLD} more" if len(self.faults) > MOST_TOLD else ""
        return f"WRONG {self.name}: {told}{more}" + (f" ({self.hint})" if self.hint else "")


class Check(NamedTuple):
    """A part. `alone`: its rebuild needs a home that no server runs."""

    look: Callable[[Home], Iterable[Finding]]
    rebuild: Callable[[Home], Iterable[str]] | None = None
    alone: bool = False


REBUILD = "`llmops doctor --rebuild` makes it again"
RESTORE = "stop the server and restore a backup: `llmops restore FILE --force`"
