"""Answers as MLflow traces: the outbox names an answer, and its row says the rest.

So what waits for an MLflow that is away is an id for each answer, however long that takes. MLflow knows no rights to
documents, so what may quote one goes there only where `[mlflow] passage_text` says so: replies, passages, and the words
of errors, for a provider may repeat what it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chains import rows
from llmops.redact import redact_value
from llmops.tracking import export_traces
from llmops.types import Json
from vectorstore.rows import hits

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.store.outbox import Item

WITHHELD = "(not exported: it may quote documents, and [mlflow] passage_text is off)"
_PARTS = ("auth", "embed", "plan", "scan", "rows", "model")
"""The parts of an answer in the order of time; a store need not keep the order of a JSON object."""
_PLACE = ("chunk_id", "document_id", "version", "start", "end", "score")
_ATTRIBUTES = ("prompt", "collection", "seq", "route", "model", "abstained", "evidence", "tokens_in", "tokens_out", "cost", "configuration")


def deliver(home: Home, items: Sequence[Item]) -> None:
    """The part of kind `deliveries` named `traces`. An answer that is gone has nothing to tell any more."""
    with_text = home.settings.mlflow.passage_text
    kept = home.store.read(lambda c: rows.answers_by_id(c, [item.key for item in items]))
    texts = home.store.read(lambda c: hits.texts_of(c, [place for answer in kept for place in answer["passages"]])) if with_text else None
    export_traces(home, [trace_of(answer, texts) for answer in kept])


def trace_of(answer: Mapping[str, Any], texts: Mapping[str, str] | None = None) -> Json:
    """A row of `answers` in the shape that `llmops.tracking` takes, spans in milliseconds from the start.

    `texts` are those of the passages by chunk id; without them nothing that may quote a document is in it. No secret is.
    """
    spans: list[Json] = []
    at = 0.0
    for name in _PARTS:
        if name in answer["timings"]:
            end = at + answer["timings"][name]
            found = {"outputs": [_place(place, texts) for place in answer["passages"]]} if name == "rows" else {}
            spans.append({"name": name, "start_ms": at, "end_ms": end, **found})
            at = end
    says = {"reply": answer["reply"], "error": answer["error"]}
    if texts is None:
        says["reply"] = answer["reply"] if answer["model"] == "none" else WITHHELD
        says["error"] = answer["error"] and answer["error"].partition(":")[0]
    attributes = {name: answer[name] for name in _ATTRIBUTES}
    told = {name: answer[name] for name in ("workspace", "chain", "asker", "question", "state")}
    trace: Json = redact_value({"spans": spans, "attributes": attributes, **told, **says})
    return {"answer_id": answer["id"], "started_at": answer["created_at"], **trace}


def _place(place: Mapping[str, Any], texts: Mapping[str, str] | None) -> Json:
    shown = {field: place[field] for field in _PLACE}
    return shown if texts is None else {**shown, "text": texts.get(place["chunk_id"], "")}
