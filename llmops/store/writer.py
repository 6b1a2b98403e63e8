"""Group commit: writes queue up while one transaction commits, and the next transaction takes them all.

On SQLite one thread owns the only writing connection. Every write runs in a savepoint of its own, so that one that
fails takes nothing else with it. A batch is as durable as its most demanding write asks. PostgreSQL groups commits
itself, so there a few threads simply run one transaction each.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from llmops.errors import StoreError

BATCH = 256
RETRYABLE = {"40001", "40P01"}  # serialization failure, deadlock


@dataclass(slots=True)
class Write:
    """A function of a connection, and where its result goes. It may run again, so it must do nothing else."""

    work: Callable[[Connection], Any]
    durable: bool
    done: Future[Any] = field(default_factory=Future)


class Writer:
    """The threads that write. `close` finishes what was handed in."""

    def __init__(self, engine: Engine, *, threads: int, group: bool) -> None:
        self._engine, self._group = engine, group
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._lock, self._closed = threading.Lock(), False
        self._threads = [threading.Thread(target=self._loop, name=f"store-writer-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[Connection], Any], durable: bool) -> Future[Any]:
        if threading.current_thread() in self._threads:
            raise RuntimeError("a write waits for a write inside it: pass the connection on instead")
        write = Write(work, durable)
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed")
            self._queue.put(write)
        return write.done

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for _ in self._threads:
                self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _loop(self) -> None:
        run = self._commit_together if self._group else self._commit_alone
        while (first := self._queue.get()) is not None:
            batch = [first]
            stop = False
            while self._group and len(batch) < BATCH and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    stop = True
                    break
                batch.append(following)
            run([write for write in batch if write.done.set_running_or_notify_cancel()])
            if stop:
                return

    def _commit_together(self, batch: list[Write]) -> None:
        results: list[tuple[Write, Any]] = []
        try:
            with self._engine.connect() as connection:
                full = any(write.durable for write in batch)
                # Outside a transaction: inside one SQLite ignores the change.
                connection.connection.cursor().execute("PRAGMA synchronous=FULL" if full else "PRAGMA synchronous=NORMAL")
                with connection.begin():
                    for write in batch:
                        _run_in_savepoint(connection, write, results)
        except BaseException as failure:
            for write in batch:
                if not write.done.done():
                    write.done.set_exception(failure)
            return
        for write, result in results:
            write.done.set_result(result)

    def _commit_alone(self, batch: list[Write]) -> None:
        for write in batch:
            for attempt in range(4):
                try:
                    with self._engine.begin() as connection:
                        result = write.work(connection)
                except DBAPIError as failure:
                    if attempt < 3 and getattr(failure.orig, "sqlstate", "") in RETRYABLE:
                        continue
                    write.done.set_exception(failure)
                except BaseException as failure:
                    write.done.set_exception(failure)
                else:
                    write.done.set_result(result)
                break


def _run_in_savepoint(connection: Connection, write: Write, results: list[tuple[Write, Any]]) -> None:
    """Run one write of a batch. If it fails, it alone is undone and its caller gets the failure."""
    savepoint = connection.begin_nested()
    try:
        result = write.work(connection)
        savepoint.commit()
    except Exception as failure:
        if not connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]  # SQLite's driver has it
            raise  # a full disk undoes the whole transaction: the writes before this one are gone too
        savepoint.rollback()
        write.done.set_exception(failure)
    else:
        results.append((write, result))
