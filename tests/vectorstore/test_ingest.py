"""Ingestion as its user sees it: what becomes ready, what fails and why, what is found afterwards."""

from __future__ import annotations

import functools
import json
import os
import threading
from email.message import EmailMessage

import pytest
from sqlalchemy import update

from llmops.home import Home
from llmops.jobs.tables import jobs
from tests.vectorstore.invariants import check_collection
from tests.vectorstore.office import archive, docx, docx_parts, p
from vectorstore.rows import collections

PAGES = {
    "cats.md": "# Cats\n\nA cat sleeps most of the day. Cats purr when they are content.\n",
    "deep/dogs.md": "# Dogs\n\nA dog barks at strangers. Dogs fetch sticks.\n",
    "ja/neko.md": "# 猫\n\n猫は一日の大半を眠って過ごします。猫は満足すると喉を鳴らします。\n",
    "plain.txt": "The library opens at nine and closes at five.\n",
}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pages"
    for name, text in PAGES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return root


def ingest(cli, *arguments):
    ran = cli("ingest", *arguments, "--collection", "docs", "--json")
    assert ran.rc == 0, ran.stderr
    return ran.json


def found(cli, query, *arguments):
    ran = cli("search", query, "--collection", "docs", "--json", *arguments)
    assert ran.rc == 0, ran.stderr
    return [hit["external_id"] for hit in ran.json["hits"]]


def test_a_folder_becomes_searchable_on_both_stores(store_home: Home, cli, folder):
    (folder / "image.png").write_bytes(b"\x89PNG")
    (folder / ".hidden.md").write_text("hidden")
    (folder / "empty.md").write_text("")
    result = ingest(cli, folder)
    assert {key: result[key] for key in ("ready", "unchanged", "skipped")} == {"ready": 4, "unchanged": 0, "skipped": 1}
    assert result["failed"] == [{"external_id": "empty.md", "error": "no text"}]
    assert found(cli, "When does the library open?")[0] == "plain.txt"
    assert found(cli, "猫はどのくらい眠りますか")[0] == "ja/neko.md"
    listed = cli("documents", "list", "--collection", "docs", "--json").json["data"]
    assert {row["external_id"]: row["state"] for row in listed}["empty.md"] == "failed"
    assert all(row["source"] == "pages" for row in listed)
    check_collection(store_home, "docs", ["a sleeping cat", "sticks"])


def test_offsets_are_code_points_into_the_text(home: Home, cli, folder):
    (folder / "emoji.md").write_text("# 絵文字 🎉\n\n🐈‍⬛ は黒猫です。The black cat 🐈 sits.\n", encoding="utf-8")
    ingest(cli, folder)
    for hit in cli("search", "black cat", "--collection", "docs", "--json").json["hits"]:
        shown = cli("documents", "show", hit["document_id"], "--json").json
        chunk = next(chunk for chunk in shown["chunks"] if chunk["chunk_id"] == hit["chunk_id"])
        assert (chunk["start"], chunk["end"], chunk["text"]) == (hit["start"], hit["end"], hit["text"])
        assert len(hit["text"]) == hit["end"] - hit["start"]


def test_unchanged_changed_and_gone_files(home: Home, cli, folder):
    ingest(cli, folder)
    before = {row["external_id"]: row for row in cli("documents", "list", "--collection", "docs", "--json").json["data"]}
    seq = cli("collections", "show", "docs", "--json").json["seq"]
    assert ingest(cli, folder)["unchanged"] == 4
    assert cli("collections", "show", "docs", "--json").json["seq"] == seq
    (folder / "cats.md").write_text("# Cats\n\nCats chase laser pointers all night.\n")
    (folder / "plain.txt").unlink()
    assert ingest(cli, folder)["ready"] == 1
    after = {row["external_id"]: row for row in cli("documents", "list", "--collection", "docs", "--json").json["data"]}
    assert after["cats.md"]["document_id"] == before["cats.md"]["document_id"]
    assert (before["cats.md"]["version"], after["cats.md"]["version"]) == (1, 2)
    assert "plain.txt" in after
    assert ingest(cli, folder, "--prune")["withdrawn"] == 1
    assert "plain.txt" not in found(cli, "When does the library open?")
    assert found(cli, "When does the library open?", "--at", seq)[0] == "plain.txt"
    texts = [hit["text"] for hit in cli("search", "cats", "--collection", "docs", "--at", seq, "--json").json["hits"]]
    assert any("purr" in text for text in texts) and not any("laser" in text for text in texts)
    check_collection(home, "docs", ["laser pointers"])


def test_rows_of_jsonl_and_csv(home: Home, cli, tmp_path):
    rows = [
        {"key": f"k{n}", "body": f"Fact number {n} is about {word}.", "year": 2020 + n} for n, word in enumerate(["rivers", "mountains", "deserts"])
    ]
    file = tmp_path / "facts.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\n{broken\n")
    result = ingest(cli, file, "--id-field", "key", "--text-field", "body")
    assert result["ready"] == 3
    assert [failure["external_id"] for failure in result["failed"]] == ["facts.jsonl#4"]
    assert found(cli, "mountains")[0] == "k1"
    assert set(found(cli, "facts", "--filter", '{"year": {"$gte": 2021}}')) == {"k1", "k2"}
    assert found(cli, "facts", "--filter", '{"colour": "red"}') == []
    file.write_text("\n".join(json.dumps(row) for row in rows[:2]) + "\n")
    assert ingest(cli, file, "--id-field", "key", "--text-field", "body")["withdrawn"] == 2  # k2, and the broken line
    assert "k2" not in found(cli, "deserts")
    (tmp_path / "table.csv").write_text("name;height\nMont Blanc;4808\nZugspitze;2962\n")
    ingest(cli, tmp_path / "table.csv")
    assert found(cli, "Zugspitze")[0] == "table.csv#2"


def test_t55_what_is_attached_to_a_mail_is_found_and_what_is_hostile_takes_nothing_with_it(home: Home, cli, tmp_path):
    message = EmailMessage()
    message["Subject"], message["From"] = "Minutes", "ann@example.com"
    message.set_content("The committee met on Tuesday.")
    message.add_attachment("name,height\nFuji,3776\nZugspitze,2962\n", subtype="csv", filename="peaks.csv")
    message.add_attachment(docx(p("The bridge was repainted in green.")), maintype="application", subtype="x", filename="bridge.docx")
    message.add_attachment(b"%PDF-1.7 is no Word file", maintype="application", subtype="x", filename="bad.docx")
    message.add_attachment(b"x", maintype="application", subtype="x", filename="plan.dwg")
    folder = tmp_path / "mails"
    folder.mkdir()
    (folder / "mail.eml").write_bytes(message.as_bytes())
    (folder / "bomb.docx").write_bytes(archive({**docx_parts(p("x")), "word/document.xml": bytes(80 * 2**20)}))
    (folder / "old.doc").write_bytes(b"x")
    result = ingest(cli, folder)
    assert (result["ready"], result["skipped"]) == (4, 1)
    way_out = "split the document, or take out what makes it large"
    assert result["failed"] == [
        {"external_id": "bomb.docx", "error": f"its part 'word/document.xml' inflates to more than 300 times its size ({way_out})"},
        {"external_id": "mail.eml#bad.docx", "error": "is a PDF, not a DOCX"},
    ]
    assert found(cli, "What colour has the bridge?")[0] == "mail.eml#bridge.docx"
    assert found(cli, "Zugspitze")[0] == "mail.eml#peaks.csv#2"
    assert found(cli, "When did the committee meet?")[0] == "mail.eml"
    (listed,) = [row for row in cli("documents", "list", "--collection", "docs", "--json").json["data"] if row["external_id"] == "mail.eml"]
    assert cli("documents", "show", listed["document_id"], "--json").json["metadata"]["attachments_not_read"] == "plan.dwg"


def test_t10_rights_narrow_every_search_and_change_at_once(home: Home, cli, folder):
    ingest(cli, folder / "cats.md", "--source", "a", "--acl", "user:alice,group:vets")
    ingest(cli, folder / "deep/dogs.md", "--source", "b", "--acl", "")
    ingest(cli, folder / "plain.txt", "--source", "c")
    query = "cat dog library"
    assert set(found(cli, query)) == {"cats.md", "dogs.md", "plain.txt"}
    assert found(cli, query, "--as", "user:alice") == ["cats.md"]
    assert found(cli, query, "--as", "group:vets,workspace:poc") and set(found(cli, query, "--as", "group:vets,workspace:poc")) == {
        "cats.md",
        "plain.txt",
    }
    assert found(cli, query, "--as", "user:mallory") == []
    ingest(cli, folder / "cats.md", "--source", "a", "--acl", "user:bob")
    assert found(cli, query, "--as", "user:alice") == []
    assert found(cli, query, "--as", "user:bob") == ["cats.md"]
    assert cli("search", query, "--collection", "docs", "--workspace", "dev").rc == 2


def test_t11_a_withdrawn_document_is_gone_from_every_search(home: Home, cli, folder):
    ingest(cli, folder)
    document_id = cli("search", "library", "--collection", "docs", "-k", 1, "--json").json["hits"][0]["document_id"]
    deleted = cli("documents", "delete", document_id, "--json")
    assert deleted.rc == 0 and deleted.json["withdrawn"]
    assert "plain.txt" not in found(cli, "library")
    assert cli("documents", "delete", document_id).rc == 2
    assert any(row["action"] == "document.withdraw" for row in cli("audit", "list", "--json").json["data"])


def test_a_file_that_fails_keeps_its_last_good_version(home: Home, cli, folder):
    ingest(cli, folder)
    (folder / "cats.md").write_bytes(b"\x00\x01\x02\xff\xfe" * 50)
    result = ingest(cli, folder)
    assert [failure["external_id"] for failure in result["failed"]] == ["cats.md"]
    assert found(cli, "a cat that purrs")[0] == "cats.md"
    assert [f["external_id"] for f in ingest(cli, folder)["failed"]] == ["cats.md"]
    assert cli("ingest", folder, "--collection", "docs", "--strict").rc == 1


def test_two_ingestions_of_one_folder_at_once(home: Home, cli, folder):
    results = []
    threads = [threading.Thread(target=lambda: results.append(cli("ingest", folder, "--collection", "docs", "--json"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [ran.rc for ran in results] == [0, 0, 0], [ran.stderr for ran in results]
    rows = cli("documents", "list", "--collection", "docs", "--json").json["data"]
    assert [row["version"] for row in rows] == [1] * 4
    check_collection(home, "docs", ["cats"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ingest", "nowhere", "--collection", "docs"), "no such file or folder"),
        (("ingest", ".", "--collection", "bad name"), "not a name for a collection"),
        (("ingest", ".", "--collection", "docs", "--acl", "alice"), "not a principal"),
        (("search", "x", "--collection", "dosc"), "did you mean 'docs'"),
        (("search", "  ", "--collection", "docs"), "the query is empty"),
        (("search", "x", "--collection", "docs", "-k", "0"), "k is 0"),
        (("search", "x", "--collection", "docs", "-k", "1000000"), "between 1 and 1000"),
        (("search", "x", "--collection", "docs", "--at", "99"), "no sequence 99"),
        (("search", "x", "--collection", "docs", "--at", "-1"), "no sequence -1"),
        (("search", "x", "--collection", "docs", "--filter", "{"), "--filter is not JSON"),
        (("search", "x", "--collection", "docs", "--filter", '{"a": {"$near": 1}}'), "unknown operator"),
        (("documents", "show", "doc_0"), "unknown document"),
    ],
)
def test_bad_input_is_one_clear_line(home: Home, cli, folder, arguments, says):
    home.store.write(lambda c: collections.ensure(c, "poc", "docs", home.encoder.identity))
    ran = cli(*arguments)
    assert ran.rc == 2
    assert says in ran.stderr and "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_a_file_that_vanishes_or_cannot_be_read_is_a_failure_of_its_own(home: Home, cli, folder, monkeypatch):
    from vectorstore import ingest as module

    (folder / "gone.md").write_text("# Gone\n\nsoon")
    real = module.walk

    def vanishing(*arguments):
        for each in real(*arguments):
            if each.path == "gone.md":
                each.file.unlink()
            yield each

    monkeypatch.setattr(module, "walk", vanishing)
    result = run_in_process(home, folder)
    assert result["ready"] == 4
    assert result["failed"] == [{"external_id": "gone.md", "error": "vanished while it was read"}]


def run_in_process(home: Home, folder):
    from llmops.jobs import rows as jobs
    from llmops.jobs.worker import finish
    from vectorstore.sources import Order

    order = Order("docs", "pages", root=str(folder))
    job_id = home.store.write(lambda c: jobs.enqueue(c, "ingest", "poc", "owner", order.to_json()))
    return finish(home, "poc", job_id).result


def test_an_encoder_that_changed_under_a_collection_is_refused(home: Home, cli, folder):
    ingest(cli, folder)
    ran = cli("search", "cats", "--collection", "docs", env={"LLMOPS__ENCODER__BACKEND": "torch"})
    assert ran.rc == 2 and "was embedded with" in ran.stderr


def test_t40_links_that_lead_out_of_the_folder_are_passed_over(home: Home, cli, folder, tmp_path):
    (tmp_path / "secret.md").write_text("# Secret\n\nThe password is swordfish.")
    os.symlink(tmp_path / "secret.md", folder / "link.md")
    os.symlink(folder, folder / "loop")
    assert ingest(cli, folder)["ready"] == 4
    assert not any("swordfish" in hit["text"] for hit in cli("search", "password swordfish", "--collection", "docs", "--json").json["hits"])


@pytest.fixture
def website(tmp_path):
    """A page on loopback, and the address it lies at."""
    import http.server

    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "page.html").write_text("<title>Harbour</title><main><p>The harbour master lives in the lighthouse.</p></main>")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "site")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/page.html"
        server.shutdown()


def test_t16_an_address_is_fetched_only_where_it_may_be(home: Home, cli, website):
    refused = cli("ingest", website, "--collection", "docs")
    assert refused.rc == 2 and "127.0.0.1" in refused.stderr and "Traceback" not in refused.stderr
    allowed = cli("ingest", website, "--collection", "docs", "--json", env={"LLMOPS__OUTBOUND__ALLOW": '["127.0.0.0/8"]'})
    assert allowed.rc == 0 and allowed.json["ready"] == 1
    assert found(cli, "Where does the harbour master live?") == [website]


def test_files_of_one_name_and_source_in_one_command_are_refused(home: Home, cli, folder, tmp_path):
    for parent in ("one", "two"):
        (tmp_path / parent / "notes").mkdir(parents=True)
        (tmp_path / parent / "notes" / "r.md").write_text(f"The note of {parent}.")
    for name in ("notes", "notes/r.md"):
        ran = cli("ingest", tmp_path / "one" / name, tmp_path / "two" / name, "--collection", "docs")
        assert ran.rc == 2 and "would be one document" in ran.stderr and "--source" in ran.stderr
    assert ingest(cli, tmp_path / "one" / "notes", tmp_path / "one" / "notes", folder)["ready"] == 5


def test_what_is_skipped_is_named(home: Home, cli, folder):
    (folder / "image.png").write_bytes(b"\x89PNG")
    (folder / "loop").symlink_to(".")
    assert ingest(cli, folder)["skipped_files"] == ["image.png", "loop"]
    told = cli("ingest", folder, "--collection", "docs").stdout
    assert "2 skipped" in told and "  skipped  image.png\n" in told and "  skipped  loop\n" in told


def test_jobs_say_what_they_work_on_and_waiting_for_one_that_failed_fails(home: Home, cli, folder):
    (folder / "empty.md").write_text("")
    ingest(cli, folder)
    (row,) = cli("jobs", "list", "--json").json["data"]
    assert (row["about"], row["failed"], row["state"]) == ("docs/pages", 1, "done")
    shown = cli("jobs", "show", row["id"]).stdout
    assert "    empty.md: no text" in shown and "{" not in shown and cli("jobs", "wait", row["id"]).rc == 0
    home.store.write(lambda c: c.execute(update(jobs).values(state="cancelled", result=None)))
    ran = cli("jobs", "wait", row["id"], "--json")
    assert ran.rc == 3 and ran.json["state"] == "cancelled" and "jobs retry" in ran.stderr
