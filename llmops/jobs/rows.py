"""Job rows: queued, leased by one process, finished once.

    queued ──claim──> running ──finish──> done | failed
      ^                  │
      └──put_back────────┘      cancel: queued or running ──> cancelled

A running job belongs to its `owner` until `lease_until`. Whatever a process writes of a job it names itself as the
owner, so a process that lost its job (cancelled, or taken over) changes nothing. On PostgreSQL times are the
database's, for the clocks of two hosts differ.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Select, and_, exists, func, insert, or_, select, text, update

from llmops.access import audit
from llmops.errors import Conflict, UnknownName
from llmops.jobs.tables import jobs
from llmops.settings import canonical
from llmops.types import Asker, Json

LEASE = 60.0
"""Seconds that a job stays with its owner after the owner's last sign of life."""
_LONGEST_WAIT = 3600.0
_ERROR_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work. `done` and `total` count what the kind counts; `result` is there when it is done."""

    row: int
    id: str
    kind: str
    workspace: str
    asker: str
    payload: Mapping[str, Any]
    state: str
    done: int
    total: int
    result: Json | None
    error: str | None
    attempts: int
    owner: str | None
    created_at: float
    finished_at: float | None

    @property
    def finished(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    def shown_to(self, asker: Asker) -> Json:
        """The job as JSON. What came of it names documents: others than the owner and who ordered it see the numbers alone."""
        shown = {name: getattr(self, name) for name in ("id", "kind", "state", "done", "total", "result", "error")}
        if asker.owner or asker.name == self.asker:
            return shown
        result = None if self.result is None else {name: _number(value) for name, value in self.result.items() if name != "job"}
        return {**shown, "result": result, "error": self.error and "it failed; who ordered it can read why"}


_COLUMNS = [jobs.c[field.name] for field in fields(Job)]


def enqueue(connection: Connection, kind: str, workspace: str, asker: str, payload: Mapping[str, Any], lane: Sequence[str] = ()) -> str:
    """Queue work and return its job's id; the same work, still queued, is joined instead.

    Jobs of one `lane`, such as a collection and a source, are carried out in their order, whatever makes one of them wait.

    Not so a running job: it may have passed by what has changed since, so the same work queues behind it.
    """
    idempotency = _idempotency(kind, workspace, payload)
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": int(idempotency[:15], 16)})
    waiting = select(jobs.c.id).where(jobs.c.idempotency == idempotency, jobs.c.state == "queued")
    if (joined := connection.execute(waiting.order_by(jobs.c.row).limit(1)).scalar()) is not None:
        return str(joined)
    job_id = f"job_{uuid.uuid4().hex}"
    connection.execute(
        insert(jobs).values(
            id=job_id,
            kind=kind,
            workspace=workspace,
            asker=asker,
            idempotency=idempotency,
            lane=hashlib.sha256(canonical([kind, workspace, *lane]).encode()).hexdigest() if lane else "",
            payload=dict(payload),
            state="queued",
            done=0,
            total=0,
            attempts=0,
            created_at=time.time(),
        )
    )
    return job_id


def was_queued(connection: Connection, kind: str, workspace: str, payload: Mapping[str, Any]) -> bool:
    """Whether this very work was ever queued, whatever became of it."""
    wanted = jobs.c.idempotency == _idempotency(kind, workspace, payload)
    return connection.execute(select(jobs.c.id).where(wanted).limit(1)).first() is not None


def get(connection: Connection, workspace: str, job_id: str) -> Job | None:
    """The job, or None where this workspace has none of that id."""
    row = connection.execute(select(*_COLUMNS).where(jobs.c.id == job_id, jobs.c.workspace == workspace)).first()
    return Job(*row) if row else None


def require(connection: Connection, workspace: str, job_id: str) -> Job:
    """The job; `UnknownName` where this workspace has none of that id."""
    job = get(connection, workspace, job_id)
    if job is None:
        raise UnknownName("job", job_id, hint="`llmops jobs list` shows the jobs of a workspace")
    return job


def list_jobs(connection: Connection, workspace: str, *, limit: int | None = 50, after: str = "") -> list[Job]:
    """The jobs of a workspace, newest first; `after` is the id that the page before ended with."""
    query = select(*_COLUMNS).where(jobs.c.workspace == workspace)
    if after:
        query = query.where(jobs.c.row < require(connection, workspace, after).row)
    return [Job(*row) for row in connection.execute(query.order_by(jobs.c.row.desc()).limit(limit))]


def cancel(connection: Connection, asker: Asker, job_id: str) -> Job:
    """Cancel a queued job, or tell a running one to stop: it notices at its next step. `Conflict` for a finished one."""
    workspace = asker.workspace
    before = require(connection, workspace, job_id)
    changed = connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.workspace == workspace, jobs.c.state.in_(("queued", "running")))
        .values(state="cancelled", finished_at=time.time(), lease_until=None)
    )
    job = require(connection, workspace, job_id)
    if not changed.rowcount:
        raise Conflict(f"job {job_id} is {job.state} already", hint="only a queued or running job can be cancelled")
    audit.record(connection, asker, "job.cancel", job_id, {"kind": job.kind, "ordered_by": job.asker}, before=before.state, after=job.state)
    return job


def claimable(connection: Connection, *, up_to: int | None = None) -> bool:
    """Whether there is a job to claim: a look that takes no lock."""
    return connection.execute(_oldest_free(_now(connection), up_to)).first() is not None


def claim(connection: Connection, owner: str, *, up_to: int | None = None) -> Job | None:
    """Lease the oldest job that is free, of the rows up to `up_to`; None where there is none."""
    now = _now(connection)
    row = connection.execute(_oldest_free(now, up_to).with_for_update(skip_locked=True)).scalar()
    if row is None:
        return None
    connection.execute(
        update(jobs).where(jobs.c.row == row).values(state="running", owner=owner, attempts=jobs.c.attempts + 1, lease_until=now + LEASE)
    )
    return Job(*connection.execute(select(*_COLUMNS).where(jobs.c.row == row)).one())


def release_dead(connection: Connection, owner_prefix: str) -> int:
    """Queue again every running job of an owner that is known to be dead; returns how many there were."""
    theirs = and_(jobs.c.state == "running", jobs.c.owner.startswith(owner_prefix, autoescape=True))
    return connection.execute(update(jobs).where(theirs).values(state="queued", owner=None, lease_until=None)).rowcount


def heartbeat(connection: Connection, job: Job, done: int, total: int) -> bool:
    """Renew the lease and tell the progress; False where the job is no longer its owner's."""
    return _change(connection, job, done=done, total=total, lease_until=_now(connection) + LEASE)


def finish(connection: Connection, job: Job, *, result: Mapping[str, Any] | None = None, error: str | None = None) -> bool:
    """End the job as done with a result, or as failed with an error; False where it is no longer its owner's."""
    if error is not None:
        error = error[:_ERROR_CHARS]
    return _change(
        connection,
        job,
        state="done" if error is None else "failed",
        result=None if result is None else dict(result),
        error=error,
        finished_at=time.time(),
        lease_until=None,
    )


def put_back(connection: Connection, job: Job, *, wait: float = 0.0, counts: bool = False) -> bool:
    """Queue the job again, to be claimed after `wait` seconds; the attempt `counts` or is forgotten."""
    attempts = jobs.c.attempts if counts else jobs.c.attempts - 1
    until = _now(connection) + wait if wait else None
    return _change(connection, job, state="queued", owner=None, attempts=attempts, lease_until=until)


def state_of(connection: Connection, job: Job) -> tuple[str, str | None]:
    """The job's state and owner as they are now."""
    row = connection.execute(select(jobs.c.state, jobs.c.owner).where(jobs.c.row == job.row)).one()
    return row.state, row.owner


def _idempotency(kind: str, workspace: str, payload: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical([kind, workspace, payload]).encode()).hexdigest()


def _number(value: Any) -> int | float | None:
    """A value of a result where it is a number, and how many there are where it is a list."""
    if isinstance(value, list):
        return len(value)
    return value if isinstance(value, int | float) else None


def _change(connection: Connection, job: Job, **values: Any) -> bool:
    mine = (jobs.c.row == job.row, jobs.c.state == "running", jobs.c.owner == job.owner)
    return bool(connection.execute(update(jobs).where(*mine).values(**values)).rowcount)


def _oldest_free(now: float, up_to: int | None) -> Select[tuple[int]]:
    """Queued and not told to wait, or running with a lease that ran out. A time far ahead is a clock that was set back."""
    past = or_(jobs.c.lease_until.is_(None), jobs.c.lease_until <= now, jobs.c.lease_until > now + _LONGEST_WAIT)
    before = jobs.alias()
    unfinished = before.c.state.in_(("queued", "running")) & (before.c.row < jobs.c.row)
    held_up = exists().where((jobs.c.lane != "") & (before.c.lane == jobs.c.lane) & unfinished)
    free = select(jobs.c.row).where(jobs.c.state.in_(("queued", "running")), past, ~held_up)
    if up_to is not None:
        free = free.where(jobs.c.row <= up_to)
    return free.order_by(jobs.c.row).limit(1)


def _now(connection: Connection) -> float:
    if connection.dialect.name == "postgresql":
        return float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())
    return time.time()
