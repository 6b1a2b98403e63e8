"""Tables that belong to no single room: original bytes, and what other stores must still be told."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, Integer, String, Table

from llmops.store.metadata import Bytes, Json, Row, metadata

blobs = Table(
    "blobs",
    metadata,
    Column("hash", String(64), primary_key=True, comment="SHA-256 of the bytes, in hex"),
    Column("size", Row, nullable=False),
    Column("content", Bytes, nullable=False),
    Column("created_at", Double, nullable=False),
    info={"at_once": 2},
)

outbox = Table(
    "outbox",
    metadata,
    Column("row", Row, primary_key=True, autoincrement=True),
    Column("topic", String(64), nullable=False, comment="the part of kind `deliveries` that delivers it"),
    Column("key", String(200), nullable=False, comment="what it is about; the delivery is idempotent in it"),
    Column("payload", Json, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", Double, nullable=False),
    Column("error", String(500)),
)
outbox_drops = Table(
    "outbox_drops",
    metadata,
    Column("topic", String(64), primary_key=True),
    Column("dropped", Row, nullable=False, comment="messages that were given up, for too many waited behind them"),
    Column("last_at", Double, nullable=False),
)
Index("ix_outbox_topic_due_at", outbox.c.topic, outbox.c.due_at)
