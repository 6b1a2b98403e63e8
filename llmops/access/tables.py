"""Keys and the audit log."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, String, Table, UniqueConstraint

from llmops.store.metadata import Json, Row, metadata

keys = Table(
    "keys",
    metadata,
    Column("id", String(32), primary_key=True, comment="the public part of the key"),
    Column("workspace", String(100), nullable=False),
    Column("name", String(100), nullable=False),
    Column("role", String(32), nullable=False),
    Column("user", String(200)),
    Column("groups", Json, nullable=False),
    Column("secret_hash", String(64), nullable=False, comment="SHA-256 of the secret part"),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    UniqueConstraint("workspace", "name"),
)

audit = Table(
    "audit",
    metadata,
    Column("row", Row, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("workspace", String(100), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(100), nullable=False),
    Column("object", String(300), nullable=False),
    Column("detail", Json, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
)
Index("ix_audit_workspace", audit.c.workspace, audit.c.row)
