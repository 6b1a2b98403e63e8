"""Whose turn it is: urgent jobs first, each kind in its order, each lane one after the other, and nobody for ever behind others.

A bulk job that has waited for `AGES` goes by its place in the queue as if it were urgent, in the slot for any job.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select

from llmops.jobs.job import Job
from llmops.jobs.slots import BULK, NAMES, URGENT, Slot
from llmops.jobs.tables import jobs

AGES = 600.0
"""Seconds after which a bulk job is passed by nobody any more."""
_LONGEST_WAIT = 3600.0


class Place(NamedTuple):
    """A job's place in the queue."""

    row: int
    queued_at: float


def first_free(connection: Connection, slot: Slot, before: Job | None = None, *, lock: bool = False) -> int | None:
    """The row whose turn it is in a slot; of what goes before the job `before`, and that job itself, where one is given."""
    now = now_of(connection)
    urgent = _first(connection, now, URGENT, before, lock)
    if slot.last == URGENT:
        return urgent and urgent.row
    bulk = _first(connection, now, BULK, before, lock)
    if bulk and (urgent is None or (bulk.row < urgent.row and has_aged(bulk.queued_at, now))):
        return bulk.row
    return urgent and urgent.row


def has_aged(queued_at: float, now: float) -> bool:
    """Whether it has waited long. One that was queued in a time to come was so by a clock that was set back since."""
    return not 0 <= now - queued_at < AGES


def positions(connection: Connection, workspace: str | None) -> dict[str, int]:
    """The place of every queued job, by its id, 1 for the next: of a workspace, or with None of all. Lanes may hold one up further."""
    now = now_of(connection)
    queued = select(jobs.c.id, jobs.c.priority, jobs.c.queued_at).where(jobs.c.state == "queued").order_by(jobs.c.row)
    if workspace is not None:
        queued = queued.where(jobs.c.workspace == workspace)
    found = connection.execute(queued).all()
    in_turn = sorted(found, key=lambda one: URGENT if has_aged(one.queued_at, now) else one.priority)
    return {one.id: place for place, one in enumerate(in_turn, 1)}


def waiting(connection: Connection) -> dict[str, tuple[int, float]]:
    """By priority, how many jobs of all workspaces wait, and how many seconds the one has waited that waits longest."""
    query = select(jobs.c.priority, func.count(), func.min(jobs.c.queued_at)).where(jobs.c.state == "queued").group_by(jobs.c.priority)
    now, found = now_of(connection), {priority: (count, oldest) for priority, count, oldest in connection.execute(query)}
    return {name: (found[priority][0], max(0.0, now - found[priority][1])) if priority in found else (0, 0.0) for priority, name in NAMES.items()}


def now_of(connection: Connection) -> float:
    """Seconds since 1970; on PostgreSQL by the database's clock, for those of two hosts differ."""
    if connection.dialect.name == "postgresql":
        return float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())
    return time.time()


def _first(connection: Connection, now: float, priority: int, before: Job | None, lock: bool) -> Place | None:
    """The first free job of a priority. Each state is looked for by itself: so the index gives it at once, however many wait."""
    found: list[Place] = []
    for state in ("queued", "running"):
        query = _free(now, state, priority, before)
        row = connection.execute(query.with_for_update(skip_locked=True) if lock else query).first()
        found += [Place(row.row, row.queued_at)] if row else []
    return min(found, default=None)


def _free(now: float, state: str, priority: int, before: Job | None) -> Select[tuple[int, float]]:
    """Queued and not told to wait, or running with a lease that ran out. A time far ahead is a clock that was set back."""
    past = or_(jobs.c.lease_until.is_(None), jobs.c.lease_until <= now, jobs.c.lease_until > now + _LONGEST_WAIT)
    free = select(jobs.c.row, jobs.c.queued_at).where(jobs.c.state == state, jobs.c.priority == priority, past, ~_held_up())
    if before is not None:
        free = free.where(_goes_before(before))
    return free.order_by(jobs.c.row).limit(1)


def _held_up() -> ColumnElement[bool]:
    """Another of the lane runs, or waits with an earlier place. One that was queued again has kept its place, so both must be asked."""
    other = jobs.alias()
    waits = (other.c.state == "queued") & (other.c.row < jobs.c.row)
    runs = (other.c.state == "running") & (other.c.row != jobs.c.row)
    lane = (jobs.c.lane != "") & (other.c.lane == jobs.c.lane)
    return or_(exists().where(lane, waits), exists().where(lane, runs))


def _goes_before(job: Job) -> ColumnElement[bool]:
    """What must be run so that a job gets its turn, and the job. An urgent one has only its lane's bulk jobs before it."""
    earlier = jobs.c.row < job.row
    if job.priority == URGENT:
        of_lane = and_(jobs.c.lane == job.lane, jobs.c.lane != "")
        earlier = and_(earlier, or_(jobs.c.priority == URGENT, of_lane))
    return or_(jobs.c.row == job.row, earlier)
