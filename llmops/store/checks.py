"""What `llmops doctor` asks of the store itself, of the original bytes and of the outbox."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select, text

from llmops import plugins
from llmops.checks import RESTORE, Check, Finding
from llmops.store import blobs, outbox
from llmops.store.metadata import metadata
from llmops.store.migrate import load_tables, revision
from llmops.store.tables import blobs as blob_table
from llmops.store.tables import outbox as messages

if TYPE_CHECKING:
    from llmops.home import Home

LARGE_LOG = 2**30
"""Bytes of SQLite's log beside the file: so much of it means that some reader never ends."""
STUCK = 86_400.0
"""Seconds after which a message that was tried in vain counts as stuck."""


def _look_at_store(home: Home) -> Iterator[Finding]:
    store = home.store
    yield store.read(_integrity)
    yield store.read(_schema)
    if store.is_sqlite:
        yield _log_of(Path(store.write_engine.url.database or ""), store.read(lambda c: str(c.execute(text("pragma journal_mode")).scalar())))


def _integrity(connection: Connection) -> Finding:
    found = Finding("store", hint=RESTORE)
    if connection.dialect.name == "postgresql":
        version = connection.execute(text("show server_version")).scalar()
        encoding = str(connection.execute(text("show server_encoding")).scalar())
        found.detail = f"PostgreSQL {version}, {encoding}"
        if encoding != "UTF8":
            found.faults.append(f"the database's encoding is {encoding}")
            found.hint = "make a database with encoding UTF8 and restore a backup into it"
        return found
    found.faults += [str(row[0]) for row in connection.execute(text("pragma integrity_check(20)")) if row[0] != "ok"]
    found.faults += [
        f"a row of {row[0]} refers to a row of {row[2]} that is not there" for row in connection.execute(text("pragma foreign_key_check"))
    ]
    found.detail = f"SQLite {connection.execute(text('select sqlite_version()')).scalar()}, whole"
    return found


def _schema(connection: Connection) -> Finding:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    load_tables()
    found = Finding("schema", f"revision {revision(connection)}", RESTORE)
    # A database may hold tables of somebody else's; `name` is one of them where the metadata has none of that name.
    options = {"include_name": lambda name, kind, _: kind != "table" or name in metadata.tables}
    differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    found.faults += [str(difference)[:200] for difference in differences]
    return found


def _log_of(file: Path, mode: str) -> Finding:
    log = Path(f"{file}-wal")
    size = log.stat().st_size if log.exists() else 0
    found = Finding("write-ahead log", f"{size / 2**20:.1f} MiB")
    if mode != "wal":
        found.faults.append(f"the journal mode is {mode!r}, not 'wal'")
    if size > LARGE_LOG:
        found.faults.append(f"it has {size / 2**30:.1f} GiB: some reader does not end")
        found.hint = "end the process that reads for so long, or restart the server"
    return found


def _look_at_blobs(home: Home) -> Iterator[Finding]:
    def look(connection: Connection) -> Finding:
        found = Finding("blobs", hint=RESTORE)
        kept = gone = 0
        for row in connection.execute(select(blob_table).execution_options(stream_results=True, yield_per=2)):
            if row.size and not row.content:
                gone += 1
            elif len(row.content) != row.size:
                found.faults.append(f"{row.hash} has {len(row.content)} bytes in place of {row.size}")
            elif blobs.digest(bytes(row.content)) != row.hash:
                found.faults.append(f"{row.hash} is not the hash of its bytes")
            else:
                kept += 1
        found.detail = f"{kept} as their names say, {gone} let go"
        return found

    yield home.store.read(look)


def _look_at_outbox(home: Home) -> Iterator[Finding]:
    def look(connection: Connection) -> Finding:
        found = Finding("outbox", hint="see that what it is for is up: [mlflow] in llmops.toml")
        known = plugins.names("deliveries")
        query = select(messages.c.topic, func.count(), func.max(messages.c.attempts), func.min(messages.c.due_at), func.max(messages.c.error))
        total = 0
        for topic, count, attempts, due, error in connection.execute(query.group_by(messages.c.topic)):
            total += count
            if topic not in known:
                found.faults.append(f"{count} of topic {topic!r}, which nothing delivers")
            elif attempts and due < time.time() - STUCK:
                found.faults.append(f"{count} of topic {topic!r} wait for more than a day: {error}")
        found.detail = f"{total} waiting"
        if dropped := sum(outbox.dropped(connection).values()):
            found.detail += f", {dropped} given up since the home began"
        return found

    yield home.store.read(look)


STORE, BLOBS, OUTBOX = Check(_look_at_store), Check(_look_at_blobs), Check(_look_at_outbox)
