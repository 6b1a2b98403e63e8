"""Keys and the audit log."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, Integer, String, Table, UniqueConstraint

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
    Column("scopes", Json, comment="the permissions that the key is narrowed to; null: all of its role"),
    Column("act_as", Json, nullable=False, comment="patterns of the principals that the key may speak for"),
    Column("secret_hash", String(64), nullable=False, comment="SHA-256 of the secret part"),
    Column("former_hash", String(64), comment="that of the secret before the last rotation"),
    Column("former_until", Double, comment="until when the former secret is good"),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("used_at", Double, comment="the last use, to the minute"),
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
    Column("origin", String(100), comment="where the call came from"),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
)
Index("ix_audit_workspace", audit.c.workspace, audit.c.row)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="always 1"),
    Column("entries", Row, nullable=False, comment="how many audit rows there are"),
    Column("hash", String(64), nullable=False, comment="that of the newest"),
)
