"""Answers as MLflow traces: the outbox names an answer, and its row says the rest.

So what waits for an MLflow that is away is an id for each answer, however long that takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chains import rows
from llmops.tracking import export_traces
from llmops.types import Json

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.store.outbox import Item

_PARTS = ("auth", "embed", "plan", "scan", "rows", "model")
"""The parts of an answer in the order of time; a store need not keep the order of a JSON object."""
_PLACE = ("chunk_id", "document_id", "version", "start", "end", "score")
_ATTRIBUTES = ("prompt", "collection", "seq", "route", "model", "abstained", "evidence", "tokens_in", "tokens_out", "cost", "configuration")


def deliver(home: Home, items: Sequence[Item]) -> None:
    """The part of kind `deliveries` named `traces`. An answer that is gone has nothing to tell any more."""
    kept = home.store.read(lambda c: rows.answers_by_id(c, [item.key for item in items]))
    export_traces(home, [trace_of(answer) for answer in kept])


def trace_of(answer: Mapping[str, Any]) -> Json:
    """A row of `answers` in the shape that `llmops.tracking` takes: no passage text, spans in milliseconds from the start."""
    spans: list[Json] = []
    at = 0.0
    for name in _PARTS:
        if name in answer["timings"]:
            end = at + answer["timings"][name]
            found = {"outputs": [{field: place[field] for field in _PLACE} for place in answer["passages"]]} if name == "rows" else {}
            spans.append({"name": name, "start_ms": at, "end_ms": end, **found})
            at = end
    return {
        "answer_id": answer["id"],
        "started_at": answer["created_at"],
        "spans": spans,
        "attributes": {name: answer[name] for name in _ATTRIBUTES},
        **{name: answer[name] for name in ("workspace", "chain", "asker", "question", "reply", "state", "error")},
    }
