"""The one door to MLflow: answers as traces, written and in the end deleted.

One answer is one trace, `tr-` and the hex of the answer's id. Its root span is the chain, the spans below are the
parts of the flow. Ids are made from the answer alone, so exporting it again writes the same rows over themselves.
MLflow is imported with the first trace: it takes seconds, and only the job worker comes here.

An answer comes as

    {"answer_id": "ans_...", "workspace": str, "chain": str, "asker": str,
     "question": str, "reply": str, "state": "complete" | "partial" | "failed", "error": str | None,
     "started_at": seconds since 1970, "attributes": {...},
     "spans": [{"name": str, "start_ms": float, "end_ms": float, "inputs": any, "outputs": any, "attributes": {...}}]}

where `start_ms` and `end_ms` count from `started_at`, and everything from `asker` on but `question` may be missing.
Documents are named in it by their ids and offsets; their text stays in the store, where rights guard it.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from llmops.errors import Unavailable
from llmops.sections import MLflowSettings
from llmops.tracking_file import make_complete

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.entities import Experiment, Span, TraceInfo
    from mlflow.tracing.client import TracingClient

    from llmops.home import Home

OFF = "off"
FILE_NAME = "mlflow.db"
PREVIEW_CHARS = 1000
_AT_ONCE = 100
_SPAN_TYPES = {"embed": "EMBEDDING", "rows": "RETRIEVER", "model": "CHAT_MODEL"}
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the outbox tries again
    "MLFLOW_ASYNC_TRACE_LOGGING_RETRY_TIMEOUT": "10",
}
_opening = threading.Lock()


class Tracking(NamedTuple):
    """An open MLflow: its client, and the id of the experiment that the traces go to."""

    client: TracingClient
    experiment_id: str


def tracking_uri(settings: MLflowSettings, home: Path) -> str:
    """Where traces go: as configured, else to a SQLite file in the home that is MLflow's alone."""
    return settings.tracking_uri or f"sqlite:///{quote(str(home / FILE_NAME))}"


def export_traces(home: Home, answers: Sequence[Mapping[str, Any]]) -> None:
    """Write each answer as one trace. Raises `Unavailable` where MLflow does not take them; what it has, it keeps."""
    settings = home.settings.mlflow
    if settings.tracking_uri == OFF:
        return
    uri = tracking_uri(settings, home.settings.home)
    own = None if settings.tracking_uri else home.settings.home / FILE_NAME
    with _reported(uri, own), _opening:
        tracking = _open(uri, settings.experiment, own)
    for answer in answers:
        spans = list(_spans(answer))
        trace = _trace(answer, tracking.experiment_id, spans[0])
        with _reported(uri, own):
            tracking.client.start_trace(trace)
            tracking.client.log_spans(tracking.experiment_id, spans)


def delete_traces(home: Home, workspace: str, before: float) -> int:
    """Delete a workspace's traces from before a time, in seconds since 1970; returns how many there were.

    The part of kind `retention` named `traces`. Raises `Unavailable` where MLflow does not answer.
    """
    settings = home.settings.mlflow
    if settings.tracking_uri == OFF:
        return 0
    uri = tracking_uri(settings, home.settings.home)
    own = None if settings.tracking_uri else home.settings.home / FILE_NAME
    with _reported(uri, own):
        with _opening:
            tracking = _open(uri, settings.experiment, own)
        return _delete(tracking, f"tags.`llmops.workspace` = '{workspace}' AND timestamp_ms < {int(before * 1000)}")


def _delete(tracking: Tracking, filter_string: str) -> int:
    deleted = 0
    while True:
        found = tracking.client.search_traces([tracking.experiment_id], filter_string=filter_string, max_results=_AT_ONCE, include_spans=False)
        if not found:
            return deleted
        ids = [trace.info.trace_id for trace in found]
        gone = tracking.client.delete_traces(experiment_id=tracking.experiment_id, trace_ids=ids)
        if not gone:
            raise Unavailable(f"MLflow keeps {len(ids)} traces that were to be deleted")
        deleted += gone


@contextmanager
def _reported(uri: str, own: Path | None) -> Iterator[None]:
    """Turn whatever MLflow, its database or its HTTP client raise into one error with a way out."""
    try:
        yield
    except Exception as failure:
        _forget()
        message = str(failure).strip().split("\n")[0]
        hint = "check [mlflow] tracking_uri; `off` exports none"
        if own is not None:
            hint = f"if it stays so, stop the server and move {own} away: a new one is made, without the traces of the old one"
        raise Unavailable(f"MLflow at {uri} takes no traces: {message}", hint=hint) from failure


@lru_cache(maxsize=4)
def _open(uri: str, experiment: str, own: Path | None) -> Tracking:
    """Connect, and create the experiment where it is missing. `own` is the home's file, made here where that is missing too."""
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    from mlflow.exceptions import MlflowException
    from mlflow.tracing.client import TracingClient
    from mlflow.tracking import MlflowClient

    artifacts = None
    if own is not None:
        artifacts = (own.parent / "mlruns").as_uri()
        make_complete(own, artifacts)
    client = MlflowClient(tracking_uri=uri)
    found: Experiment | None = client.get_experiment_by_name(experiment)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            raise Unavailable(f"its experiment {experiment!r} is deleted; restore it, or name another in [mlflow] experiment")
        return Tracking(TracingClient(uri), found.experiment_id)
    try:
        made = client.create_experiment(experiment, artifact_location=artifacts)
    except MlflowException:  # somebody else was quicker
        found = client.get_experiment_by_name(experiment)
        if found is None:
            raise
        made = found.experiment_id
    return Tracking(TracingClient(uri), made)


def _forget() -> None:
    """Begin anew the next time: the server may be another, and MLflow remembers of one that was down that it has no version."""
    _open.cache_clear()
    from mlflow.store.tracking.rest_store import RestStore

    RestStore._get_server_version.cache_clear()


def _trace(answer: Mapping[str, Any], experiment_id: str, root: Span) -> TraceInfo:
    from mlflow.entities import TraceInfo, TraceLocation, TraceState

    assert root.end_time_ns is not None
    return TraceInfo(
        trace_id=f"tr-{_hex(answer)}",
        client_request_id=answer["answer_id"],
        trace_location=TraceLocation.from_experiment_id(experiment_id),
        request_time=root.start_time_ns // 1_000_000,
        execution_duration=(root.end_time_ns - root.start_time_ns) // 1_000_000,
        state=TraceState.OK if _succeeded(answer) else TraceState.ERROR,
        request_preview=answer["question"][:PREVIEW_CHARS],
        response_preview=answer.get("reply", "")[:PREVIEW_CHARS],
        trace_metadata={"mlflow.trace.user": answer["asker"]} if answer.get("asker") else {},
        tags={"mlflow.traceName": answer["chain"], "llmops.workspace": answer["workspace"], "llmops.answer_id": answer["answer_id"]},
    )


def _spans(answer: Mapping[str, Any]) -> Iterator[Span]:
    """The root, then its parts in order."""
    parts: Sequence[Mapping[str, Any]] = answer.get("spans", ())
    end_ms = max((part["end_ms"] for part in parts), default=0.0)
    chain = {
        "name": answer["chain"],
        "start_ms": 0.0,
        "end_ms": end_ms,
        "inputs": {"question": answer["question"]},
        "outputs": {"reply": answer.get("reply", "")},
        "attributes": {"workspace": answer["workspace"], **answer.get("attributes", {})},
    }
    yield _span(answer, 1, chain, "CHAIN")
    for number, part in enumerate(parts, start=2):
        yield _span(answer, number, part, _SPAN_TYPES.get(part["name"], "TASK"))


def _span(answer: Mapping[str, Any], number: int, part: Mapping[str, Any], kind: str) -> Span:
    """A span by MLflow's stored form. Span ids are numbers, 1 for the root: they are unique within a trace."""
    from mlflow.entities import Span

    attributes = {"mlflow.traceRequestId": f"tr-{_hex(answer)}", "mlflow.spanType": kind, **part.get("attributes", {})}
    for name, key in (("inputs", "mlflow.spanInputs"), ("outputs", "mlflow.spanOutputs")):
        if part.get(name) is not None:
            attributes[key] = part[name]
    failed = number == 1 and not _succeeded(answer)
    return Span.from_dict(
        {
            "trace_id": _base64(_hex(answer)),
            "span_id": _base64(f"{number:016x}"),
            "parent_span_id": None if number == 1 else _base64(f"{1:016x}"),
            "name": part["name"],
            "start_time_unix_nano": _nanoseconds(answer, part["start_ms"]),
            "end_time_unix_nano": _nanoseconds(answer, part["end_ms"]),
            "events": [],
            "status": {"code": "STATUS_CODE_ERROR" if failed else "STATUS_CODE_OK", "message": (answer.get("error") or "") if failed else ""},
            "attributes": {key: json.dumps(value, ensure_ascii=False) for key, value in attributes.items()},
        }
    )


def _succeeded(answer: Mapping[str, Any]) -> bool:
    return bool(answer.get("state", "complete") == "complete")


def _hex(answer: Mapping[str, Any]) -> str:
    return str(answer["answer_id"]).removeprefix("ans_")


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def _nanoseconds(answer: Mapping[str, Any], milliseconds: float) -> int:
    return int(answer["started_at"] * 1_000) * 1_000_000 + int(milliseconds * 1_000_000)
