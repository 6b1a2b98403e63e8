"""The audit log: who did what to what, when and from where. Rows are only ever added, and each holds the hash of the one before it.

A row that is changed, moved or taken out breaks the chain of hashes from there on; how many rows there are and the hash
of the newest are kept beside it, so that the end cannot be cut off unseen either. Who can write into the database could
make a whole chain anew: against that, keep the head that `audit verify` prints somewhere else, and give it back to it.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from llmops.access import audit_rows
from llmops.errors import InvalidInput
from llmops.output import iso_time
from llmops.redact import redact, redact_value
from llmops.settings import canonical
from llmops.text import storable
from llmops.types import Asker, Json

MOST_FAULTS = 100
"""Of a log that is broken; more say nothing more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `at` is in seconds since 1970; `hash` covers every other field but `row`."""

    row: int
    at: float
    workspace: str
    actor: str
    action: str
    object: str
    detail: Mapping[str, Any]
    origin: str | None
    previous_hash: str
    hash: str

    def to_json(self) -> Json:
        return {
            "id": self.row,
            "at": iso_time(self.at),
            "workspace": self.workspace,
            "actor": self.actor,
            "origin": self.origin,
            "action": self.action,
            "object": self.object,
            "detail": dict(self.detail),
            "hash": self.hash,
        }


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at the whole chain found: how many rows, the hash of the newest, and what is wrong, oldest first."""

    entries: int
    head: str
    faults: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.faults


def record(
    connection: Connection,
    asker: Asker,
    action: str,
    object: str,
    detail: Mapping[str, Any] | None = None,
    *,
    before: Any = None,
    after: Any = None,
) -> None:
    """Add a row in the caller's transaction, without secrets. `action` is as `keys.create`; `before` and `after` are what changed."""
    change = {name: value for name, value in (("before", before), ("after", after)) if value is not None}
    values: dict[str, Any] = {
        "at": time.time(),
        "workspace": asker.workspace,
        "actor": _storable(redact(asker.name))[:200],
        "action": action,
        "object": _storable(redact(object))[:300],
        "detail": _storable(redact_value({**(detail or {}), **change})),
        "origin": _storable(redact(asker.origin))[:100] or None,
        "previous_hash": audit_rows.newest_hash(connection),
    }
    audit_rows.append(connection, {**values, "hash": chain_hash(values)})


def entries(connection: Connection, workspace: str, limit: int = 100, before: int | None = None, **only: str | None) -> list[Entry]:
    """The newest rows of a workspace first; `before` a row's id gives those that came before it.

    `only` narrows them: `action`, `actor` and `object`, each as the row has it.
    """
    return [Entry(**row) for row in audit_rows.entries(connection, workspace, limit, before, only)]


def exported(connection: Connection, workspace: str) -> Iterator[Json]:
    """Every row of a workspace, oldest first, with the hash of the row before it, whatever workspace that is of."""
    for row in audit_rows.all_entries(connection, workspace):
        yield {**Entry(**row).to_json(), "at": row["at"], "previous_hash": row["previous_hash"]}


def verify(connection: Connection, head: str | None = None) -> Verified:
    """Compare every row with its hash and with the one before it, over all workspaces.

    `head`: the hash that an earlier look ended with; it must still be there.
    """
    found = Verified(*audit_rows.head(connection))
    count, previous, seen = 0, "", head is None
    for row in audit_rows.all_entries(connection):
        count, entry = count + 1, Entry(**row)
        if entry.previous_hash != previous:
            found.faults.append(f"row {entry.row} does not follow the row before it: one was removed, added or moved")
        if chain_hash(row) != entry.hash:
            found.faults.append(f"row {entry.row} was changed")
        previous, seen = entry.hash, seen or entry.hash == head
        if len(found.faults) >= MOST_FAULTS:
            return found
    if (count, previous) != (found.entries, found.head):
        found.faults.append(f"the log should hold {found.entries} rows, it holds {count}: the newest were removed or added to")
    if not seen:
        found.faults.append("the head that was given is not in the log: rows were removed, or the log was written anew")
    return found


def check_head(head: str) -> str:
    """The head that somebody kept, if it can be one."""
    if len(head) != 64 or set(head) - set("0123456789abcdef"):
        raise InvalidInput(f"not the head of an audit log: {head[:80]!r}", hint="`llmops audit verify` prints it: 64 hexadecimal digits")
    return head


def chain_hash(values: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of a row without `row` and `hash`; `previous_hash` ties it to the one before.

    A row without an origin, as they were once written, is hashed without it.
    """
    left_out = {"row", "hash"} if values.get("origin") is not None else {"row", "hash", "origin"}
    return hashlib.sha256(canonical({name: value for name, value in values.items() if name not in left_out}).encode()).hexdigest()


def _storable(value: Any) -> Any:
    """The value as both stores give it back, so that its hash stays.

    PostgreSQL takes no NUL and no lone surrogate, and gives 1e20 back as an integer.
    """
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {_storable(str(key)): _storable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_storable(inner) for inner in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return int(value) if value.is_integer() else value
    return value if value is None or isinstance(value, bool | int) else _storable(str(value))
