"""What the server measures of itself, in Prometheus' text format. No label names a key, a user or a document.

With several server processes the supervisor sets PROMETHEUS_MULTIPROC_DIR, and every process answers for all of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response
from starlette.types import Scope

from server.door import Door

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_PART_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)

requests = Counter("llmops_http_requests_total", "Requests by route and status; 499: the client left first.", ["method", "route", "status"])
seconds = Histogram("llmops_http_request_seconds", "Seconds until the last byte of a response.", ["method", "route"], buckets=_SECONDS)
part_seconds = Histogram("llmops_chain_part_seconds", "Seconds of each part of a chain's answer.", ["chain", "part"], buckets=_PART_SECONDS)
outbox_waiting = Gauge("llmops_outbox_waiting", "Messages that another store must still be told.", ["topic"], multiprocess_mode="mostrecent")
outbox_dropped = Gauge("llmops_outbox_dropped", "Messages given up since the home began.", ["topic"], multiprocess_mode="mostrecent")
jobs_waiting = Gauge("llmops_jobs_waiting", "Jobs that wait for their turn.", ["priority"], multiprocess_mode="mostrecent")
longest_wait = Gauge("llmops_jobs_longest_wait_seconds", "Since when the oldest of them waits.", ["priority"], multiprocess_mode="mostrecent")

door = Door("operations")


def observe_request(scope: Scope, status: int, took: float) -> None:
    """Count a request under its route's template, so that ids make no labels of their own."""
    method = scope["method"] if scope["method"] in ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS") else "other"
    route = getattr(scope.get("route"), "path", "unknown")
    requests.labels(method, route, str(status)).inc()
    seconds.labels(method, route).observe(took)


def observe_parts(chain: str, timings: Mapping[str, float]) -> None:
    """Note the parts of one answer; `timings` are milliseconds by part."""
    for part, milliseconds in timings.items():
        part_seconds.labels(chain, part).observe(milliseconds / 1000)


def observe_outbox(waiting: Mapping[str, int], dropped: Mapping[str, int]) -> None:
    """Note how many messages wait, and how many were given up, by topic."""
    for topic, count in waiting.items():
        outbox_waiting.labels(topic).set(count)
    for topic, count in dropped.items():
        outbox_dropped.labels(topic).set(count)


def observe_jobs(waiting: Mapping[str, tuple[int, float]]) -> None:
    """Note how many jobs wait, by priority, and for how long."""
    for priority, (count, since) in waiting.items():
        jobs_waiting.labels(priority).set(count)
        longest_wait.labels(priority).set(since)


@door.get("/metrics", permission="metrics:read", returns=str)
def metrics() -> Response:
    """All measures, of all server processes."""
    registry = REGISTRY
    if MULTIPROCESS in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
