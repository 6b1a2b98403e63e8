"""Migrations: one chain, all or nothing, one process at a time, and equal to the tables that the rooms declare."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from llmops.errors import InvalidInput, StoreError
from llmops.home import Home
from llmops.settings import Settings
from llmops.store import migrate
from llmops.store.metadata import metadata
from llmops.store.revise import revise
from tests.crash import Running, crash_at

OPEN = "from llmops.home import Home; from llmops.settings import Settings; Home(Settings.load()).store; print('open')"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A home whose store has no table yet."""
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path)
    if request.param == "postgresql":
        monkeypatch.setenv("LLMOPS__STORE__URL", request.getfixturevalue("empty_postgres_url"))
    yield Settings.load()


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def test_there_is_one_head() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [migrate.head()]
    assert [one.revision for one in script.walk_revisions()][::-1] == migrate.revisions()


def test_the_migrated_store_is_what_the_rooms_declare(empty: Settings) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    migrate.load_tables()
    with Home(empty) as home:
        difference = home.store.read(lambda connection: compare_metadata(MigrationContext.configure(connection), metadata))
    assert not difference, 'run `make migration m="why"`'


def test_opening_again_changes_nothing(empty: Settings) -> None:
    for _ in range(2):
        with Home(empty) as home:
            assert home.store.read(migrate.revision) == migrate.head()


def test_t53_a_newer_store_is_refused(store_home: Home, store_settings: Settings) -> None:
    store_home.store.write(lambda connection: connection.execute(text("update alembic_version set version_num = '9999'")))
    with Home(store_settings) as home, pytest.raises(StoreError, match="9999") as newer:
        home.store.read(tables)
    assert "newer" in newer.value.hint


def test_t53_processes_that_migrate_at_once_all_find_it_done(empty: Settings) -> None:
    running = [Running(["-c", OPEN]) for _ in range(4)]
    for process in running:
        assert process.wait(60) == 0, process.errors
        assert process.lines == ["open"]
    with Home(empty) as home:
        assert home.store.read(migrate.revision) == migrate.head()


def test_t53_a_kill_in_the_migration_leaves_an_empty_store(empty: Settings) -> None:
    crash_at("migrate.before_commit", ["-c", OPEN])
    if empty.store.url:
        from llmops.store.store import Store

        store = Store(empty.store_url)
        assert store.read(tables) == set()
        store.close()
    with Home(empty) as home:
        assert home.store.read(migrate.revision) == migrate.head()
        assert home.store.read(tables) == {*metadata.tables, "alembic_version"}


@pytest.mark.prove
@pytest.mark.parametrize("attempt", range(20))
def test_t53_a_kill_at_any_time_leaves_a_store_that_opens(empty: Settings, attempt: int) -> None:
    import time

    with Running(["-c", OPEN]) as running:
        time.sleep(0.3 + 0.05 * attempt)
        running.kill(signal.SIGKILL)
        running.wait()
    with Home(empty) as home:
        assert home.store.read(tables) == {*metadata.tables, "alembic_version"}


def test_a_change_of_the_tables_becomes_the_next_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import Column, Table

    from llmops.store.metadata import Json, Row

    migrate.load_tables()
    copy = tmp_path / "migrations"
    shutil.copytree(migrate.MIGRATIONS, copy)
    monkeypatch.setattr(migrate, "MIGRATIONS", copy)
    extra = Table("extra", metadata, Column("row", Row, primary_key=True), Column("detail", Json, nullable=False))
    try:
        path = revise("add a table")
    finally:
        metadata.remove(extra)
    assert path.parent == copy / "versions"
    assert path.name == f"{int(migrate.revisions()[-2]) + 1:04d}_add_a_table.py"
    written = path.read_text()
    assert 'sa.Column("row", ROW' in written.replace("'", '"')
    assert 'sa.Column("detail", JSON' in written.replace("'", '"')
    with pytest.raises(InvalidInput):
        revise("  ")
