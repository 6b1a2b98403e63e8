"""T54: a restore that is cut off leaves rows and files of one state, wherever they lie."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from llmops.access import keys
from llmops.backup_file import Writer, reading
from llmops.home import Home
from server import backups
from tests.conftest import OWNER
from tests.crash import crash_at
from tests.server.test_backup import RESTORE, backup, with_traces

__all__ = ["backup"]


@pytest.mark.parametrize(("failpoint", "new"), [("restore.decided", False), ("restore.moved:2", True)])
def test_t54_a_killed_restore_into_postgresql_leaves_rows_and_traces_of_one_state(
    home: Home, cli, tmp_path, postgres_url, monkeypatch, failpoint, new
) -> None:
    home.store.write(lambda c: keys.create(c, OWNER, keys.Wanted("shop", "admin")))
    with_traces(home.settings.home, "shop")
    backups.save(home, OWNER, tmp_path / "b.zip")
    monkeypatch.setenv("LLMOPS__STORE__URL", postgres_url)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "other"))
    cli("keys", "create", "mine", "--role", "admin")
    with_traces(tmp_path / "other", "mine")
    crash_at(failpoint, ["-c", RESTORE, str(tmp_path / "b.zip"), "--force"], cwd=tmp_path)
    names = [row["name"] for row in cli("keys", "list", "--json").json["data"]]
    assert [*names, (tmp_path / "other/mlruns/1/a.txt").read_text()] == ["shop" if new else "mine"] * 2
    assert not (tmp_path / "other/restore.json").exists()
    assert not list((tmp_path / "other").glob("restoring-*")), "nor is left what it had made ready"


def test_t54_a_store_on_another_file_system_is_restored_where_it_is(cli, backup, tmp_path, monkeypatch) -> None:
    if not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        monkeypatch.setenv("LLMOPS__STORE__URL", f"sqlite:///{place}/llmops.db")
        cli("keys", "create", "mine", "--role", "admin")
        crash_at("restore.table:5", ["-c", RESTORE, str(backup), "--force"], cwd=tmp_path)
        forced = cli("restore", backup, "--force", "--json")
        assert forced.rc == 0, forced.stderr
        assert [row["name"] for row in cli("keys", "list", "--json").json["data"]] == ["shop"]
        assert Path(forced.json["aside"], "llmops.db").exists()
        assert not [path.name for path in Path(place).iterdir() if "restoring" in path.name]


def test_t54_a_restore_whose_files_are_gone_is_not_forgotten(settings, cli, backup, tmp_path) -> None:
    crash_at("restore.decided", ["-c", RESTORE, str(backup), "--force"], cwd=tmp_path)
    (settings.home / "llmops.db").unlink(missing_ok=True)
    for left in settings.home.glob(".llmops.db.restoring-*"):
        left.unlink()
    for _ in range(2):
        lost = cli("keys", "list")
        assert lost.rc == 3 and "a restore was cut off" in lost.stderr
    assert not (settings.home / "llmops.db").exists()


def test_t54_traces_go_aside_with_the_rows_they_belong_to(settings, backup) -> None:
    with_traces(settings.home, "of the former state")
    told = backups.restore(settings, OWNER, backup, force=True)
    assert not (settings.home / "mlflow.db").exists() and not (settings.home / "mlruns").exists()
    [kept] = settings.home.glob("before-restore-*/mlruns/1/a.txt")
    assert kept.read_text() == "of the former state"
    assert told["aside"] is not None


def test_t54_what_goes_wrong_beside_the_backup_is_not_told_as_its_damage(backup) -> None:
    with pytest.raises(RuntimeError, match="no thread"), reading(backup):
        raise RuntimeError("no thread can be started")


def test_t54_an_artifact_that_is_removed_meanwhile_takes_no_backup_with_it(home: Home, tmp_path, monkeypatch) -> None:
    with_traces(home.settings.home, "an artifact")
    later = home.settings.home / "mlruns/1/b.txt"
    later.write_text("gone with its run")
    add = Writer.add

    def removing(out: Writer, name: str, pieces: Iterable[bytes]) -> object:
        if name.endswith("/a.txt"):
            later.unlink()
        return add(out, name, pieces)

    monkeypatch.setattr(Writer, "add", removing)
    backups.save(home, OWNER, tmp_path / "b.zip")
    with reading(tmp_path / "b.zip") as backup:
        assert backup.members("mlflow/mlruns") == ["mlflow/mlruns/1/a.txt"]
