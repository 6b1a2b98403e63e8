"""The audit log: only added to, chained, and without secrets."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
from sqlalchemy import delete, text, update

from llmops.access import audit
from llmops.access.tables import audit as audit_table
from llmops.access.tables import audit_head
from llmops.store.store import Store
from llmops.types import Asker


def add(store: Store, action: str = "x.do", workspace: str = "poc", actor: str = "owner", object: str = "thing", detail=None) -> None:
    store.write(lambda connection: audit.record(connection, Asker(workspace, name=actor, origin="cli"), action, object, detail))


def log(store: Store, workspace: str = "poc", **page) -> list[audit.Entry]:
    return store.read(lambda connection: audit.entries(connection, workspace, **page))


def is_whole(entries: list[audit.Entry]) -> bool:
    """Whether the rows, oldest first, form one chain from the first on."""
    previous = ""
    for entry in entries:
        values = {name: value for name, value in asdict(entry).items() if name != "row"}
        if entry.previous_hash != previous or audit.chain_hash(values) != entry.hash:
            return False
        previous = entry.hash
    return True


ODD = {
    "a": 1.5,
    "b": 1e22,
    "c": [True, None, 0.1, -0.0, 1e-7],
    "ü": "日本\x00\ud800",
    "n": float("nan"),
    "deep": {"x": {"y": [{"z": 2**60}]}},
    "s": {3},
}


def test_what_is_read_back_hashes_as_it_was_written(store: Store):
    add(store, detail=ODD, actor="a\x00b", object="o" * 1000)
    add(store, detail={})
    entries = log(store)[::-1]
    assert is_whole(entries)
    assert len(entries[0].object) == 300
    assert entries[0].detail["ü"] == "日本\ufffd\ufffd"


def test_a_change_breaks_the_chain(store: Store):
    for number in range(4):
        add(store, detail={"n": number})
    assert is_whole(log(store)[::-1])
    store.write(lambda connection: connection.execute(update(audit_table).where(audit_table.c.row == log(store)[1].row).values(actor="nobody")))
    assert not is_whole(log(store)[::-1])


def test_a_row_taken_out_breaks_the_chain(store: Store):
    for number in range(4):
        add(store, detail={"n": number})
    gone = log(store)[1].row
    store.write(lambda connection: connection.execute(delete(audit_table).where(audit_table.c.row == gone)))
    assert not is_whole(log(store)[::-1])


def test_the_chain_stays_one_when_many_write_at_once(store: Store):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: add(store, detail={"n": n}), range(40)))
    entries = log(store)
    assert len(entries) == 40
    assert is_whole(entries[::-1])


def test_pages_go_back_in_time_and_stay_in_the_workspace(store: Store):
    for number in range(5):
        add(store, action=f"x.{number}")
        add(store, action="other", workspace="dev")
    first = log(store, limit=2)
    assert [entry.action for entry in first] == ["x.4", "x.3"]
    assert [entry.action for entry in log(store, limit=2, before=first[-1].row)] == ["x.2", "x.1"]
    assert {entry.workspace for entry in log(store)} == {"poc"}


@pytest.mark.parametrize(
    "detail",
    [
        {"url": "postgresql+psycopg://u:CANARYCANARY@h/db"},
        {"api_key": "CANARYCANARY"},
        {"before": {"headers": [{"Authorization": "Bearer CANARYCANARY"}]}},
        {"text": "sk-CANARYCANARY1234567890"},
        {"text": "llmops_0123456789abcdef_CANARYCANARY"},
    ],
    ids=str,
)
def test_t12_no_secret_is_written(store: Store, detail: dict):
    add(store, detail=detail, object="https://u:CANARYCANARY@host/", actor="Authorization: Bearer CANARYCANARY")
    assert "CANARY" not in str(log(store)[0])


# --- What `audit verify` finds ----------------------------------------------------------------------------------------


def verified(store: Store) -> audit.Verified:
    return store.read(audit.verify)


def test_a_log_that_nobody_touched_is_whole(store: Store):
    assert (verified(store).ok, verified(store).entries, verified(store).head) == (True, 0, "")
    for number in range(5):
        add(store, workspace=["poc", "dev"][number % 2], detail=ODD)
    found = verified(store)
    assert (found.ok, found.entries, found.head) == (True, 5, log(store)[0].hash), found.faults


@pytest.mark.parametrize("field", ["actor", "at", "action", "object", "detail", "origin", "workspace", "hash", "previous_hash"])
def test_a_changed_row_is_found(store: Store, field: str):
    for _ in range(4):
        add(store)
    row = log(store)[1].row
    value = {"at": 1.0, "detail": {"a": 1}}.get(field, "x" * 64 if "hash" in field else None if field == "origin" else "another")
    store.write(lambda c: c.execute(update(audit_table).where(audit_table.c.row == row).values({field: value})))
    assert any(str(row) in fault for fault in verified(store).faults)


@pytest.mark.parametrize("which", [0, 1, 3], ids=["newest", "middle", "oldest"])
def test_a_removed_row_is_found(store: Store, which: int):
    for _ in range(4):
        add(store)
    row = log(store)[which].row
    store.write(lambda c: c.execute(delete(audit_table).where(audit_table.c.row == row)))
    assert not verified(store).ok


def test_a_moved_row_is_found(store: Store):
    for number in range(4):
        add(store, detail={"n": number})
    first, second = log(store)[2].row, log(store)[1].row
    for old, new in ((first, 1000), (second, first), (1000, second)):
        store.write(lambda c, old=old, new=new: c.execute(update(audit_table).where(audit_table.c.row == old).values(row=new)))
    assert any("moved" in fault for fault in verified(store).faults)


def test_a_row_that_was_slipped_in_is_found(store: Store):
    for _ in range(2):
        add(store)
    newest = log(store)[0]
    values = {name: value for name, value in asdict(newest).items() if name not in ("row", "hash")} | {"previous_hash": newest.hash}
    store.write(lambda c: c.execute(audit_table.insert().values(**values, hash=audit.chain_hash(values))))
    assert any("newest" in fault for fault in verified(store).faults)


def test_a_log_that_was_made_anew_lacks_the_head_that_somebody_kept(store: Store):
    add(store)
    kept = verified(store).head
    add(store)
    assert store.read(lambda c: audit.verify(c, kept)).ok
    for table in (audit_table, audit_head):
        store.write(lambda c, table=table: c.execute(delete(table)))
    add(store)
    assert verified(store).ok and not store.read(lambda c: audit.verify(c, kept)).ok


def test_the_command_says_what_is_wrong_and_exits_with_one(cli, home):
    cli("keys", "create", "bot", "--role", "admin")
    good = cli("audit", "verify", "--json")
    assert good.rc == 0 and good.json["ok"] and good.json["entries"] == 1
    assert cli("audit", "verify", "--head", good.json["head"]).rc == 0
    assert cli("audit", "verify", "--head", "soon").rc == 2
    home.store.write(lambda c: c.execute(update(audit_table).values(actor="nobody")))
    bad = cli("audit", "verify", "--json")
    assert bad.rc == 1 and not bad.json["ok"] and "was changed" in bad.json["faults"][0] and "hint" in bad.stderr


def test_the_log_says_from_where_and_what_was_before_and_after(cli):
    cli("keys", "create", "bot", "--role", "admin", "--user", "alice")
    cli("keys", "revoke", "bot")
    revoked, created = cli("audit", "list", "--json").json["data"]
    assert created["origin"].startswith("cli ") and created["detail"]["after"]["user"] == "alice"
    assert (revoked["detail"]["before"], revoked["detail"]["after"]) == ("active", "revoked")
    assert [entry["action"] for entry in cli("audit", "list", "--action", "keys.create", "--json").json["data"]] == ["keys.create"]


# --- T47 --------------------------------------------------------------------------------------------------------------

HOSTILE = ["=cmd|' /C calc'!A0", "+1+1", "-2", "@SUM(1)", "\t=1", "\r=1", " =1", "＝1", "a\r\n=cmd", '"quoted", and more', "plain"]


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_t47_no_export_has_a_formula_or_a_broken_line(cli, home, tmp_path, format: str):
    for hostile in HOSTILE:
        add(home.store, actor=hostile, object=hostile, detail={"comment": hostile})
    assert cli("audit", "export", "--format", format, "--output", "out").rc == 0
    written = (tmp_path / "out").read_bytes().decode()
    records = written.strip().splitlines()
    assert len(records) == len(HOSTILE) + 1 + (format == "csv"), "a record is a line, and the last one is of the export itself"
    if format == "csv":
        cells = [cell for row in csv.reader(written.splitlines()) for cell in row]
        assert not [cell for cell in cells if cell.strip(" \u3000").startswith(("=", "+", "-", "@", "\t", "\r", "＝"))]
        assert "'=cmd|' /C calc'!A0" in cells
    else:
        assert {json.loads(record)["object"] for record in records} == {*HOSTILE, "poc"}
    again = cli("audit", "export", "--output", "out")
    assert again.rc == 2 and "exists already" in again.stderr and (tmp_path / "out").read_bytes().decode() == written
    assert cli("audit", "list", "--json").json["data"][0]["action"] == "audit.export"
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0


def test_t47_a_name_breaks_no_line_of_the_list(cli, home):
    add(home.store, actor="a\r\nlevel=ERROR\x1b[2J", object="x\nkeys.create  key:boss")
    assert len(cli("audit", "list").stdout.strip().splitlines()) == 2


def test_t07_an_export_that_nobody_reads_to_its_end_is_on_record(home, cli):
    for number in range(300):
        add(home.store, detail={"text": "x" * 300, "n": number})
    program = Path(sys.executable).parent / "llmops"
    done = subprocess.run(f"{program} audit export | head -c 1000", shell=True, capture_output=True, text=True, timeout=60)
    assert len(done.stdout) == 1000
    assert log(home.store)[0].action == "audit.export"


@pytest.mark.parametrize("statement", ["update audit set detail = '{' where row = 2", "update audit set at = 1e300 where row = 2"])
def test_a_row_that_cannot_even_be_read_is_named(home, cli, statement: str):
    for _ in range(3):
        add(home.store)
    home.store.write(lambda c: c.execute(text(statement)))
    found = cli("audit", "verify", "--json")
    assert (found.rc, found.json["faults"]) == (1, ["row 2 was changed"])
    assert cli("audit", "export").rc == 0
    if "1e300" in statement:
        assert cli("audit", "list").rc == 0
