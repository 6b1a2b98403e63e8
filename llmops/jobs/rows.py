"""Job rows: queued, leased by one process, finished once.

    queued ──claim──> running ──finish──> done | failed
      ^                  │
      └──put_back────────┘      cancel: queued or running ──> cancelled      retry: failed or cancelled ──> queued

A running job belongs to its `owner` until `lease_until`. Whatever a process writes of a job it names itself as the
owner, so a process that lost its job (cancelled, or taken over) changes nothing. On PostgreSQL times are the
database's, for the clocks of two hosts differ.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, text, update

from llmops.access import audit
from llmops.errors import Conflict, NotPermitted, UnknownName
from llmops.jobs.job import Job
from llmops.jobs.queue_rows import first_free, now_of
from llmops.jobs.slots import ANY, BULK, Slot
from llmops.jobs.tables import jobs
from llmops.settings import canonical
from llmops.types import Asker

__all__ = ["Job"]

LEASE = 60.0
"""Seconds that a job stays with its owner after the owner's last sign of life."""
_ERROR_CHARS = 2000


_COLUMNS = [jobs.c[field.name] for field in fields(Job)]


def enqueue(
    connection: Connection, kind: str, workspace: str, asker: str, payload: Mapping[str, Any], lane: Sequence[str] = (), priority: int = BULK
) -> str:
    """Queue work and return its job's id; the same work, still queued, is joined instead.

    Jobs of one `lane`, such as a collection and a source, are carried out in their order, whatever makes one of them wait.
    `priority` is URGENT where somebody waits for it and it is soon done, else BULK (llmops/jobs/slots.py).

    Not so a running job: it may have passed by what has changed since, so the same work queues behind it.
    """
    idempotency = _idempotency(kind, workspace, payload)
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": int(idempotency[:15], 16)})
    waiting = select(jobs.c.id).where(jobs.c.idempotency == idempotency, jobs.c.asker == asker, jobs.c.state == "queued")
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
            priority=priority,
            payload=dict(payload),
            state="queued",
            done=0,
            total=0,
            attempts=0,
            created_at=time.time(),
            queued_at=now_of(connection),
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
    _audit_so_far(connection, job)
    return job


def retry(connection: Connection, asker: Asker, job_id: str) -> Job:
    """Queue a failed or cancelled job again, as it was ordered: the same id, payload and place in its lane, its attempts counted anew.

    `Conflict` where it is not over, has succeeded, or the same work waits already; `NotPermitted` for another than who
    ordered it or the owner, for it is carried out with the rights of who ordered it.
    """
    job = require(connection, asker.workspace, job_id)
    if not (asker.owner or asker.name == job.asker):
        raise NotPermitted(f"job {job_id} was ordered by another", hint="who ordered it can, or the owner of the home")
    if job.state not in ("failed", "cancelled"):
        hint = "order it again, if something has changed" if job.state == "done" else f"`llmops jobs wait {job_id}` waits for it"
        raise Conflict(f"job {job_id} is {job.state}", hint=hint)
    same = select(jobs.c.id).where(jobs.c.idempotency == _idempotency(job.kind, job.workspace, job.payload), jobs.c.state == "queued")
    same = same.where(jobs.c.asker == job.asker)
    if (waiting := connection.execute(same.limit(1)).scalar()) is not None:
        raise Conflict(f"the same work is queued already, as {waiting}", hint=f"`llmops jobs wait {waiting}` waits for it")
    anew = {"done": 0, "total": 0, "rate": None, "so_far": None, "error": None, "owner": None, "lease_until": None, "finished_at": None}
    changed = connection.execute(
        update(jobs)
        .where(jobs.c.row == job.row, jobs.c.state == job.state)
        .values(state="queued", attempts=0, queued_at=now_of(connection), started_at=None, **anew)
    )
    if not changed.rowcount:
        raise Conflict(f"job {job_id} has changed meanwhile", hint=f"`llmops jobs show {job_id}` shows it")
    audit.record(connection, asker, "job.retry", job_id, {"kind": job.kind, "ordered_by": job.asker}, before=job.state, after="queued")
    return require(connection, asker.workspace, job_id)


def claimable(connection: Connection, slot: Slot = ANY, *, before: Job | None = None) -> bool:
    """Whether there is a job to claim: a look that takes no lock."""
    return first_free(connection, slot, before) is not None


def claim(connection: Connection, owner: str, slot: Slot = ANY, *, before: Job | None = None) -> Job | None:
    """Lease the job whose turn it is, of those that go before `before`, and it; None where there is none."""
    row = first_free(connection, slot, before, lock=True)
    if row is None:
        return None
    now = now_of(connection)
    leased = {"state": "running", "owner": owner, "lease_until": now + LEASE, "rate": None}
    connection.execute(
        update(jobs).where(jobs.c.row == row).values(attempts=jobs.c.attempts + 1, started_at=func.coalesce(jobs.c.started_at, now), **leased)
    )
    return Job(*connection.execute(select(*_COLUMNS).where(jobs.c.row == row)).one())


def any_of(connection: Connection, owner_prefix: str) -> bool:
    """Whether such an owner has a running job: a look that takes no lock."""
    return connection.execute(select(jobs.c.row).where(_running_of(owner_prefix)).limit(1)).first() is not None


def release_dead(connection: Connection, owner_prefix: str) -> int:
    """Queue again every running job of an owner that is known to be dead; returns how many there were."""
    return connection.execute(update(jobs).where(_running_of(owner_prefix)).values(state="queued", owner=None, lease_until=None)).rowcount


def heartbeat(connection: Connection, job: Job, done: int, total: int, rate: float | None = None) -> bool:
    """Renew the lease and tell the progress; False where the job is no longer its owner's."""
    return _change(connection, job, done=done, total=total, rate=rate, lease_until=now_of(connection) + LEASE)


def note(connection: Connection, job: Job, so_far: Mapping[str, Any]) -> bool:
    """Keep what the job has done, in the transaction that does it; False where it is no longer its owner's: undo it then."""
    return _change(connection, job, so_far=dict(so_far))


def finish(connection: Connection, job: Job, *, result: Mapping[str, Any] | None = None, error: str | None = None) -> bool:
    """End the job as done with a result, or as failed with an error; False where it is no longer its owner's."""
    if error is not None:
        error = error[:_ERROR_CHARS]
    ended = _change(
        connection,
        job,
        state="done" if error is None else "failed",
        result=None if result is None else dict(result),
        error=error,
        finished_at=time.time(),
        lease_until=None,
    )
    if ended and error is not None:
        _audit_so_far(connection, require(connection, job.workspace, job.id))
    return ended


def put_back(connection: Connection, job: Job, *, wait: float = 0.0, counts: bool = False) -> bool:
    """Queue the job again, to be claimed after `wait` seconds; the attempt `counts` or is forgotten."""
    attempts = jobs.c.attempts if counts else jobs.c.attempts - 1
    until = now_of(connection) + wait if wait else None
    return _change(connection, job, state="queued", owner=None, attempts=attempts, lease_until=until)


def state_of(connection: Connection, job: Job) -> tuple[str, str | None]:
    """The job's state and owner as they are now."""
    row = connection.execute(select(jobs.c.state, jobs.c.owner).where(jobs.c.row == job.row)).one()
    return row.state, row.owner


def _running_of(owner_prefix: str) -> ColumnElement[bool]:
    return and_(jobs.c.state == "running", jobs.c.owner.startswith(owner_prefix, autoescape=True))


def _idempotency(kind: str, workspace: str, payload: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical([kind, workspace, payload]).encode()).hexdigest()


def _change(connection: Connection, job: Job, **values: Any) -> bool:
    mine = (jobs.c.row == job.row, jobs.c.state == "running", jobs.c.owner == job.owner)
    return bool(connection.execute(update(jobs).where(*mine).values(**values)).rowcount)


def _audit_so_far(connection: Connection, job: Job) -> None:
    """What was done of a job that ends before its end is on record as if it had been all."""
    if job.so_far:
        by, done = Asker(job.workspace, name=job.asker, origin=job.id), job.so_far
        audit.record(connection, by, done["action"], done["object"], {**done["detail"], "job": job.id, "state": job.state})
