"""What a second ingestion of a source makes of what has moved, changed, gone or cannot be read any more."""

from __future__ import annotations

import json
import os
import threading
import time

import numpy as np
import pytest
from sqlalchemy import select

from llmops.home import Home
from llmops.jobs import rows as jobs
from llmops.jobs.worker import finish
from tests.conftest import OWNER
from tests.crash import LLMOPS, crash_at
from tests.vectorstore.invariants import check_collection
from vectorstore import documents
from vectorstore import ingest as ingest_module
from vectorstore.load import LONGEST_ID, LONGEST_ID_BYTES, Fields
from vectorstore.sources import Order
from vectorstore.tables import documents as document_rows
from vectorstore.tables import files


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rows").mkdir()
    return tmp_path / "rows"


def write(file, *ids, about="rivers"):
    file.write_text("".join(json.dumps({"id": key, "title": f"Number {key}", "text": f"Number {key} tells of {about}."}) + "\n" for key in ids))


def queue(home: Home, folder, **options) -> str:
    order = Order("docs", options.pop("source", "rows"), root=str(folder), fields=Fields("id", "text"), **options)
    return home.store.write(lambda c: jobs.enqueue(c, "ingest", "poc", "owner", order.to_json()))


def ingest(home: Home, folder, **options):
    job = finish(home, "poc", queue(home, folder, **options))
    assert job.state == "done", job.error
    return job.result


def counts(result):
    return {key: result[key] for key in ("ready", "unchanged", "withdrawn") if result[key]}


def states(home: Home):
    with home.store.read_engine.connect() as connection:
        return {row.external_id: row.state for row in connection.execute(document_rows.select().order_by(document_rows.c.external_id))}


@pytest.mark.parametrize(("source", "target"), [("a.jsonl", "b.jsonl"), ("b.jsonl", "a.jsonl")])
def test_a_row_that_moves_to_another_file_stays(store_home: Home, folder, source, target):
    write(folder / source, 7, 8)
    write(folder / target, 9)
    ingest(store_home, folder)
    write(folder / source, 8)
    write(folder / target, 9, 7)
    assert counts(ingest(store_home, folder)) == {"unchanged": 3}
    assert states(store_home) == {"7": "ready", "8": "ready", "9": "ready"}
    check_collection(store_home, "docs", ["number 7"])


def test_a_row_that_moves_far_is_taken_in_again(home: Home, folder, monkeypatch):
    monkeypatch.setattr("vectorstore.ingest.BATCH_DOCUMENTS", 1)
    write(folder / "a.jsonl", 7, 8)
    write(folder / "b.jsonl", 9)
    ingest(home, folder)
    write(folder / "a.jsonl", 8)
    write(folder / "b.jsonl", 9, 7)
    assert counts(ingest(home, folder)) == {"ready": 1, "unchanged": 2}
    assert set(states(home).values()) == {"ready"}


def test_a_row_that_two_files_have_stays_while_one_of_them_has_it(home: Home, folder):
    write(folder / "a.jsonl", 1, 2)
    write(folder / "b.jsonl", 2, 3)
    ingest(home, folder)
    write(folder / "a.jsonl", 1)
    ingest(home, folder)
    assert states(home)["2"] == "ready"
    write(folder / "b.jsonl", 3)
    assert counts(ingest(home, folder)) == {"withdrawn": 1, "unchanged": 2}
    assert states(home)["2"] == "withdrawn"
    write(folder / "b.jsonl", 2, 3)
    ingest(home, folder)
    assert states(home)["2"] == "ready"


@pytest.mark.parametrize(
    ("failpoint", "live"), [("ingest.parsed", "a1"), ("ingest.embedded", "a1"), ("ingest.publishing", "a1"), ("ingest.published", "b1")]
)
def test_t34_old_rows_go_in_the_transaction_in_which_the_new_ones_come(home: Home, folder, tmp_path, failpoint, live):
    write(folder / "r.jsonl", "a1")
    ingest(home, folder)
    write(folder / "r.jsonl", "b1")
    command = ["ingest", folder, "--collection", "docs", "--id-field", "id", "--text-field", "text"]
    crash_at(failpoint, command, program=LLMOPS, cwd=tmp_path)
    assert [key for key, state in states(home).items() if state == "ready"] == [live]
    ingest(home, folder)
    assert states(home) == {"a1": "withdrawn", "b1": "ready"}
    check_collection(home, "docs", ["number"])


def test_t34_no_row_of_a_file_that_was_half_read_is_lost_sight_of(home: Home, folder, tmp_path):
    write(folder / "r.jsonl", *range(250))
    command = ["ingest", folder, "--collection", "docs", "--id-field", "id", "--text-field", "text"]
    crash_at("ingest.published:2", command, program=LLMOPS, cwd=tmp_path)
    write(folder / "r.jsonl", *range(150, 260))
    ingest(home, folder)
    ready = {key for key, state in states(home).items() if state == "ready"}
    assert ready == {str(n) for n in range(150, 260)}


def test_an_id_may_begin_with_a_hash_sign(home: Home, folder):
    write(folder / "i.jsonl", "#42")
    (folder / "j.jsonl").write_text('{"text": "No id."}\n')
    ingest(home, folder)
    assert states(home) == {"#42": "ready", "j.jsonl#1": "failed"}


class SlowEncoder:
    """Takes a while for each text."""

    identity, dimension, scripts = "slow", 8, frozenset({"latin"})
    languages: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.calls: list[int] = []

    def embed(self, texts, kind="passage"):
        self.calls.append(len(texts))
        time.sleep(0.01 * len(texts))
        return np.eye(1, 8, dtype=np.float32).repeat(len(texts), axis=0)


def test_a_cancelled_job_publishes_nothing_of_a_long_document(home: Home, folder):
    home._encoder = encoder = SlowEncoder()
    (folder / "long.txt").write_text("\n\n".join(f"Paragraph {n} says that {n * n} is a square. " * 12 for n in range(600)))
    job_id = queue(home, folder)
    waiting = threading.Thread(target=finish, args=(home, "poc", job_id))
    waiting.start()
    while not encoder.calls:
        time.sleep(0.01)
    began = time.monotonic()
    home.store.write(lambda c: jobs.cancel(c, OWNER, job_id))
    waiting.join()
    assert time.monotonic() - began < 6
    assert max(encoder.calls) <= 64 and states(home) == {}
    before = sum(encoder.calls)
    assert ingest(home, folder)["ready"] == 1
    assert sum(encoder.calls) - before < 600, "vectors that were made are kept"


def test_no_batch_holds_more_than_its_bytes(home: Home, folder, monkeypatch):
    sizes = []
    real = documents.documents.publish

    def publish(connection, collection, source, batch):
        sizes.append(sum(map(len, batch.blobs.values())))
        return real(connection, collection, source, batch)

    monkeypatch.setattr("vectorstore.rows.documents.publish", publish)
    monkeypatch.setattr("vectorstore.ingest.BATCH_BYTES", 5000)
    for number in range(10):
        (folder / f"{number}.html").write_text(f"<!-- {'x' * 3000} --><p>Page {number}</p>")
        (folder / f"bad-{number}.pdf").write_bytes(b"%PDF" + b"x" * 3000)
    result = ingest(home, folder)
    assert result["ready"] == len(result["failed"]) == 10
    assert len(sizes) >= 5 and max(sizes) < 8000


def test_pipes_and_devices_are_not_waited_for(home: Home, folder):
    os.mkfifo(folder / "pipe.md")
    os.mkfifo(folder / "pipe.bin")
    os.symlink("self.md", folder / "self.md")
    (folder / "good.md").write_text("# Good\n\nIt is read.")
    result = ingest(home, folder)
    assert (result["ready"], result["skipped"]) == (1, 1)
    assert {one["external_id"]: one["error"] for one in result["failed"]} == {
        "pipe.md": "is no regular file",
        "self.md": "is a link to nothing",
    }


def test_names_that_are_no_text_stay_two(home: Home, folder):
    for name in (b"bad\xff.md", b"bad\xfe.md"):
        (folder / os.fsdecode(name)).write_bytes(b"# Bad name\n\n" + repr(name).encode())
    assert ingest(home, folder)["ready"] == 2
    assert list(states(home)) == [r"bad\xfe.md", r"bad\xff.md"]


def test_a_path_too_long_is_a_failure_of_its_own(store_home: Home, folder):
    deep = folder.joinpath(*["d" * 200] * 5)
    deep.mkdir(parents=True)
    for name in "ab":
        (deep / f"{name}.md").write_text("# Deep\n\nA text.")
    (folder / "good.md").write_text("# Good\n\nA text.")
    result = ingest(store_home, folder)
    assert result["ready"] == 1
    assert {one["error"] for one in result["failed"]} == {f"its path is longer than {LONGEST_ID} characters or {LONGEST_ID_BYTES} bytes"}
    assert len({one["external_id"] for one in result["failed"]}) == 2
    assert counts(ingest(store_home, folder, prune=True)) == {"unchanged": 1}


def test_a_folder_that_cannot_be_read_is_listed_and_nothing_is_pruned(home: Home, folder, monkeypatch):
    (folder / "open").mkdir()
    (folder / "closed").mkdir()
    write(folder / "open" / "a.jsonl", 1)
    write(folder / "closed" / "b.jsonl", 2)
    ingest(home, folder)
    real = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    result = ingest(home, folder, prune=True)
    assert result["failed"] == [{"external_id": "closed/", "error": "cannot be read: Permission denied; nothing was pruned"}]
    assert states(home) == {"1": "ready", "2": "ready"}


def test_a_folder_that_is_gone_withdraws_nothing(home: Home, folder):
    write(folder / "a.jsonl", 1)
    ingest(home, folder)
    folder.rename(folder.with_name("elsewhere"))
    job = finish(home, "poc", queue(home, folder, prune=True))
    assert job.state == "failed" and "no such file or folder" in job.error
    assert states(home) == {"1": "ready"}


def test_rows_of_a_file_that_cannot_be_read_any_more_stay(home: Home, folder):
    write(folder / "a.jsonl", 1, 2)
    ingest(home, folder)
    (folder / "a.jsonl").write_bytes(b"\x00\x01\x02\xff\xfe" * 50)
    for _ in range(2):
        result = ingest(home, folder, prune=True)
        assert [one["external_id"] for one in result["failed"]] == ["a.jsonl"]
        assert result["failed"][0]["error"].endswith("; 2 documents of it as they were are still searched")
    write(folder / "a.jsonl", 2, 3)
    ingest(home, folder)
    assert states(home) == {"1": "withdrawn", "2": "ready", "3": "ready", "a.jsonl": "withdrawn"}


def test_a_document_that_fails_says_which_version_is_still_searched(home: Home, folder):
    (folder / "a.md").write_text("# A\n\nA text.")
    ingest(home, folder)
    (folder / "a.md").write_text("")
    assert ingest(home, folder)["failed"] == [{"external_id": "a.md", "error": "no text; version 1 is still searched"}]
    assert ingest(home, folder)["failed"] == [{"external_id": "a.md", "error": "no text; version 1 is still searched"}]


def test_a_withdrawn_document_is_unknown_but_for_its_versions(home: Home, cli, folder):
    (folder / "a.md").write_text("# A\n\nA text.")
    ingest(home, folder)
    document_id = cli("documents", "list", "--collection", "docs", "--json").json["data"][0]["document_id"]
    assert cli("documents", "delete", document_id).rc == 0
    shown = cli("documents", "show", document_id)
    assert shown.rc == 2 and "unknown document" in shown.stderr and "documents list" in shown.stderr
    from llmops.errors import UnknownName
    from llmops.types import Asker

    owner = Asker("poc", owner=True)
    assert "A text." in home.store.read(lambda c: documents.text(c, owner, document_id, 1))["text"]
    with pytest.raises(UnknownName):
        home.store.read(lambda c: documents.text(c, owner, document_id))


def test_a_file_that_changes_behind_a_running_job_is_read_again(home: Home, folder):
    write(folder / "a.jsonl", 1)
    first = queue(home, folder)
    running = home.store.write(lambda c: jobs.claim(c, "somebody else"))
    assert running.id == first
    assert queue(home, folder) != first


@pytest.mark.parametrize("source", ["", "x" * 301])
def test_a_source_that_is_no_name_is_refused(home: Home, cli, folder, source):
    write(folder / "a.jsonl", 1)
    ran = cli("ingest", folder, "--collection", "docs", "--source", source)
    assert ran.rc == 2 and "not a name for a source" in ran.stderr
    assert cli("jobs", "list", "--json").json["data"] == []


def test_pruning_leaves_what_the_patterns_pass_over(home: Home, folder):
    write(folder / "a.jsonl", 1)
    write(folder / "b.jsonl", 2)
    (folder / "c.txt").write_text("Some text about rivers.")
    ingest(home, folder)
    (folder / "b.jsonl").unlink()
    assert counts(ingest(home, folder, include=["*.txt"], prune=True)) == {"unchanged": 1}
    assert counts(ingest(home, folder, exclude=["*.txt"], prune=True)) == {"unchanged": 1, "withdrawn": 1}
    assert counts(ingest(home, folder, prune=True)) == {"unchanged": 2}


def test_a_name_that_fills_postgresqls_index_fails_alone(store_home: Home, folder):
    write(folder / "語.jsonl", "語" * 893, "語" * 590)
    result = ingest(store_home, folder, source="語" * 200)
    assert result["ready"] == 1 and "or 1800 bytes" in result["failed"][0]["error"]


def test_a_long_file_is_written_down_in_parts_until_its_end(home: Home, folder, monkeypatch):
    write(folder / "long.jsonl", *range(350))
    parts = []
    remembered = ingest_module.files.add
    monkeypatch.setattr(ingest_module.files, "add", lambda *a: parts.append(len(a[4])) or remembered(*a))
    assert ingest(home, folder)["ready"] == 350
    assert max(parts) <= 100 and sum(parts) < 350, "each id once, however long the file"
    assert home.store.read(lambda c: [len(row.external_ids) for row in c.execute(select(files))]) == [350]
    write(folder / "long.jsonl", *range(300))
    assert counts(ingest(home, folder)) == {"unchanged": 300, "withdrawn": 50}


def test_files_of_a_pruned_source_are_forgotten(home: Home, folder):
    write(folder / "a.jsonl", 1)
    write(folder / "b.jsonl", 2)
    ingest(home, folder)
    (folder / "b.jsonl").unlink()
    assert counts(ingest(home, folder, prune=True)) == {"unchanged": 1, "withdrawn": 1}
    with home.store.read_engine.connect() as connection:
        assert [row.path for row in connection.execute(files.select())] == ["a.jsonl"]
