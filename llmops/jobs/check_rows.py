"""What `llmops doctor` asks of the jobs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select

from llmops.checks import Check, Finding
from llmops.jobs.tables import jobs

if TYPE_CHECKING:
    from llmops.home import Home

GRACE = 60.0
"""Seconds that a lease may be over before somebody should have taken the job: clocks differ, and workers are busy."""
LONG = 86_400.0


def _look(home: Home) -> Iterator[Finding]:
    def look(connection: Connection) -> Finding:
        now = time.time()
        found = Finding("jobs", hint="`llmops serve`, or the command that ordered it, carries it out; `llmops jobs cancel` drops it")
        states: dict[str, int] = dict(connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state)).all())
        found.detail = ", ".join(f"{states[state]} {state}" for state in sorted(states)) or "none"
        for job in connection.execute(select(jobs.c.id, jobs.c.owner).where(jobs.c.state == "running", jobs.c.lease_until < now - GRACE)):
            found.faults.append(f"{job.id} is running, but {job.owner} gives no sign of life")
        for job in connection.execute(select(jobs.c.id).where(jobs.c.state == "queued", jobs.c.queued_at < now - LONG)):
            found.faults.append(f"{job.id} has been queued for more than a day")
        return found

    yield home.store.read(look)


CHECK = Check(_look)
