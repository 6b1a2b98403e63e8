"""How a route answers that queues work: 202 and the job's id, on the OpenAPI page and on the wire."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from server.door import link
from server.shapes import JobId, Reply


class AcceptedShape(Reply):
    """The job that carries it out."""

    id: JobId


_LOCATION = {"required": True, "schema": {"type": "string", "pattern": "^/api/v1/jobs/job_[0-9a-f]{32}$"}}
ACCEPTED: dict[str, Any] = {
    "status_code": 202,
    "returns": AcceptedShape,
    "responses": {202: {"headers": {"Location": _LOCATION}}},
    "links": {"job": link("jobs_show", job_id="/id"), "cancel": link("jobs_cancel", job_id="/id"), "retry": link("jobs_retry", job_id="/id")},
}
"""What the decorator of such a route takes beside its path and permission."""


def accepted(job_id: str) -> Response:
    return JSONResponse({"id": job_id}, 202, {"Location": f"/api/v1/jobs/{job_id}"})
