"""What lies behind a hit: the chunk in its place, and the bytes that the document was read from."""

from __future__ import annotations

import hashlib

import pytest

from llmops.errors import NotPermitted, UnknownName
from llmops.jobs.worker import finish
from llmops.types import Asker
from vectorstore import documents
from vectorstore.documents import Handed
from vectorstore.originals import chunk_in_place, original
from vectorstore.sharing import share

ALICE = Asker("poc", frozenset({"user:alice", "workspace:poc"}), name="alice")


@pytest.fixture
def ids(store_home):
    """A page, and rows of one file."""
    owner = Asker("poc", owner=True)
    page = "# Ports\n\nA port is a number.\n\n## Which one\n\nThe server takes port 8000.\n".encode("utf-8-sig")
    rows = b'{"id": "a", "text": "For all."}\n{"id": "b", "text": "For few."}\n'
    finish(
        store_home,
        "poc",
        documents.accept(store_home, owner, "docs", [Handed("guide/ports.md", "ports.md", page), Handed("faq.jsonl", "faq.jsonl", rows)]),
    )
    found = store_home.store.read(lambda c: documents.listed(c, owner, "docs"))
    return {row["external_id"]: row["document_id"] for row in found}


def test_the_original_is_what_was_handed_in_byte_for_byte(store_home, ids):
    found = store_home.store.read(lambda c: original(c, ALICE, ids["guide/ports.md"]))
    assert (found.name, found.content[:3]) == ("ports.md", b"\xef\xbb\xbf")
    assert found.content.decode("utf-8-sig").startswith("# Ports")


def test_t10_the_file_of_a_row_is_for_who_may_read_every_row_of_it(store_home, ids):
    row = ids["faq.jsonl#1"]
    assert store_home.store.read(lambda c: original(c, ALICE, row)).name == "faq.jsonl"
    store_home.store.write(lambda c: share(c, Asker("poc", owner=True), ids["faq.jsonl#2"], ["group:hr"]))
    with pytest.raises(NotPermitted, match="as a whole"):
        store_home.store.read(lambda c: original(c, ALICE, row))
    owners = store_home.store.read(lambda c: original(c, Asker("poc", owner=True), row))
    assert b"For few." in owners.content


def test_t10_a_file_of_that_name_does_not_open_the_file_that_holds_it(store_home):
    """Alice may read one attachment of a mail and hands in a file of its name: the mail as a whole is not hers for that."""
    owner = Asker("poc", owner=True)
    head = b'From: a@b.example\nSubject: All\nContent-Type: multipart/mixed; boundary="b"\n\n--b\n\nSee below.\n'
    part = b'--b\nContent-Type: text/plain\nContent-Disposition: attachment; filename="%s"\n\n%s\n'
    mail = head + part % (b"open.txt", b"For all of us.") + part % (b"salaries.txt", b"Ten thousand coins.") + b"--b--\n"

    def hand_in(asker, name, content):
        assert finish(store_home, "poc", documents.accept(store_home, asker, "docs", [Handed(name, name, content)])).state == "done"

    hand_in(owner, "m.eml", mail)
    ids = {row["external_id"]: row["document_id"] for row in store_home.store.read(lambda c: documents.listed(c, owner, "docs"))}
    store_home.store.write(lambda c: share(c, owner, ids["m.eml#salaries.txt"], ["group:hr"]))
    hand_in(ALICE, "m.eml#open.txt", b"Mine now.")
    hand_in(owner, "m.eml", mail + b" ")
    with pytest.raises(NotPermitted):
        store_home.store.read(lambda c: original(c, ALICE, ids["m.eml#open.txt"]))
    assert store_home.store.read(lambda c: original(c, owner, ids["m.eml#open.txt"])).name in ("m.eml", "m.eml#open.txt")


def test_an_unknown_version_and_bytes_that_were_let_go_of_are_named(store_home, ids):
    from llmops.store import blobs

    with pytest.raises(UnknownName, match="unknown version: '7'"):
        store_home.store.read(lambda c: original(c, Asker("poc", owner=True), ids["guide/ports.md"], 7))
    page = store_home.store.read(lambda c: original(c, ALICE, ids["guide/ports.md"]))
    store_home.store.write(lambda c: blobs.let_go(c, [hashlib.sha256(page.content).hexdigest()]))
    with pytest.raises(UnknownName) as gone:
        store_home.store.read(lambda c: original(c, ALICE, ids["guide/ports.md"]))
    assert "retention" in gone.value.hint


def test_a_chunk_is_shown_in_its_place(store_home, ids):
    shown = store_home.store.read(lambda c: documents.show(c, ALICE, ids["guide/ports.md"]))
    text = store_home.store.read(lambda c: documents.text(c, ALICE, ids["guide/ports.md"]))["text"]
    for chunk in shown["chunks"]:
        placed = store_home.store.read(lambda c, chunk=chunk: chunk_in_place(c, ALICE, chunk["chunk_id"], 1000))
        assert placed["before"] + placed["text"] + placed["after"] == text
        assert (placed["heading"], placed["newest"], placed["external_id"]) == (chunk["heading"], True, "guide/ports.md")


@pytest.mark.parametrize("wrong", ["chk_", "chk_x_1_0", f"chk_{'0' * 32}_1_0", "{real}0", "chk_\x00", "../../etc"])
def test_a_chunk_that_is_not_there_is_unknown(store_home, ids, wrong):
    real = store_home.store.read(lambda c: documents.show(c, ALICE, ids["guide/ports.md"]))["chunks"][0]["chunk_id"]
    with pytest.raises(UnknownName, match="chunk"):
        store_home.store.read(lambda c: chunk_in_place(c, ALICE, wrong.replace("{real}", real)))


def test_the_command_shows_and_saves(store_home, ids, cli, tmp_path):
    chunk = cli("documents", "show", ids["guide/ports.md"], "--json").json["chunks"][0]["chunk_id"]
    shown = cli("documents", "chunk", chunk)
    assert "[[" in shown.stdout and "guide/ports.md, version 1, characters 0 to" in shown.stdout
    saved = cli("documents", "original", ids["guide/ports.md"], "-o", tmp_path / "saved.md")
    assert (saved.rc, (tmp_path / "saved.md").read_bytes()[:3]) == (0, b"\xef\xbb\xbf")
    again = cli("documents", "original", ids["guide/ports.md"], "-o", tmp_path / "saved.md")
    assert again.rc == 2 and "File exists" in again.stderr
