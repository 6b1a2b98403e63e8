"""Jobs: their state, their list, and an end to them."""

from __future__ import annotations

from typing import Any, Literal

from llmops.jobs import rows
from llmops.types import Json
from server.door import AskerOf, Door, RoomsOf, link
from server.pages import AfterId, Limit, Page, page
from server.shapes import Count, JobId, Moment, Reply

door = Door("jobs")


class JobShape(Reply):
    """A job. `done` and `total` count what its kind counts, an ingestion bytes; `result` is the kind's own, and there when it is done.

    `rate` is what is done in a second, of late, and `seconds_left` what is left at that rate; null where it cannot be said.
    """

    id: JobId
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    done: Count
    total: Count
    result: dict[str, Any] | None
    error: str | None
    priority: Literal["urgent", "bulk"]
    attempts: Count
    created: Moment
    started: Moment | None
    finished: Moment | None
    rate: float | None
    seconds_left: Count | None
    about: str | None


_FIRST = {"first": link("jobs_show", job_id="/data/0/id"), "following": link("jobs_list_jobs", after="/next")}
_SAME = {"show": link("jobs_show", job_id="/id"), "cancel": link("jobs_cancel", job_id="/id"), "retry": link("jobs_retry", job_id="/id")}


@door.get("/api/v1/jobs", permission="jobs:read", returns=Page[JobShape], links=_FIRST, fails={404})
async def list_jobs(rooms: RoomsOf, asker: AskerOf, after: AfterId = "", limit: Limit = 100) -> Json:
    """The workspace's jobs, newest first."""
    jobs = await rooms.home.store.read_async(lambda c: rows.list_jobs(c, asker.workspace, limit=limit + 1, after=after))
    return page([job.shown_to(asker) for job in jobs], limit, "id")


@door.get("/api/v1/jobs/{job_id}", permission="jobs:read", returns=JobShape, links=_SAME)
async def show(job_id: str, rooms: RoomsOf, asker: AskerOf) -> Json:
    """How far a job is, and what came of it."""
    job = await rooms.home.store.read_async(lambda c: rows.require(c, asker.workspace, job_id))
    return job.shown_to(asker)


@door.post("/api/v1/jobs/{job_id}/cancel", permission="jobs:cancel", returns=JobShape, links=_SAME, fails={409})
async def cancel(job_id: str, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Cancel a job that is queued or running."""
    job = await rooms.home.store.write_async(lambda c: rows.cancel(c, asker, job_id))
    return job.shown_to(asker)


@door.post("/api/v1/jobs/{job_id}/retry", permission="jobs:retry", returns=JobShape, links=_SAME, fails={409})
async def retry(job_id: str, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Queue a failed or cancelled job again, as it was ordered. Only who ordered it may."""
    job = await rooms.home.store.write_async(lambda c: rows.retry(c, asker, job_id))
    return job.shown_to(asker)
