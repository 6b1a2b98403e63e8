"""Original bytes, kept under their hash: the same bytes are kept once."""

from __future__ import annotations

import hashlib
import time

from sqlalchemy import Connection, select

from llmops.store.tables import blobs
from llmops.store.upsert import upsert


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def keep(connection: Connection, content: bytes) -> str:
    """Keep the bytes and return their hash."""
    name = digest(content)
    if connection.execute(select(blobs.c.hash).where(blobs.c.hash == name)).first() is None:
        row = {"hash": name, "size": len(content), "content": content, "created_at": time.time()}
        connection.execute(upsert(connection, blobs).values(row).on_conflict_do_nothing())
    return name


def load(connection: Connection, name: str) -> bytes | None:
    """The bytes of that hash, or None where they are not kept."""
    content: bytes | None = connection.execute(select(blobs.c.content).where(blobs.c.hash == name)).scalar()
    return content
