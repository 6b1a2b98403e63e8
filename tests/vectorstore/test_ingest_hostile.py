"""T55: hostile files beside good ones, as a user ingests them."""

from __future__ import annotations

import json
import time

import pytest

from tests.vectorstore import traps
from tests.vectorstore.hostile import corpus
from tests.vectorstore.invariants import check_collection
from tests.vectorstore.pdf_files import scanned
from vectorstore.load import loader_for
from vectorstore.load.limits import can_read_pictures


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("heavy", "good"), [(False, 20), pytest.param(True, 200, marks=pytest.mark.prove(1))])
def test_t55_every_hostile_file_fails_with_its_reason_and_every_good_one_is_ready(home, cli, tmp_path, heavy, good):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number in range(good):  # between the others in the order of names
        (folder / f"{chr(97 + number % 26)}-good-{number}.md").write_text(f"# Page {number}\n\nThe answer of page {number} is {number * 7}.\n")
    hostile = {name: content for name, content in corpus(heavy).items() if loader_for(name)}
    for name, content in hostile.items():
        (folder / name).write_bytes(content)
    told = cli("ingest", folder, "--collection", "docs", "--json")
    assert told.rc == 0, told.stderr
    failed = {one["external_id"].partition("#")[0]: one["error"] for one in told.json["failed"]}
    assert failed.keys() == hostile.keys()
    assert all(error and "Traceback" not in error and "\n" not in error for error in failed.values())
    assert told.json["ready"] == good
    check_collection(home, "docs", ["the answer of page 12"])
    again = cli("ingest", folder, "--collection", "docs", "--json").json
    assert (again["unchanged"], again["ready"], {one["external_id"].partition("#")[0] for one in again["failed"]}) == (good, 0, hostile.keys()), (
        "and nothing is tried anew"
    )


def test_t55_a_file_that_hangs_is_put_off_and_holds_up_no_other(home, cli, tmp_path):
    traps.install(tmp_path)
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "a.trap").write_text("sleep 600")
    for name in "bcde":
        (folder / f"{name}.md").write_text(f"# {name}\n\nPage {name}.\n")
    environment = {"PYTHONPATH": str(tmp_path), "LLMOPS__PARSING__SECONDS": "8"}
    began = time.monotonic()
    told = cli("ingest", folder, "--collection", "docs", "--json", env=environment)
    assert time.monotonic() - began < 60
    assert told.json["ready"] == 4
    again = cli("ingest", folder, "--collection", "docs", "--json", env=environment)
    assert (again.json["unchanged"], again.json["failed"]) == (4, told.json["failed"]), "it is not tried in vain a second time"
    assert told.json["failed"] == [
        {"external_id": "a.trap", "error": "takes more than 8 s to read (split the file, or raise [parsing] seconds in llmops.toml)"}
    ]


def test_t55_a_file_that_took_too_long_is_read_once_it_may_take_longer(home, cli, tmp_path):
    traps.install(tmp_path)
    (tmp_path / "a.trap").write_text("sleep 4")
    environment = {"PYTHONPATH": str(tmp_path), "LLMOPS__PARSING__SECONDS": "2"}
    assert cli("ingest", tmp_path / "a.trap", "--collection", "docs", "--json", env=environment).json["failed"]
    environment["LLMOPS__PARSING__SECONDS"] = "20"
    assert cli("ingest", tmp_path / "a.trap", "--collection", "docs", "--json", env=environment).json["ready"] == 1


@pytest.mark.skipif(not can_read_pictures(), reason="the program tesseract is not installed")
def test_t55_a_file_of_which_not_all_was_read_is_read_again_once_more_of_it_can_be(home, cli, tmp_path, monkeypatch):
    (tmp_path / "report.pdf").write_bytes(scanned("The harbour bridge was reopened.", first="A report of the harbour."))

    def ingested() -> tuple[int, int, object]:
        told = cli("ingest", tmp_path / "report.pdf", "--collection", "docs", "--json").json
        (row,) = cli("documents", "list", "--collection", "docs", "--json").json["data"]
        return told["ready"], told["unchanged"], cli("documents", "show", row["document_id"], "--json").json["metadata"].get("pages_without_text")

    with monkeypatch.context() as without_tesseract:
        without_tesseract.setenv("PATH", str(tmp_path))
        assert ingested() == (1, 0, 1)
        assert ingested() == (0, 1, 1)
    assert ingested() == (1, 0, None)
    assert ingested() == (0, 1, None)


def test_t55_rows_that_were_read_before_a_break_stay_and_the_file_is_named(home, cli, tmp_path):
    traps.install(tmp_path)
    (tmp_path / "many.trap").write_text("rows 300")
    environment = {"PYTHONPATH": str(tmp_path)}
    told = cli("ingest", tmp_path / "many.trap", "--collection", "docs", "--json", env=environment).json
    assert told["ready"] == 300
    assert [one["external_id"] for one in told["failed"]] == ["many.trap"] and "broken beyond" in told["failed"][0]["error"]
    rows = cli("documents", "list", "--collection", "docs", "--json").json["data"]
    assert sum(row["state"] == "ready" for row in rows) == 300
    check_collection(home, "docs", ["row 299"])
    again = cli("ingest", tmp_path / "many.trap", "--collection", "docs", "--json", env=environment).json
    assert (again["unchanged"], again["ready"], len(again["failed"])) == (300, 0, 1)


def test_t55_the_configuration_bounds_what_a_document_may_cost(home, cli, tmp_path):
    (tmp_path / "page.md").write_text("# Page\n\nText.\n")
    for setting, value in (("SECONDS", "0"), ("MEMORY_MB", "64"), ("MAX_PAGES", "0")):
        refused = cli("ingest", tmp_path / "page.md", "--collection", "docs", env={f"LLMOPS__PARSING__{setting}": value})
        assert refused.rc == 2 and f"parsing.{setting.lower()}" in refused.stderr, json.dumps(refused.stderr)
