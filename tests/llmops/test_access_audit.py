"""The audit log: only added to, chained, and without secrets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pytest
from sqlalchemy import delete, update

from llmops.access import audit
from llmops.access.tables import audit as audit_table
from llmops.store.store import Store


def add(store: Store, action: str = "x.do", workspace: str = "poc", actor: str = "owner", object: str = "thing", detail=None) -> None:
    store.write(lambda connection: audit.record(connection, workspace, actor, action, object, detail))


def log(store: Store, workspace: str = "poc", **page) -> list[audit.Entry]:
    return store.read(lambda connection: audit.entries(connection, workspace, **page))


def is_whole(entries: list[audit.Entry]) -> bool:
    """Whether the rows, oldest first, form one chain from the first on."""
    previous = ""
    for entry in entries:
        values = {name: value for name, value in asdict(entry).items() if name not in {"row", "hash"}}
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
