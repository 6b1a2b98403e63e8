"""The one door to the database of record: `read` and `write`, and their twins for async callers.

A reader gets one consistent view. A write is acknowledged when it survives the kill of any process; with
`durable=True` when it survives power loss too.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, DataError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from llmops.errors import FREE_SPACE, DiskFull, InvalidInput, StoreError
from llmops.store.engine import is_sqlite, make_engines
from llmops.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Connection", "SQLAlchemyError", "Store"]

T = TypeVar("T")
Work = Callable[[Connection], T]


class Store:
    """Engines, the writer and a few reading threads. Made by `llmops.store.opening.open_store`."""

    def __init__(self, url: str, *, durability: str = "process", busy_seconds: float = 30.0, on_close: Callable[[], None] = lambda: None) -> None:
        self.is_sqlite = is_sqlite(url)
        self._always_durable = durability == "power"
        self.read_engine, self.write_engine = make_engines(url, busy_seconds)
        self._opening = threading.Lock()
        self._writer: Writer | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._closed = False
        self._on_close = on_close

    def read(self, work: Work[T]) -> T:
        """Run `work` on a reading connection, in this thread."""
        with _store_errors(), self.read_engine.connect() as connection, connection.begin():
            return work(connection)

    def write(self, work: Work[T], *, durable: bool = True) -> T:
        """Run `work` in a transaction and return once it is committed."""
        future = self._threads()[0].submit(work, durable or self._always_durable)
        with _store_errors():
            result: T = future.result()
            return result

    async def read_async(self, work: Work[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads()[1], self.read, work)

    async def write_async(self, work: Work[T], *, durable: bool = True) -> T:
        """Like `write`. A caller that is cancelled meanwhile leaves the write to finish by itself."""
        future = self._threads()[0].submit(work, durable or self._always_durable)
        with _store_errors():
            result: T = await asyncio.shield(asyncio.wrap_future(future))
            return result

    def _threads(self) -> tuple[Writer, ThreadPoolExecutor]:
        """The threads that write and those that read for async callers, started by the first who needs them."""
        with self._opening:
            if self._closed:
                raise StoreError("the store is closed")
            if self._writer is None or self._readers is None:
                self._writer = Writer(self.write_engine, threads=1 if self.is_sqlite else 4, group=self.is_sqlite)
                self._readers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="store-reader")
            return self._writer, self._readers

    def close(self) -> None:
        """Finish the writes that were handed in and let go of all connections."""
        with self._opening:
            self._closed = True
            writer, readers = self._writer, self._readers
        if writer is not None and readers is not None:
            writer.close()
            readers.shutdown()
        self.write_engine.dispose()
        self.read_engine.dispose()
        self._on_close()


@contextmanager
def _store_errors() -> Iterator[None]:
    """Turn what drivers raise into one error with a way out; broken statements stay what they are: bugs."""
    try:
        yield
    except PoolTimeout:
        raise StoreError("the store is busy: no free connection", hint="try again") from None
    except OperationalError as failure:
        if getattr(failure.orig, "sqlite_errorname", "") == "SQLITE_ERROR":  # SQLite's driver calls a wrong statement so, too
            raise
        if getattr(failure.orig, "sqlite_errorname", "") == "SQLITE_FULL" or "No space left" in str(failure.orig):
            raise DiskFull(f"the disk of the store is full: {_first_line(failure)}", hint=FREE_SPACE) from failure
        raise StoreError(f"the store cannot answer: {_first_line(failure)}", hint=_way_out(failure)) from failure
    except InterfaceError as failure:  # the connection was closed under it
        raise StoreError(f"the store cannot answer: {_first_line(failure)}", hint=_way_out(failure)) from failure
    except DataError as failure:
        raise InvalidInput(f"the store cannot keep a value: {_first_line(failure)}", hint="make it shorter or smaller") from failure
    except OverflowError as failure:
        if "SQLite" not in str(failure):
            raise
        raise InvalidInput("the store cannot keep a value: the number is too large", hint="make it smaller, or send it as text") from failure
    except DatabaseError as failure:
        if "malformed" in str(failure.orig) or "not a database" in str(failure.orig):
            raise StoreError(f"the store's file is damaged: {_first_line(failure)}", hint="restore a backup of llmops.db") from failure
        raise


def _first_line(failure: DBAPIError) -> str:
    return str(failure.orig).strip().split("\n")[0]


def _way_out(failure: DBAPIError) -> str:
    text = str(failure.orig)
    hints = {
        "locked": "another process is writing; try again",
        "lock timeout": "another process is writing; try again",
        "disk I/O error": "the disk is full or broken: free some space, and look into the system's log",
        "unable to open": "check that LLMOPS_HOME can be written",
        "readonly": "check that LLMOPS_HOME can be written",
    }
    return next((hint for sign, hint in hints.items() if sign in text), "check that the database of [store] url is up")
