"""Migrations: one chain, all or nothing, one process at a time, and equal to the tables that the rooms declare."""

from __future__ import annotations

import hashlib
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


def differences(connection: Connection) -> list[object]:
    """Between the store and the tables that the rooms declare."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    migrate.load_tables()
    return compare_metadata(MigrationContext.configure(connection), metadata)


def test_the_migrated_store_is_what_the_rooms_declare(empty: Settings) -> None:
    with Home(empty) as home:
        difference = home.store.read(differences)
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


def test_t53_a_store_of_the_first_revision_keeps_its_keys_its_rights_and_its_audit_log(empty: Settings) -> None:
    """Rows as the first revision wrote them: afterwards the key opens, the documents are read by whom they were, the chain holds."""
    from alembic import command

    from llmops.access import audit, keys
    from llmops.store.store import Store
    from llmops.types import Asker
    from vectorstore.rows import collections, listing

    asker = Asker("poc", frozenset({"workspace:poc"}), name="key:a")

    def fill(connection: Connection) -> None:
        command.upgrade(migrate.alembic_config(connection), "0001")
        shared, alices = (hashlib.sha256(f'["{name}"]'.encode()).hexdigest()[:32] for name in ("workspace:poc", "user:alice"))
        values = {"shared": shared, "alices": alices, "secret": hashlib.sha256(b"x" * 43).hexdigest()}
        kept = {"at": 1.5, "workspace": "poc", "actor": "owner", "action": "keys.create", "object": "key:a", "detail": {}, "previous_hash": ""}
        for statement in (
            """insert into acls values (:shared, '["workspace:poc"]'), (:alices, '["user:alice"]')""",
            "insert into acl_principals values ('workspace:poc', :shared), ('user:alice', :alices)",
            "insert into collections (id, workspace, name, encoder, seq, rights_seq, created_at) values ('col_1', 'poc', 'docs', 'e', 1, 0, 0)",
            """insert into documents (id, workspace, collection_row, source, external_id, acl_id, rights_seq, state, version, chunks, updated_at)
               values ('doc_1', 'poc', 1, 's', 'a', :shared, 0, 'ready', 1, 0, 0), ('doc_2', 'poc', 1, 's', 'b', :alices, 0, 'ready', 1, 0, 0)""",
            """insert into keys (id, workspace, name, role, groups, secret_hash, created_at)
               values ('0123456789abcdef', 'poc', 'a', 'admin', '[]', :secret, 0)""",
            f"""insert into audit (at, workspace, actor, action, object, detail, previous_hash, hash)
                values (1.5, 'poc', 'owner', 'keys.create', 'key:a', '{{}}', '', '{audit.chain_hash(kept)}')""",
        ):
            connection.execute(text(statement), {name: value for name, value in values.items() if f":{name}" in statement})

    old = Store(empty.store_url)
    old.write(fill)
    crash_at("migrate.before_commit", ["-c", OPEN])
    assert old.read(migrate.revision) == "0001" and old.read(lambda c: c.execute(text("select count(*) from documents")).scalar()) == 2
    old.close()
    running = [Running(["-c", OPEN]) for _ in range(2)]
    for process in running:
        assert process.wait(60) == 0, process.errors
    with Home(empty) as home:
        assert not home.store.read(differences), "an upgrade lost an index or a column"
        assert home.store.read(lambda c: keys.authenticate(c, f"llmops_0123456789abcdef_{'x' * 43}")).name == "a"
        assert home.store.read(lambda c: [(listing.rights_of(c, row)["acl"], listing.rights_of(c, row)["inherited"]) for row in (1, 2)]) == [
            (["workspace:poc"], True),
            (["user:alice"], False),
        ]
        assert home.store.read(lambda c: collections.listing(c, asker))[0]["documents"] == {"ready": 1, "failed": 0}
        home.store.write(lambda c: audit.record(c, asker, "x.do", "thing"))
        found = home.store.read(audit.verify)
        assert (found.ok, found.entries) == (True, 2), found.faults
