"""What `llmops doctor` asks of the audit log: that nothing was taken out, changed, moved or slipped in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from llmops.access import audit
from llmops.checks import Check, Finding

if TYPE_CHECKING:
    from llmops.home import Home


def _look(home: Home) -> Iterator[Finding]:
    found = home.store.read(audit.verify)
    yield Finding("audit", f"{found.entries} entries", "compare it with an export or a backup from before", found.faults)


CHECK = Check(_look)
