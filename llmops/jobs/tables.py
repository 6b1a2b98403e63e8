"""Jobs: rows that a worker leases."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, Integer, String, Table

from llmops.store.metadata import Json, Row, metadata

jobs = Table(
    "jobs",
    metadata,
    Column("row", Row, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("kind", String(64), nullable=False, comment="the part of kind `jobs` that carries it out"),
    Column("workspace", String(100), nullable=False),
    Column("asker", String(200), nullable=False),
    Column("idempotency", String(64), nullable=False, comment="hash of kind, workspace and payload"),
    Column("lane", String(64), nullable=False, comment="jobs of one lane are carried out one after the other, in their order; '' is no lane"),
    Column("priority", Integer, nullable=False, server_default="1", comment="0 urgent, 1 bulk"),
    Column("payload", Json, nullable=False),
    Column("state", String(16), nullable=False, comment="queued, running, done, failed, cancelled"),
    Column("done", Row, nullable=False, default=0),
    Column("total", Row, nullable=False, default=0),
    Column("rate", Double, comment="what was done in a second, of late"),
    Column("result", Json),
    Column("so_far", Json, comment="the audit row to write where it ends before its end"),
    Column("error", String(2000)),
    Column("attempts", Integer, nullable=False, default=0),
    Column("owner", String(100), comment="the process that runs it"),
    Column("lease_until", Double),
    Column("created_at", Double, nullable=False),
    Column("queued_at", Double, nullable=False, server_default="0", comment="when it was last ordered"),
    Column("started_at", Double, comment="when it was first run since then"),
    Column("finished_at", Double),
)
Index("ix_jobs_state_priority_row", jobs.c.state, jobs.c.priority, jobs.c.row)
Index("ix_jobs_lane_state_row", jobs.c.lane, jobs.c.state, jobs.c.row)
Index("ix_jobs_idempotency", jobs.c.idempotency)
