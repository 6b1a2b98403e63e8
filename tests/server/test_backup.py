"""T54: a backup that is taken while others write is one moment of the store, and comes back whole, elsewhere and in either kind of store."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import sqlite3
import stat
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import func, select

from llmops.access import audit, keys
from llmops.errors import Conflict, InvalidInput
from llmops.home import Home
from llmops.jobs.lock import try_lock
from llmops.jobs.slots import URGENT_ONLY
from llmops.jobs.tables import jobs
from llmops.settings import Settings
from llmops.store import dump, hold, migrate
from llmops.store.tables import blobs
from server import backups
from server.doctor import look
from tests.conftest import OWNER, postgres_database
from tests.crash import Running, crash_at
from tests.vectorstore.filled import fill, new_version
from tests.vectorstore.invariants import check_collection
from vectorstore.index.segments import write_segments

WRITES = """
import itertools, sys
from llmops.access import audit
from llmops.home import Home
from llmops.settings import Settings
from llmops.store import blobs
from llmops.types import Asker
with Home(Settings.load()) as home:
    for number in itertools.count():
        def both(c, n=number):  # a blob and its entry: a backup holds both or neither
            audit.record(c, Asker("poc", owner=True), "test.write", blobs.keep(c, f"{sys.argv[1]} {n}".encode()))
        home.store.write(both, durable=False)
        print(number, flush=True)
"""
RESTORE = "import sys; from llmops.cli import main; main(['restore', *sys.argv[1:]])"


def filled(home: Home) -> str:
    """Some of everything; returns a key."""
    made = home.store.write(lambda c: keys.create(c, OWNER, keys.Wanted("shop", "admin"))).key
    collection = fill(home, "docs", [new_version(f"d{n}", f"Number {n} of the harbour\n\nand the river {n}", {"n": n}) for n in range(150)])
    fill(home, "docs", [new_version("d3", "Another text")], gone=["d4"])
    write_segments(home, collection)
    return made


def rows(home: Home, leave_out: tuple[str, ...] = ("audit", "audit_head", "jobs")) -> dict[str, list]:
    """Every row, as both kinds of stores would say it."""
    tables = [table for table in dump.tables() if table.name not in leave_out]
    return home.store.read(lambda c: {table.name: [json.loads(line) for line in dump.lines(c, table)] for table in tables})


def assert_sound(home: Home) -> None:
    wrong = [str(found) for found in look(home) if not found.ok]
    assert not wrong, wrong


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_t54_a_backup_comes_back_whole_in_either_store(store_home: Home, cli, tmp_path, monkeypatch, postgres_server, target) -> None:
    key, file = filled(store_home), tmp_path / "b.zip"
    before = rows(store_home)
    assert cli("backup", file).rc == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = cli("backup", file)
    assert again.rc == 2 and "exists already" in again.stderr
    assert key[-24:].encode() not in b"".join(zipfile.ZipFile(file).read(name) for name in zipfile.ZipFile(file).namelist())
    with postgres_database(postgres_server) as url:
        elsewhere = {"LLMOPS_HOME": str(tmp_path / "elsewhere"), "LLMOPS__STORE__URL": url if target == "postgresql" else ""}
        restored = cli("restore", file, "--json", env=elsewhere)
        assert restored.rc == 0, restored.stderr
        assert restored.json["refused"] == [] and restored.json["aside"] is None
        with Home(Settings.load(environ=elsewhere)) as home:
            assert rows(home) == before
            assert home.store.read(audit.verify).ok
            assert home.store.read(lambda c: keys.authenticate(c, key)).name == "shop"
            assert_sound(home)
            check_collection(home, "docs", ["the river 7"])
            [folder] = [path for path in (tmp_path / "elsewhere/indexes").iterdir() if path.is_dir()]
            assert len(list(folder.iterdir())) == 1, "the index was built again"
            fill(home, "docs", [new_version("new", "rows go on with numbers of their own")])


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=[pytest.mark.prove(20), pytest.mark.timeout(1800)])])
def test_t54_a_backup_is_one_moment_while_two_processes_write(store_home: Home, cli, tmp_path, rounds) -> None:
    filled(store_home)
    with Running(["-c", WRITES, "one"]) as one, Running(["-c", WRITES, "two"]) as two:
        one.wait_for_line(count=20)
        two.wait_for_line(count=20)
        for number in range(rounds):
            acknowledged = len(one.lines) + len(two.lines)
            done = cli("backup", tmp_path / f"b{number}.zip")
            assert done.rc == 0, done.stderr
            elsewhere = Settings.load(environ={"LLMOPS_HOME": str(tmp_path / f"elsewhere-{number}")})
            backups.restore(elsewhere, OWNER, tmp_path / f"b{number}.zip", force=False)
            with Home(elsewhere) as home:
                told = home.store.read(
                    lambda c: {row.object for row in c.execute(select(audit_table()).where(audit_table().c.action == "test.write"))}
                )
                kept = home.store.read(lambda c: set(c.execute(select(blobs.c.hash)).scalars()))
                assert told <= kept and len(kept) - 1 == len(told) >= acknowledged
                assert home.store.read(audit.verify).ok
                assert_sound(home)
        one.kill(signal.SIGKILL)
        two.kill(signal.SIGKILL)


def audit_table():
    from llmops.access.tables import audit

    return audit


@pytest.fixture(scope="module")
def backup(tmp_path_factory, sqlite_template) -> Path:
    """A backup of a small home."""
    folder = tmp_path_factory.mktemp("backup")
    shutil.copy(sqlite_template, folder / "llmops.db")
    with Home(Settings.load(environ={"LLMOPS_HOME": str(folder)})) as home:
        filled(home)
        backups.save(home, OWNER, folder / "b.zip")
    return folder / "b.zip"


def altered(backup: Path, target: Path, manifest: dict, drop: str = "") -> Path:
    """A sealed backup whose manifest says something else."""
    from llmops import backup_file

    with zipfile.ZipFile(backup) as old, target.open("w+b") as out:
        with zipfile.ZipFile(out, "w") as new:
            new.comment = b"0" * 64
            for name in old.namelist():
                if name == "manifest.json":
                    new.writestr(name, json.dumps({**json.loads(old.read(name)), **manifest}))
                elif name != drop:
                    new.writestr(name, old.read(name))
        backup_file._seal(out)
    return target


@pytest.mark.parametrize("places", [60, pytest.param(2000, marks=[pytest.mark.prove(2000), pytest.mark.timeout(1800)])])
def test_t54_a_damaged_foreign_or_newer_backup_is_refused_and_nothing_is_changed(settings, backup, tmp_path, places) -> None:
    whole, wrong, draw = backup.read_bytes(), tmp_path / "wrong.zip", random.Random(places)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in settings.home.iterdir())

    def refused() -> str:
        with pytest.raises(InvalidInput) as failure:
            backups.restore(settings, OWNER, wrong, force=True)
        assert failure.value.hint
        assert sorted((path.name, path.stat().st_mtime_ns) for path in settings.home.iterdir()) == before
        return str(failure.value)

    for place in [0, len(whole) - 1, len(whole) - 64, *draw.choices(range(len(whole)), k=places)]:
        content = bytearray(whole)
        content[place] ^= 1 << draw.randrange(8)
        wrong.write_bytes(content)
        refused()
    for length in [0, 1, 63, 64, len(whole) - 1, *draw.choices(range(len(whole)), k=places // 4)]:
        wrong.write_bytes(whole[:length])
        refused()
    for foreign in (b"PK\x05\x06" + bytes(18), b"a text\n" * 100, bytes(10_000)):
        wrong.write_bytes(foreign)
        refused()
    with zipfile.ZipFile(wrong, "w") as other:
        other.writestr("a", "b")
    refused()
    notes = json.loads(zipfile.ZipFile(backup).read("manifest.json"))["notes"]
    altered(backup, wrong, {"kind": "something else"})
    assert "no backup" in refused()
    altered(backup, wrong, {"format": 2})
    assert "newer version" in refused()
    altered(backup, wrong, {"notes": {**notes, "store": {**notes["store"], "revision": "9999"}}})
    assert "9999" in refused()
    altered(backup, wrong, {}, drop="store/keys.jsonl")
    refused()


def test_t54_a_sealed_backup_that_nobody_wrote_is_refused_and_nothing_is_changed(settings, backup, tmp_path) -> None:
    """The seal says that no byte changed, not that the content is ours."""
    from llmops import backup_file

    wrong = tmp_path / "wrong.zip"
    before = sorted((path.name, path.stat().st_mtime_ns) for path in settings.home.iterdir())
    with zipfile.ZipFile(backup) as old:
        whole = {name: old.read(name) for name in old.namelist()}
    row = whole["store/keys.jsonl"]

    def refused(changed: dict[str, bytes], *, told: bool = True, twice: str = "") -> None:
        members = {**whole, **changed}
        manifest = json.loads(members.pop("manifest.json"))
        if told:
            manifest["members"] |= {
                name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "rows": content.count(b"\n")}
                for name, content in changed.items()
            }
        with wrong.open("w+b") as out:
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
                new.comment = b"0" * 64
                for name, content in [*members.items(), ("manifest.json", json.dumps(manifest).encode())]:
                    new.writestr(name, content)
                if twice:
                    new.writestr(twice, members[twice])
            backup_file._seal(out)
        with pytest.raises(InvalidInput) as failure:
            backups.restore(settings, OWNER, wrong, force=True)
        assert failure.value.hint
        left = sorted((path.name, path.stat().st_mtime_ns) for path in settings.home.iterdir() if not path.name.endswith(".lock"))
        assert left == before

    refused({"store/keys.jsonl": b"{\n"})
    refused({"store/keys.jsonl": b"[1]\n"})
    refused({"store/keys.jsonl": b"7\n"})
    refused({"store/keys.jsonl": row + row})
    kinds = json.loads(whole["manifest.json"])["notes"]["store"]["tables"]["blobs"].values()
    blob = ["*" if kind == "bytes" else value for kind, value in zip(kinds, json.loads(whole["store/blobs.jsonl"].splitlines()[0]), strict=True)]
    refused({"store/blobs.jsonl": json.dumps(blob).encode() + b"\n"})
    refused({"store/keys.jsonl": row.replace(b"shop", b"ship")}, told=False)
    refused({"store/keys.jsonl": b" " * (64 << 20) + b"\n"}, told=False)
    with pytest.warns(UserWarning, match="Duplicate"):
        refused({}, twice="store/keys.jsonl")
    with pytest.raises(InvalidInput):
        backups.restore(settings, OWNER, tmp_path, force=True)


def test_t54_a_home_that_holds_something_is_put_aside_only_with_force(store_home: Home, cli, backup, tmp_path) -> None:
    store_home.store.write(lambda c: keys.create(c, OWNER, keys.Wanted("mine", "admin")))
    store_home.close()
    refused = cli("restore", backup)
    assert refused.rc == 2 and "--force" in refused.stderr
    assert [row["name"] for row in cli("keys", "list", "--json").json["data"]] == ["mine"]
    forced = cli("restore", backup, "--force", "--json")
    assert forced.rc == 0, forced.stderr
    names = [row["name"] for row in cli("keys", "list", "--json").json["data"]]
    assert names == ["shop"]
    aside = forced.json["aside"]
    if store_home.store.is_sqlite:
        former = Home(Settings.load(environ={"LLMOPS_HOME": aside}))
        with former:
            assert [row.name for row in former.store.read(lambda c: keys.list_keys(c, "poc"))] == ["mine"]
    else:
        from sqlalchemy import column, table

        kept = table("keys", column("name"), schema=aside.removeprefix("the schema "))
        with Home(store_home.settings) as now:
            assert now.store.read(lambda c: c.execute(select(kept.c.name)).scalars().all()) == ["mine"]


def test_t54_a_restore_waits_for_nobody_who_writes_and_lets_nobody_in(home: Home, cli, backup, monkeypatch) -> None:
    """Who has the store open would go on writing into what was put aside, and who opens it meanwhile would mix both."""
    with Running(["-c", WRITES, "one"]) as one:
        one.wait_for_line(count=3)
        refused = cli("restore", backup, "--force")
        assert refused.rc == 2 and "has the store of this home open" in refused.stderr
        one.kill(signal.SIGKILL)
        one.wait()
    told = home.store.read(
        lambda c: c.execute(select(func.count()).select_from(audit_table()).where(audit_table().c.action == "test.write")).scalar_one()
    )
    assert told >= len(one.lines)
    home.close()
    monkeypatch.setenv("LLMOPS__STORE__BUSY_SECONDS", "1")
    with hold.alone(home.settings.home):
        home.settings.home.joinpath("llmops.db").rename(home.settings.home / "aside.db")
        late = cli("keys", "list")
        assert late.rc == 3 and "being restored" in late.stderr
        assert not (home.settings.home / "llmops.db").exists()


def test_t54_a_restore_is_refused_while_an_urgent_job_runs(settings, backup) -> None:
    with try_lock(settings.home, URGENT_ONLY), pytest.raises(Conflict, match="runs a job"):
        backups.restore(settings, OWNER, backup, force=True)


@pytest.mark.parametrize("failpoint", ["restore.table:5", "restore.ready", "restore.decided", "restore.moved", "restore.moved:2"])
def test_t54_a_restore_that_is_killed_leaves_the_old_state_or_the_new(settings, cli, backup, tmp_path, failpoint) -> None:
    cli("keys", "create", "mine", "--role", "admin")
    crash_at(failpoint, ["-c", RESTORE, str(backup), "--force"], cwd=tmp_path)
    names = [row["name"] for row in cli("keys", "list", "--json").json["data"]]
    assert names == (["mine"] if failpoint in ("restore.table:5", "restore.ready") else ["shop"])
    again = cli("restore", backup, "--force")
    assert again.rc == 0, again.stderr
    assert [row["name"] for row in cli("keys", "list", "--json").json["data"]] == ["shop"]
    left = [path.name for path in settings.home.iterdir() if "restoring" in path.name or path.name.startswith(".") or path.name == "restore.json"]
    assert left == []


def test_t54_a_killed_restore_leaves_postgresql_as_it_was(cli, backup, tmp_path, postgres_url, monkeypatch) -> None:
    monkeypatch.setenv("LLMOPS__STORE__URL", postgres_url)
    cli("keys", "create", "mine", "--role", "admin")
    crash_at("restore.table:5", ["-c", RESTORE, str(backup), "--force"], cwd=tmp_path)
    assert [row["name"] for row in cli("keys", "list", "--json").json["data"]] == ["mine"]
    assert cli("restore", backup, "--force").rc == 0


def with_traces(folder: Path, name: str) -> None:
    """MLflow's file and an artifact in a home."""
    with sqlite3.connect(folder / "mlflow.db") as made:
        made.execute("create table experiments (artifact_location text)")
        made.execute("create table runs (artifact_uri text)")
        made.execute("insert into experiments values (?)", ((folder / "mlruns/1").as_uri(),))
        made.execute("create table trace_tags (key text, value text)")
        made.execute("insert into trace_tags values ('mlflow.artifactLocation', ?)", ((folder / "mlruns/1/traces").as_uri(),))
        made.execute("insert into trace_tags values ('mlflow.artifactLocation', ?)", (f"{(folder / 'mlruns').as_uri()}-not-ours",))
    made.close()
    (folder / "mlruns/1").mkdir(parents=True)
    (folder / "mlruns/1/a.txt").write_text(name)


def test_t54_a_killed_backup_leaves_no_file_of_that_name(cli, home: Home, tmp_path) -> None:
    filled(home)
    crash_at("backup.table:4", ["-c", RESTORE.replace("'restore'", "'backup'"), str(tmp_path / "b.zip")], cwd=tmp_path)
    assert not (tmp_path / "b.zip").exists()
    assert cli("backup", tmp_path / "b.zip").rc == 0


def test_t54_a_backup_of_the_first_revision_is_migrated(backup, tmp_path, settings) -> None:
    """Its rows are brought to the schema of now, in either order: restored as they were, then migrated."""
    with zipfile.ZipFile(backup) as old:
        manifest = json.loads(old.read("manifest.json"))
        tables = manifest["notes"]["store"]["tables"]
        members = {name: old.read(name) for name in old.namelist()}
    first = migrate.revisions()[0]
    added = {
        "keys": ("scopes", "act_as", "former_hash", "former_until", "used_at"),
        "audit": ("origin",),
        "collections": ("acl_id",),
        "documents": ("inherits",),
        "feedback": ("times",),
    }
    older = {name: dict(columns) for name, columns in tables.items() if name != "audit_head"}
    for name, columns in added.items():
        places = [place for place, column in enumerate(tables[name]) if column not in columns]
        older[name] = {column: kind for column, kind in tables[name].items() if column not in columns}
        found = [json.loads(line) for line in members[f"store/{name}.jsonl"].splitlines()]
        members[f"store/{name}.jsonl"] = content = b"".join(json.dumps([row[place] for place in places]).encode() + b"\n" for row in found)
        manifest["members"][f"store/{name}.jsonl"] |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    del members["store/audit_head.jsonl"]
    manifest["members"].pop("store/audit_head.jsonl")
    manifest["notes"]["store"] = {"revision": first, "tables": {name: older[name] for name in older if name != "audit_head"}}
    members["manifest.json"] = json.dumps(manifest).encode()
    from llmops import backup_file

    wrong = tmp_path / "older.zip"
    with wrong.open("w+b") as out:
        with zipfile.ZipFile(out, "w") as new:
            new.comment = b"0" * 64
            for name, content in members.items():
                new.writestr(name, content)
        backup_file._seal(out)
    backups.restore(settings, OWNER, wrong, force=True)
    with Home(settings) as home:
        assert home.store.read(migrate.revision) == migrate.head()
        assert [row.name for row in home.store.read(lambda c: keys.list_keys(c, "poc"))] == ["shop"]
        check_collection(home, "docs", ["the river 7"])


def test_t54_traces_of_the_home_come_along(home: Home, cli, tmp_path) -> None:
    """MLflow's file is copied as it is at one moment, and its artifacts are looked for where they are now."""
    with_traces(home.settings.home, "an artifact")
    assert cli("backup", tmp_path / "b.zip").rc == 0
    elsewhere = tmp_path / "elsewhere"
    assert cli("restore", tmp_path / "b.zip", env={"LLMOPS_HOME": str(elsewhere)}).rc == 0
    assert (elsewhere / "mlruns/1/a.txt").read_text() == "an artifact"
    with sqlite3.connect(elsewhere / "mlflow.db") as restored:
        assert restored.execute("select * from experiments").fetchall() == [((elsewhere / "mlruns/1").as_uri(),)]
        tags = restored.execute("select value from trace_tags").fetchall()
        assert tags == [((elsewhere / "mlruns/1/traces").as_uri(),), (f"{(home.settings.home / 'mlruns').as_uri()}-not-ours",)]
    restored.close()


def test_t54_only_the_owner_and_only_alone(home: Home, cli, backup) -> None:
    key = home.store.write(lambda c: keys.create(c, OWNER, keys.Wanted("boss", "admin"))).key
    for command in (["backup", "x.zip"], ["restore", backup], ["doctor"]):
        refused = cli(*command, env={"LLMOPS_KEY": key})
        assert refused.rc == 2 and "lacks the permission" in refused.stderr and "unset" in refused.stderr
    from server.listen import server_lock

    with server_lock(home.settings.home):
        runs = cli("restore", backup, "--force")
        assert runs.rc == 2 and "already serves" in runs.stderr
    assert home.store.read(lambda c: c.execute(select(func.count()).select_from(jobs)).scalar_one()) == 0
