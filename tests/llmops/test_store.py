"""The store of record: what is committed stays, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError, ProgrammingError

from llmops.errors import ConfigurationError, InvalidInput, StoreError
from llmops.home import Home
from llmops.redact import redact
from llmops.settings import Settings
from llmops.store import blobs, outbox
from llmops.store.store import Store
from llmops.store.tables import blobs as blob_table
from tests.crash import crash_after


def keep(number: int) -> Callable[[Connection], str]:
    return lambda connection: blobs.keep(connection, b"blob %d" % number)


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(blob_table)).scalar_one()


def test_what_was_written_is_read(store: Store) -> None:
    name = store.write(keep(1))
    assert store.read(lambda connection: blobs.load(connection, name)) == b"blob 1"
    assert store.read(lambda connection: blobs.load(connection, "0" * 64)) is None


def test_the_same_bytes_are_kept_once_whoever_brings_them(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: store.write(keep(1)), range(40)))
    assert len(names) == 1
    assert store.read(count) == 1


def test_all_bytes_come_back(store: Store) -> None:
    content = bytes(range(256)) * 4096
    name = store.write(lambda connection: blobs.keep(connection, content))
    assert store.read(lambda connection: blobs.load(connection, name)) == content


async def test_async_callers_read_and_write(store: Store) -> None:
    names = await asyncio.gather(*(store.write_async(keep(number), durable=False) for number in range(50)))
    assert len(set(names)) == 50
    assert await store.read_async(count) == 50


def test_a_write_that_fails_takes_nothing_else_with_it(store: Store) -> None:
    hold, entered = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        entered.set()
        hold.wait(10)

    def bad(connection: Connection) -> None:
        blobs.keep(connection, b"half of a failing write")
        connection.execute(insert(blob_table).values(hash=None, size=0, content=b"", created_at=0.0))

    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(store.write, slow)
        entered.wait(10)  # all others now queue up behind it and become one batch
        good = [pool.submit(store.write, keep(number)) for number in range(10)]
        failing = [pool.submit(store.write, bad) for _ in range(5)]
        time.sleep(0.1)
        hold.set()
        first.result()
        assert len({future.result() for future in good}) == 10
        for future in failing:
            with pytest.raises(IntegrityError):
                future.result()
    assert store.read(count) == 10


def test_an_error_of_the_caller_comes_back_as_it_is(store: Store) -> None:
    def refuse(connection: Connection) -> None:
        blobs.keep(connection, b"undone")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        store.write(refuse)
    assert store.read(count) == 0


def test_a_wrong_statement_is_a_bug_and_not_a_busy_store(store: Store) -> None:
    with pytest.raises((OperationalError, ProgrammingError)):
        store.read(lambda connection: connection.execute(text("select nothing from nowhere")))


def test_many_threads_write_together(store: Store) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: store.write(keep(number), durable=number % 7 == 0), range(400)))
    assert store.read(count) == 400


def test_a_write_inside_a_write_is_refused_and_does_not_hang(store: Store) -> None:
    with pytest.raises(RuntimeError, match="inside"):
        store.write(lambda connection: store.write(keep(1)))


def test_a_reader_has_one_consistent_view(store: Store) -> None:
    store.write(keep(1))

    def look_twice(connection: Connection) -> tuple[int, int]:
        before = count(connection)
        store.write(keep(2))
        return before, count(connection)

    assert store.read(look_twice) == (1, 1)
    assert store.read(count) == 2


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises((DatabaseError, StoreError)):
        store.read(keep(1))
    assert store.read(count) == 0
    store.write(keep(1))


async def test_a_cancelled_caller_leaves_the_write_to_finish(store: Store) -> None:
    entered, hold = threading.Event(), threading.Event()

    def slow(connection: Connection) -> str:
        entered.set()
        hold.wait(10)
        return blobs.keep(connection, b"kept all the same")

    task = asyncio.create_task(store.write_async(slow))
    await asyncio.to_thread(entered.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    hold.set()
    name = blobs.digest(b"kept all the same")
    for _ in range(100):
        if await store.read_async(lambda connection: blobs.load(connection, name)):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the write was lost with its caller")


def test_close_finishes_what_was_handed_in(store_settings: Settings) -> None:
    with Home(store_settings) as home:
        threads = [threading.Thread(target=home.store.write, args=(keep(number),)) for number in range(50)]
        for thread in threads:
            thread.start()
        home.store.write(keep(1000))
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    with Home(store_settings) as home:
        assert home.store.read(count) >= 1
        store = home.store
    with pytest.raises(StoreError, match="closed"):
        store.write(keep(1))


# --- SQLite alone -----------------------------------------------------------------------------------------------------


def test_a_batch_is_as_durable_as_its_most_demanding_write(home: Home) -> None:
    def level(connection: Connection) -> int:
        return connection.execute(text("pragma synchronous")).scalar_one()

    full, normal = 2, 1
    assert [home.store.write(level, durable=durable) for durable in (True, False, True, False)] == [full, normal, full, normal]


def test_durability_power_makes_every_write_durable(settings: Settings) -> None:
    store = Store(settings.store_url, durability="power")
    assert store.write(lambda connection: connection.execute(text("pragma synchronous")).scalar_one(), durable=False) == 2
    store.close()


def test_sqlite_is_safe_and_set_up(home: Home) -> None:
    def pragma(name: str) -> Callable[[Connection], object]:
        return lambda connection: connection.execute(text(f"pragma {name}")).scalar_one()

    assert home.store.read(lambda connection: connection.execute(text("select sqlite_version()")).scalar_one()) >= "3.51.3"
    assert home.store.read(pragma("journal_mode")) == "wal"
    assert home.store.read(pragma("query_only")) == 1
    assert home.store.write(pragma("foreign_keys")) == 1


def test_a_full_disk_fails_every_write_that_it_undid(home: Home) -> None:
    """SQLite undoes the whole transaction then: the writes before the one that found the disk full are gone too."""
    store, hold, entered = home.store, threading.Event(), threading.Event()
    store.write(keep(0))

    def fill(connection: Connection) -> None:
        pages = connection.execute(text("pragma page_count")).scalar_one()
        connection.execute(text(f"pragma max_page_count = {pages + 20}"))
        blobs.keep(connection, b"x" * 1_000_000)

    def slow(connection: Connection) -> None:
        entered.set()
        hold.wait(10)

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(store.write, slow)
        entered.wait(10)
        small = [pool.submit(store.write, keep(number)) for number in (1, 2, 3)]
        time.sleep(0.1)
        large = pool.submit(store.write, fill)
        time.sleep(0.1)
        later = [pool.submit(store.write, keep(number)) for number in (4, 5, 6)]
        time.sleep(0.1)
        hold.set()
        first.result()
        with pytest.raises(StoreError, match="full") as full:
            large.result()
        assert "space" in full.value.hint
        acknowledged = {future.result() for future in (*small, *later) if future.exception() is None}
    for name in acknowledged:
        assert store.read(lambda connection, name=name: blobs.load(connection, name)) is not None
    store.write(lambda connection: connection.execute(text("pragma max_page_count = 1000000")))
    store.write(keep(7))


def test_t53_a_damaged_file_is_named_as_such(settings: Settings) -> None:
    path = settings.home / "llmops.db"
    path.write_bytes(b"this was a database once" * 500)
    with Home(settings) as home, pytest.raises(StoreError, match="damaged") as damaged:
        home.store.read(count)
    assert "backup" in damaged.value.hint


def test_t53_a_file_cut_short_is_named_as_such(settings: Settings) -> None:
    with Home(settings) as home:
        home.store.write(keep(1))
    path = settings.home / "llmops.db"
    path.write_bytes(path.read_bytes()[: 3 * 4096])
    with Home(settings) as home, pytest.raises(StoreError, match="damaged"):
        home.store.read(count)


@pytest.mark.parametrize("folder", ["with space", "100% sure?", "a#b%20c", "日本語"])
def test_a_home_may_have_any_name(tmp_path: Path, folder: str) -> None:
    settings = Settings.load(environ={"LLMOPS_HOME": str(tmp_path / folder)})
    with Home(settings) as home:
        home.store.write(keep(1))
    assert (tmp_path / folder / "llmops.db").stat().st_size > 0


@pytest.mark.parametrize(
    "url", ["nonsense", "postgresql+psycopg://me:secret@host:port/db", "mysql://me:secret@host/db", "sqlite://", "sqlite:///:memory:"]
)
def test_a_wrong_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        Store(url)
    assert "secret" not in str(wrong.value)
    assert "postgresql+psycopg://host/db" in redact(wrong.value.hint)


def test_what_a_column_cannot_hold_is_the_callers_fault_and_stands_in_no_log(store: Store) -> None:
    with pytest.raises(InvalidInput, match="cannot keep") as refused:
        store.write(lambda connection: connection.execute(text("select cast(:n as bigint)"), {"n": 2**70 + 1}))
    assert "select" not in str(refused.value) and refused.value.hint
    with pytest.raises((OperationalError, ProgrammingError)) as broken:
        store.write(lambda connection: connection.execute(text("select no_such_column from blobs where size = :n"), {"n": "private words"}))
    assert "private words" not in str(broken.value)


def test_t52_a_database_that_is_not_there_is_a_store_error() -> None:
    store = Store("postgresql+psycopg://me:secret@127.0.0.1:1/db", busy_seconds=2)
    with pytest.raises(StoreError) as gone:
        store.read(count)
    assert "secret" not in str(gone.value)
    assert "[store] url" in gone.value.hint
    store.close()


# --- Other processes --------------------------------------------------------------------------------------------------


def test_t52_a_store_that_another_process_locks_answers_in_time(store_home: Home, store_settings: Settings) -> None:
    impatient = Store(store_settings.store_url, busy_seconds=0.3)
    locked, hold = threading.Event(), threading.Event()

    def lock(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("lock table blobs"))
        locked.set()
        hold.wait(20)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(store_home.store.write, lock)
        locked.wait(10)
        started = time.monotonic()
        with pytest.raises(StoreError) as busy:
            impatient.write(keep(1))
        assert time.monotonic() - started < 5
        assert "try again" in busy.value.hint
        hold.set()
        other.result()
    impatient.write(keep(1))
    impatient.close()


WRITES = """
import itertools
from concurrent.futures import ThreadPoolExecutor
from llmops.home import Home
from llmops.redact import redact
from llmops.settings import Settings
from llmops.store import blobs

def write(number):
    name = store.write(lambda connection: blobs.keep(connection, b"%d" % number), durable=number % 3 == 0)
    print(name + "\\n", end="", flush=True)

with Home(Settings.load()) as home:
    store = home.store
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(100_000)))
"""


@pytest.mark.parametrize("seconds", [0.05, 0.3])
def test_every_acknowledged_write_survives_kill_9(store_settings: Settings, seconds: float) -> None:
    acknowledged = crash_after(seconds, ["-c", WRITES], ready="0")
    acknowledged = [line for line in acknowledged if len(line) == 64]
    assert acknowledged
    with Home(store_settings) as home:
        kept = home.store.read(lambda connection: set(connection.execute(select(blob_table.c.hash)).scalars()))
        whole = home.store.read(lambda connection: connection.execute(select(blob_table)).all())
    assert set(acknowledged) <= kept
    assert all(blobs.digest(bytes(row.content)) == row.hash for row in whole)


# --- The outbox -------------------------------------------------------------------------------------------------------


def test_t58_a_spool_is_bounded_and_what_it_gives_up_is_counted(store: Store) -> None:
    def tell(connection, topic: str, first: int, last: int) -> None:
        for number in range(first, last):
            outbox.tell(connection, topic, f"key {number}", {})

    store.write(lambda connection: tell(connection, "traces", 0, 10))
    store.write(lambda connection: tell(connection, "other", 0, 2))
    assert store.write(lambda connection: outbox.drop_oldest(connection, "traces", keep=10)) == 0
    assert store.read(outbox.dropped) == {}
    assert store.write(lambda connection: outbox.drop_oldest(connection, "traces", keep=4)) == 6
    store.write(lambda connection: tell(connection, "traces", 10, 11))
    assert store.write(lambda connection: outbox.drop_oldest(connection, "traces", keep=4)) == 1
    assert [item.key for item in store.read(lambda connection: outbox.due(connection, "traces"))] == ["key 7", "key 8", "key 9", "key 10"]
    assert (store.read(outbox.dropped), store.read(outbox.waiting)["other"]) == ({"traces": 7}, 2)


def test_the_outbox_tells_in_order_and_once(store: Store) -> None:
    for number in range(3):
        store.write(lambda connection, number=number: outbox.tell(connection, "traces", f"key {number}", {"number": number}))
    store.write(lambda connection: outbox.tell(connection, "other", "key", {}))
    items = store.read(lambda connection: outbox.due(connection, "traces"))
    assert [item.payload for item in items] == [{"number": 0}, {"number": 1}, {"number": 2}]
    assert store.read(outbox.waiting) == {"traces": 3, "other": 1}
    store.write(lambda connection: outbox.delivered(connection, [item.row for item in items[:2]]))
    assert [item.key for item in store.read(lambda connection: outbox.due(connection, "traces"))] == ["key 2"]


def test_t58_a_delivery_that_fails_is_kept_for_later(store: Store) -> None:
    store.write(lambda connection: outbox.tell(connection, "traces", "key", {}))
    (item,) = store.read(lambda connection: outbox.due(connection, "traces"))
    store.write(lambda connection: outbox.postpone(connection, item, "down " * 1000))
    assert store.read(lambda connection: outbox.due(connection, "traces")) == []
    assert store.read(outbox.waiting) == {"traces": 1}
    time.sleep(1.1)
    (again,) = store.read(lambda connection: outbox.due(connection, "traces"))
    assert again.attempts == 1


def test_a_message_of_a_failed_transaction_was_never_told(store: Store) -> None:
    def told_and_failed(connection: Connection) -> None:
        outbox.tell(connection, "traces", "key", {})
        raise KeyError

    with pytest.raises(KeyError):
        store.write(told_and_failed)
    assert store.read(outbox.waiting) == {}
