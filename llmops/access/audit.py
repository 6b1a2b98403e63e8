"""The audit log: who did what to what, when. Rows are only ever added, and each holds the hash of the one before it.

A row that is changed or taken out breaks the chain of hashes from there on.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from llmops.access import rows
from llmops.output import iso_time
from llmops.redact import redact, redact_value
from llmops.settings import canonical
from llmops.text import storable
from llmops.types import Json


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
    previous_hash: str
    hash: str

    def to_json(self) -> Json:
        return {
            "id": self.row,
            "at": iso_time(self.at),
            "workspace": self.workspace,
            "actor": self.actor,
            "action": self.action,
            "object": self.object,
            "detail": dict(self.detail),
            "hash": self.hash,
        }


def record(connection: Connection, workspace: str, actor: str, action: str, object: str, detail: Mapping[str, Any] | None = None) -> None:
    """Add a row in the caller's transaction, without secrets. `actor` is `Asker.name`, `action` as `keys.create`."""
    values: dict[str, Any] = {
        "at": time.time(),
        "workspace": workspace,
        "actor": _storable(redact(actor))[:200],
        "action": action,
        "object": _storable(redact(object))[:300],
        "detail": _storable(redact_value(detail or {})),
        "previous_hash": rows.newest_hash(connection),
    }
    rows.insert_entry(connection, {**values, "hash": chain_hash(values)})


def entries(connection: Connection, workspace: str, limit: int = 100, before: int | None = None) -> list[Entry]:
    """The newest rows of a workspace first; `before` a row's id gives those that came before it."""
    return [Entry(**row) for row in rows.entries(connection, workspace, limit, before)]


def chain_hash(values: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of a row without `row` and `hash`; `previous_hash` ties it to the one before."""
    return hashlib.sha256(canonical(dict(values)).encode()).hexdigest()


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
