"""Jobs: their state, their list, and an end to them."""

from __future__ import annotations

from llmops.jobs import rows
from llmops.types import Json
from server.door import AskerOf, Door, RoomsOf
from server.pages import AfterId, Limit, page

door = Door("jobs")


@door.get("/api/v1/jobs", permission="jobs:read")
async def list_jobs(rooms: RoomsOf, asker: AskerOf, after: AfterId = "", limit: Limit = 100) -> Json:
    """The workspace's jobs, newest first."""
    jobs = await rooms.home.store.read_async(lambda c: rows.list_jobs(c, asker.workspace, limit=limit + 1, after=after))
    return page([job.shown_to(asker) for job in jobs], limit, "id")


@door.get("/api/v1/jobs/{job_id}", permission="jobs:read")
async def show(job_id: str, rooms: RoomsOf, asker: AskerOf) -> Json:
    """How far a job is, and what came of it."""
    job = await rooms.home.store.read_async(lambda c: rows.require(c, asker.workspace, job_id))
    return job.shown_to(asker)


@door.post("/api/v1/jobs/{job_id}/cancel", permission="jobs:cancel")
async def cancel(job_id: str, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Cancel a job that is queued or running."""
    job = await rooms.home.store.write_async(lambda c: rows.cancel(c, asker, job_id))
    return job.shown_to(asker)
