"""Original bytes, kept under their hash: the same bytes are kept once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

from sqlalchemy import Connection, func, select, update

from llmops.store.tables import blobs
from llmops.store.upsert import upsert


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def keep(connection: Connection, content: bytes) -> str:
    """Keep the bytes and return their hash. Bytes that were let go of come back."""
    name = digest(content)
    now = {"content": content, "created_at": time.time()}
    known = connection.execute(select(blobs.c.size, func.length(blobs.c.content).label("held")).where(blobs.c.hash == name)).first()
    if known is None:
        row = {"hash": name, "size": len(content), **now}
        connection.execute(upsert(connection, blobs).values(row).on_conflict_do_nothing())
    elif known.held != known.size:
        connection.execute(update(blobs).where(blobs.c.hash == name).values(now))
    else:  # seen again: nobody lets go of it now
        connection.execute(update(blobs).where(blobs.c.hash == name).values(created_at=now["created_at"]))
    return name


def load(connection: Connection, name: str) -> bytes | None:
    """The bytes of that hash, or None where they are not kept, or no more."""
    found = connection.execute(select(blobs.c.content, blobs.c.size).where(blobs.c.hash == name)).first()
    return found.content if found is not None and len(found.content) == found.size else None


def let_go(connection: Connection, names: Sequence[str]) -> None:
    """Drop the bytes of these hashes; that there were some stays known."""
    connection.execute(update(blobs).where(blobs.c.hash.in_(names)).values(content=b""))
