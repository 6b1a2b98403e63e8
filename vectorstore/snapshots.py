"""Snapshots of a collection: a point of its sequence, what was live then, and what changed from one to another.

A snapshot costs nothing and is never made: every chunk knows from which sequence number to which it is live. Content is that of the
snapshot, rights are always today's.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator, Sequence

from llmops.output import one_line
from llmops.store.store import Connection
from llmops.types import Asker, Json
from vectorstore.rows import collections, listing
from vectorstore.rows import snapshots as rows

SECONDS = 2.0
"""For the comparison of one document's lines."""


def snapshot(connection: Connection, asker: Asker, name: str, at: int | None = None) -> Json:
    """A point of a collection's sequence, by default the present one, and how much of it the asker may read was live then.

    Raises `UnknownName` for the collection and `InvalidInput` for a time to come.
    """
    found = collections.find(connection, asker.workspace, name)
    seq = found.seq if at is None else collections.check_seq(found, at)
    return {"collection": name, "seq": seq, **rows.counts(connection, found.row, asker, seq), "encoder": found.encoder}


def diff(connection: Connection, asker: Asker, name: str, since: int, until: int | None = None, after: int = 0, limit: int | None = None) -> Json:
    """The documents that were added, changed or withdrawn from `since` to `until`, by default now. `row` pages on.

    A document that was withdrawn and came back with the same content has not changed. Raises as `snapshot` does.
    """
    found = collections.find(connection, asker.workspace, name)
    collections.check_seq(found, since, "from")
    until = found.seq if until is None else collections.check_seq(found, until, "to")
    return {"collection": name, "from": since, "to": until, "data": rows.changes(connection, found.row, asker, since, until, after, limit)}


def text_changes(connection: Connection, change: Json) -> Iterator[str]:
    """The lines of one document's text that a change took away and brought, in the manner of `diff -u`."""
    name = one_line(f"{change['source']}/{change['external_id']}")
    before, now = (_lines(connection, change["row"], change[side]) for side in ("from_version", "to_version"))
    try:
        groups = list(_Timed(before, now).get_grouped_opcodes())
    except TimeoutError:
        yield f"{name}: takes too long to be compared line by line"
        return
    yield f"--- {name} version {change['from_version'] or 0}"
    yield f"+++ {name} version {change['to_version'] or 0}"
    for group in groups:
        yield f"@@ -{group[0][1] + 1},{group[-1][2] - group[0][1]} +{group[0][3] + 1},{group[-1][4] - group[0][3]} @@"
        for kind, a, a_end, b, b_end in group:
            if kind == "equal":
                yield from (f" {line}" for line in before[a:a_end])
            else:
                yield from (f"-{line}" for line in before[a:a_end])
                yield from (f"+{line}" for line in now[b:b_end])


class _Timed(difflib.SequenceMatcher[str]):
    """A comparison that gives up with `TimeoutError`: lines that repeat themselves cost more than their square."""

    def __init__(self, before: Sequence[str], now: Sequence[str]) -> None:
        self._until = time.monotonic() + SECONDS
        super().__init__(None, before, now)

    def find_longest_match(self, *where: int) -> difflib.Match:  # type: ignore[override]  # called by place alone
        if time.monotonic() > self._until:
            raise TimeoutError
        return super().find_longest_match(*where)


def _lines(connection: Connection, document_row: int, number: int | None) -> list[str]:
    found = listing.version(connection, document_row, number) if number is not None else None
    return found["text"].splitlines() if found else []
