"""What other stores must still be told, written in the transaction that it tells of."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from llmops.store.tables import outbox, outbox_drops
from llmops.store.upsert import upsert

LONGEST_WAIT = 300.0
MOST = 100_000
"""Messages of a topic that are kept for a store that is away; of more the oldest are given up, and counted."""


class Item(NamedTuple):
    """One message to deliver."""

    row: int
    key: str
    payload: Mapping[str, Any]
    attempts: int


def tell(connection: Connection, topic: str, key: str, payload: Mapping[str, Any]) -> None:
    """Queue a message in the caller's transaction."""
    connection.execute(insert(outbox).values(topic=topic, key=key, payload=dict(payload), attempts=0, due_at=time.time()))


def due(connection: Connection, topic: str, limit: int = 50) -> list[Item]:
    """The messages whose time has come, oldest first."""
    rows = connection.execute(
        select(outbox.c.row, outbox.c.key, outbox.c.payload, outbox.c.attempts)
        .where(outbox.c.topic == topic, outbox.c.due_at <= time.time())
        .order_by(outbox.c.row)
        .limit(limit)
    )
    return [Item(*row) for row in rows]


def delivered(connection: Connection, rows: list[int]) -> None:
    connection.execute(delete(outbox).where(outbox.c.row.in_(rows)))


def postpone(connection: Connection, item: Item, error: str) -> None:
    """Keep a message whose delivery failed, for later: the wait doubles up to five minutes."""
    wait = min(LONGEST_WAIT, 2.0 ** min(item.attempts, 9))
    connection.execute(
        update(outbox).where(outbox.c.row == item.row).values(attempts=item.attempts + 1, due_at=time.time() + wait, error=error[:500])
    )


def drop_oldest(connection: Connection, topic: str, keep: int = MOST) -> int:
    """Give up all but the newest `keep` messages of a topic; returns how many that were. Their number is kept."""
    mine = outbox.c.topic == topic
    last = connection.execute(select(outbox.c.row).where(mine).order_by(outbox.c.row.desc()).offset(keep).limit(1)).scalar()
    if last is None:
        return 0
    dropped = connection.execute(delete(outbox).where(mine, outbox.c.row <= last)).rowcount
    counted = upsert(connection, outbox_drops).values(topic=topic, dropped=dropped, last_at=time.time())
    both = {"dropped": outbox_drops.c.dropped + counted.excluded.dropped, "last_at": counted.excluded.last_at}
    connection.execute(counted.on_conflict_do_update(index_elements=["topic"], set_=both))
    return dropped


def dropped(connection: Connection) -> dict[str, int]:
    """How many messages were given up, by topic, since the home began."""
    return dict(connection.execute(select(outbox_drops.c.topic, outbox_drops.c.dropped)).all())


def waiting(connection: Connection) -> dict[str, int]:
    """How many messages wait, by topic."""
    rows = connection.execute(select(outbox.c.topic, func.count()).group_by(outbox.c.topic))
    return {row[0]: row[1] for row in rows}
