"""Engines for SQLite and PostgreSQL, set up so that what is committed stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from llmops.errors import ConfigurationError, StoreError, Unavailable

_EXAMPLE = "write postgresql+psycopg://host/db, with the user before the host, or leave it out for SQLite in the home"
OLDEST_SAFE_SQLITE = (3, 51, 3)
"""Versions before it have a race in the WAL reset that can corrupt the file."""


def is_sqlite(url: str) -> bool:
    return url.startswith("sqlite:")


def make_engines(url: str, busy_seconds: float) -> tuple[Engine, Engine]:
    """An engine to read with, which gives one consistent view and cannot write, and one to write with."""
    parsed = _parse(url)
    if is_sqlite(url):
        return _sqlite_engine(parsed, False, busy_seconds), _sqlite_engine(parsed, True, busy_seconds)
    engine = _postgres_engine(parsed, busy_seconds)
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True), engine


def _parse(url: str) -> URL:
    """The URL in parts. Errors do not repeat it, for it may hold a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError("[store] url: not a database URL", hint=_EXAMPLE) from None
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise ConfigurationError(f"[store] url: {parsed.drivername!r} is not supported", hint=_EXAMPLE)
    if parsed.drivername == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigurationError("[store] url: SQLite needs a file", hint=_EXAMPLE)
    return parsed


def _sqlite_engine(url: URL, writes: bool, busy_seconds: float) -> Engine:
    # The standard library's sqlite3 must never open this file: closing it would drop this driver's locks.
    from pysqlite3 import dbapi2

    if dbapi2.sqlite_version_info < OLDEST_SAFE_SQLITE:
        raise StoreError(
            f"SQLite {dbapi2.sqlite_version} can corrupt a store",
            hint="install pysqlite3 0.6.1 or later, and not pysqlite3-binary",
        )
    Path(url.database or "").parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(
        url,
        module=dbapi2,
        hide_parameters=True,
        pool_size=1 if writes else 4,
        max_overflow=0 if writes else 4,
        pool_timeout=busy_seconds,
        connect_args={"timeout": busy_seconds, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _open(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA cache_size=-32768")
        connection.execute("PRAGMA query_only=OFF" if writes else "PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres_engine(url: URL, busy_seconds: float) -> Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise Unavailable("PostgreSQL needs the extra `postgres`", hint="pip install 'llmops[postgres]'") from None
    return create_engine(
        url,
        hide_parameters=True,  # they hold what users wrote, and errors end in logs
        pool_size=8,
        max_overflow=8,
        pool_timeout=busy_seconds,
        pool_pre_ping=True,
        connect_args={
            # An automatically prepared plan made for one asker would be kept for the next one.
            "prepare_threshold": None,
            "connect_timeout": max(2, int(busy_seconds)),
            "options": f"-c lock_timeout={int(busy_seconds * 1000)}",
        },
    )
