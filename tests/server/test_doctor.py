"""`llmops doctor` sees what was damaged on purpose, makes again what is derived, and touches nothing else."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import delete, insert, select, text, update

from llmops.access.tables import audit
from llmops.errors import StoreError
from llmops.home import Home
from llmops.jobs import rows as jobs
from llmops.jobs.tables import jobs as job_table
from llmops.settings import Settings
from llmops.store import outbox
from llmops.store.tables import blobs
from llmops.store.tables import outbox as outbox_table
from server.doctor import CannotLook, look
from tests.conftest import OWNER
from tests.server.conftest import finished, start_server
from tests.server.test_backup import filled, rows
from tests.vectorstore.filled import fill, new_version
from tests.vectorstore.invariants import check_collection
from vectorstore.search import Searcher
from vectorstore.tables import FOREVER, acl_principals, acls, chunks, collections, documents, vectors, versions


def wrong(home: Home) -> dict[str, str]:
    """What is wrong, by the name of the check."""
    return {found.name: str(found) for found in look(home) if not found.ok}


def test_doctor_finds_nothing_wrong_with_a_sound_home_and_changes_nothing(store_home: Home, cli) -> None:
    filled(store_home)
    before = rows(store_home, ())
    said = cli("doctor", "--json")
    assert said.rc == 0, said.stdout + said.stderr
    assert said.json["ok"] and len(said.json["checks"]) >= 12 and all(check["ok"] for check in said.json["checks"])
    assert rows(store_home, ()) == before
    lines = cli("doctor").stdout.splitlines()
    assert all(line.startswith("ok    ") for line in lines[:-1]) and " checks in " in lines[-1]


def one_chunk(number: int):
    return select(chunks.c.text_hash).where(chunks.c.seq_to == FOREVER).order_by(chunks.c.row).offset(number).limit(1).scalar_subquery()


DERIVED = {
    "a vector with NaN": ("vectors", update(vectors).where(vectors.c.text_hash == one_chunk(0)).values(vector=np.full(384, np.nan, "<f4").tobytes())),
    "a vector of another size": ("vectors", update(vectors).where(vectors.c.text_hash == one_chunk(1)).values(vector=bytes(16))),
    "a vector of another length": (
        "vectors",
        update(vectors).where(vectors.c.text_hash == one_chunk(2)).values(vector=np.ones(384, "<f4").tobytes()),
    ),
    "a chunk without a vector": ("vectors", delete(vectors).where(vectors.c.text_hash == one_chunk(3))),
    "a wrong count of chunks": ("documents", update(documents).where(documents.c.external_id == "d1").values(chunks=7)),
    "a list that others are found by": (
        "access",
        insert(acl_principals).from_select(["principal", "acl_id"], select(text("'user:eve'"), documents.c.acl_id).limit(1)),
    ),
}


def test_doctor_makes_again_what_follows_from_the_rows(store_home: Home) -> None:
    from server.doctor import rebuild

    filled(store_home)
    truth = ("blobs", "collections", "documents", "document_versions", "chunks", "acls", "acl_principals", "keys", "answers", "ingested_files")
    before = {name: found for name, found in rows(store_home).items() if name in truth}
    for name, (check, statement) in DERIVED.items():
        store_home.store.write(lambda c, statement=statement: c.execute(statement))
        assert check in wrong(store_home), name
    told = rebuild(store_home, OWNER)
    assert told["refused"] == [] and {line.partition(":")[0] for line in told["done"]} >= {check for check, _ in DERIVED.values()}
    assert wrong(store_home) == {}
    assert {name: found for name, found in rows(store_home).items() if name in truth} == before
    check_collection(store_home, "docs", ["the river 7"])


TRUTH = {
    "blobs": update(blobs).values(content=b"other bytes"),
    "documents": update(versions).where(versions.c.version == 1, versions.c.seq_to == FOREVER).values(text="another text"),
    "audit": update(audit).where(audit.c.row == 1).values(actor="nobody"),
    "jobs": update(job_table).values(state="running", owner="gone:1", lease_until=1.0),
    "outbox": update(outbox_table).values(attempts=20, due_at=1.0, error="down"),
}


def test_doctor_tells_of_what_it_cannot_mend_and_leaves_it(store_home: Home) -> None:
    filled(store_home)
    store_home.store.write(lambda c: jobs.enqueue(c, "ingest", "poc", "owner", {}))
    store_home.store.write(lambda c: outbox.tell(c, "traces", "ans_1", {}))
    for statement in TRUTH.values():
        store_home.store.write(lambda c, statement=statement: c.execute(statement))
    found = wrong(store_home)
    assert TRUTH.keys() <= found.keys() and all(line.endswith(")") for line in found.values()), "each names a way out"


def test_doctor_exits_with_1_for_what_is_wrong_and_with_3_where_it_cannot_look(home: Home, cli) -> None:
    filled(home)
    home.store.write(lambda c: c.execute(update(documents).values(chunks=7)))
    said = cli("doctor")
    assert said.rc == 1 and "WRONG documents: " in said.stdout and "--rebuild" in said.stdout
    assert not cli("doctor", "--json").json["ok"]
    mended = cli("doctor", "--rebuild")
    assert mended.rc == 0, mended.stdout + mended.stderr
    assert "made  documents: " in mended.stdout
    home.close()
    (home.settings.home / "llmops.db").write_bytes(b"no database" * 1000)
    broken = cli("doctor")
    assert broken.rc == 3 and "damaged" in broken.stderr and "restore" in broken.stderr


def test_doctor_names_a_chunk_without_its_version_and_makes_the_other_things_again(home: Home, cli) -> None:
    filled(home)
    home.store.write(lambda c: c.execute(delete(versions).where(versions.c.document_row == 3)))
    home.store.write(lambda c: c.execute(update(documents).where(documents.c.external_id == "d1").values(chunks=7)))
    said = cli("doctor")
    assert said.rc == 1 and "WRONG" in said.stdout and "cannot look" not in said.stdout + said.stderr
    mended = cli("doctor", "--rebuild")
    assert "is of no version (restore a backup" in mended.stdout and "made  documents" in mended.stdout, mended.stdout + mended.stderr


def test_doctor_refuses_what_it_cannot_embed_and_says_the_way_out(home: Home) -> None:
    from server.doctor import rebuild

    filled(home)
    home.store.write(lambda c: c.execute(text("update collections set encoder = 'another/encoder'")))
    told = rebuild(home, OWNER)
    assert any("another/encoder" in line and "[encoder]" in line for line in told["refused"])


def test_t35_a_damaged_file_of_mlflow_is_put_aside_and_its_answers_are_told_again(home: Home, cli) -> None:
    file = home.settings.home / "mlflow.db"
    with sqlite3.connect(file) as made:
        made.execute("create table experiments (name text)")
    made.close()
    file.write_bytes(file.read_bytes()[:4096] + b"\x00" * 50)
    file.write_bytes(b"x" * 5000)
    said = cli("doctor")
    assert said.rc == 1 and "WRONG traces" in said.stdout
    mended = cli("doctor", "--rebuild")
    assert mended.rc == 0 and not file.exists(), mended.stdout
    assert len(list((home.settings.home / "quarantine").glob("*/mlflow.db"))) == 1


def test_doctor_neither_judges_nor_moves_a_file_of_mlflow_that_another_process_holds(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is locked is not damaged."""
    from pysqlite3 import dbapi2

    from llmops.store import sqlite_file
    from server.doctor import rebuild

    monkeypatch.setattr(sqlite_file, "_BUSY_SECONDS", 0.1)
    file = home.settings.home / "mlflow.db"
    holder = dbapi2.connect(file, isolation_level=None)
    holder.execute("create table experiments (name text)")
    holder.execute("begin exclusive")
    try:
        told = rebuild(home, OWNER)
        assert any("locked" in line for line in told["refused"]) and file.exists()
        with pytest.raises(CannotLook, match="locked"):
            wrong(home)
    finally:
        holder.close()
    assert wrong(home) == {}


def test_doctor_does_not_give_a_right_that_no_list_was_made_with(store_home: Home) -> None:
    """Whom a list names was changed behind its back: that they find its documents must not be made true."""
    from server.doctor import rebuild

    filled(store_home)
    store_home.store.write(lambda c: c.execute(update(acls).values(principals=["user:eve"])))
    before = rows(store_home)["acl_principals"]
    told = rebuild(store_home, OWNER)
    assert rows(store_home)["acl_principals"] == before and any("list" in line and "restore" in line for line in told["refused"])
    assert "access" in wrong(store_home)
    check_collection(store_home, "docs", ["the river 7"])


def test_doctor_does_not_embed_a_damaged_text_and_goes_on_with_other_collections(store_home: Home) -> None:
    from server.doctor import rebuild

    filled(store_home)
    fill(store_home, "aaa", [new_version("other", "Of another encoder")])
    fill(store_home, "zzz", [new_version("last", "Nothing is wrong with this one")])
    store_home.store.write(lambda c: c.execute(update(collections).where(collections.c.name == "aaa").values(encoder="another/encoder")))
    store_home.store.write(
        lambda c: c.execute(update(versions).where(versions.c.version == 1, versions.c.title == "Page last").values(text="damaged"))
    )
    store_home.store.write(lambda c: c.execute(delete(vectors)))
    told = rebuild(store_home, OWNER)
    refused = " ".join(told["refused"])
    assert "another/encoder" in refused and "of zzz" in refused and "another text" in refused
    assert any("of docs were embedded again" in line for line in told["done"]) and any(line.startswith("indexes: ") for line in told["done"])
    kept = store_home.store.read(lambda c: set(c.execute(select(vectors.c.text_hash)).scalars()))
    damaged = new_version("last", "Nothing is wrong with this one").chunks[0].text_hash
    assert kept and damaged not in kept


def test_doctor_reads_a_long_document_once_not_once_for_each_chunk(store_home: Home) -> None:
    """Two thousand chunks of a text of twenty megabytes: read with each, that is 40 gigabytes."""
    fill(store_home, "docs", [new_version("book", "\n\n".join(f"Paragraph {n}{' word' * 2_000}" for n in range(2_000)))])
    assert wrong(store_home) == {}


def test_doctor_leaves_the_lock_of_an_ingestion_alone(home: Home) -> None:
    from filelock import FileLock

    from server.doctor import rebuild
    from vectorstore.index.segments import folder_of, write_segments

    collection = fill(home, "docs", [new_version(f"d{n}", f"Number {n} of the harbour") for n in range(300)])
    write_segments(home, collection)
    lock = FileLock(folder_of(home, collection).with_name(f"{collection.id}.lock"))
    with lock:
        file = Path(lock.lock_file).stat().st_ino
        assert wrong(home) == {}
    rebuild(home, OWNER)
    assert Path(lock.lock_file).stat().st_ino == file and not (home.settings.home / "quarantine").exists()


def test_doctor_tells_what_it_saw_where_one_part_cannot_look(home: Home, cli) -> None:
    filled(home)
    home.store.write(lambda c: c.execute(update(documents).values(chunks=7)))
    (home.settings.home / "mlflow.db").mkdir()
    said = cli("doctor", "--json")
    assert said.rc == 3 and "traces" in said.stderr
    told = {check["check"]: check for check in said.json["checks"]}
    assert not said.json["ok"] and not told["documents"]["ok"] and told["audit"]["ok"]
    assert not told["traces"]["ok"] and told["traces"]["cannot_look"] and not told["documents"]["cannot_look"]


def test_t35_doctor_beside_a_live_server_lets_its_worker_make_indexes_again(tmp_path: Path, cli) -> None:
    """The server has the damaged segment mapped; once it is made again, the server uses the new one."""
    from tests.server.conftest import make_key

    (tmp_path / "llmops.toml").write_text('[mlflow]\ntracking_uri = "off"\n')
    key = make_key(tmp_path, "admin", "admin")
    server = start_server(tmp_path)
    try:
        server.keys["admin"] = key
        with server.client() as client:
            texts = [f"The harbour number {n} lies at the river {n * 7}." for n in range(300)]
            body = {"collection": "docs", "documents": [{"external_id": f"d{n}", "text": one} for n, one in enumerate(texts)]}
            assert finished(client, client.post("/api/v1/documents", json=body))["result"]["ready"] == 300
            search = {"collection": "docs", "query": "harbour number 77", "k": 5}
            before = client.post("/api/v1/search", json=search).json()["hits"]
            [segment] = [path for path in (server.home / "indexes").glob("*/*") if path.is_dir()]
            with (segment / "vectors.npy").open("r+b") as mapped:
                mapped.seek(200)
                mapped.write(b"\x11" * 100_000)
            assert "indexes" in cli("doctor").stdout.partition("WRONG ")[2]
            mended = cli("doctor", "--rebuild")
            assert mended.rc == 0, mended.stdout + mended.stderr
            assert client.post("/api/v1/search", json=search).json()["hits"] == before
            assert client.get("/readyz").status_code == 200
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("places", [24, pytest.param(600, marks=[pytest.mark.prove(600), pytest.mark.timeout(3600)])])
def test_t53_a_flipped_or_cut_file_is_never_read_as_another_text(settings: Settings, tmp_path: Path, places: int) -> None:
    """Wherever a bit is flipped: the store says that it is damaged, doctor does, or no byte and no text is another one."""
    with Home(settings) as home:
        filled(home)
        expected = {name: rows(home)[name] for name in ("blobs", "document_versions")}
        texts = {tuple(row[:2]): row[4] for row in expected["document_versions"]}
    file, whole, draw = settings.home / "llmops.db", tmp_path / "whole.db", random.Random(places)
    shutil.copy(file, whole)
    size = whole.stat().st_size
    silent = noticed = 0
    for number in range(places):
        shutil.copy(whole, file)
        with file.open("r+b") as opened:
            if number % 8 == 7:
                opened.truncate(draw.randrange(1, size))
            else:
                opened.seek(place := draw.randrange(size))
                byte = opened.read(1)[0]
                opened.seek(place)
                opened.write(bytes([byte ^ 1 << draw.randrange(8)]))
        with Home(settings) as home:
            try:
                found = rows(home)
                if found["blobs"] == expected["blobs"] and {tuple(row[:2]): row[4] for row in found["document_versions"]} == texts:
                    silent += 1
                    Searcher(home).search("the river 7", collection="docs", asker=OWNER)
                    continue
                assert wrong(home), "another text or other bytes were read, and nothing said so"
            except StoreError as damaged:
                assert damaged.hint
            except Exception as failure:
                assert _is_of_a_changed_value(failure), failure
            noticed += 1
    assert silent and noticed


def _is_of_a_changed_value(failure: Exception) -> bool:
    """SQLite keeps no checksums of pages: a changed value may be no UTF-8, no JSON or the name of nothing."""
    return (
        isinstance(failure, UnicodeDecodeError | ValueError | KeyError | TypeError | LookupError)
        or "UTF-8" in str(failure)
        or "unknown" in str(failure)
    )


def test_doctor_names_an_index_that_a_migration_lost(store_home: Home) -> None:
    store_home.store.write(lambda c: c.execute(text("drop index ix_chunks_collection_row")))
    assert "ix_chunks_collection_row" in wrong(store_home)["schema"]


def test_doctor_minds_no_table_that_is_somebody_elses(store_home: Home) -> None:
    store_home.store.write(lambda c: c.execute(text("create table notes_of_another (id integer)")))
    assert wrong(store_home) == {}
    store_home.store.write(lambda c: c.execute(text("drop table document_profiles")))
    assert "document_profiles" in str(wrong(store_home)["schema"])
