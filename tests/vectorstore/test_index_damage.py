"""T35: a damaged, missing or foreign index file is noticed before it is used, and the rows answer in its place."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.crash import LLMOPS
from tests.vectorstore.filled import fill, new_version
from tests.vectorstore.invariants import OWNER, check_collection
from vectorstore.index.segments import MOST, folder_of, write_segments
from vectorstore.search import Searcher

INGEST = ["ingest", "rows.csv", "--collection", "docs", "--id-field", "id", "--text-field", "text"]


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    """A folder with a home in it, whose collection is large enough to have a segment on disk."""
    folder = tmp_path_factory.mktemp("ingested")
    (folder / "rows.csv").write_text("id,text\n" + "".join(f"r{n},Record {n} of the archive mentions item {n * 7 % 300}\n" for n in range(400)))
    subprocess.run([LLMOPS, *INGEST], cwd=folder, env={**os.environ, "LLMOPS_HOME": str(folder / ".llmops")}, check=True, capture_output=True)
    return folder


@pytest.fixture
def indexed(settings, tmp_path, request):
    """The one segment of a copy of it, which is this test's home."""
    shutil.copytree(request.getfixturevalue("ingested"), tmp_path, dirs_exist_ok=True)
    [segment] = [path for path in (settings.home / "indexes").glob("*/*") if path.is_dir()]
    return segment


def damage_truncated(segment):
    file = segment / "vectors.npy"
    file.write_bytes(file.read_bytes()[:-1000])


def damage_flipped_bit(segment):
    content = bytearray((segment / "positions.npy").read_bytes())
    content[len(content) // 2] ^= 1
    (segment / "positions.npy").write_bytes(content)


def damage_emptied(segment):
    (segment / "codes.npy").write_bytes(b"")


def damage_file_missing(segment):
    (segment / "terms.npy").unlink()


def damage_manifest(segment):
    (segment / "manifest.json").write_text("{")


def damage_renamed(segment):
    segment.rename(segment.with_name("000000000005-000000000404"))


def damage_gone(segment):
    shutil.rmtree(segment)


@pytest.mark.parametrize("damage", [v for n, v in list(globals().items()) if n.startswith("damage_")], ids=lambda f: f.__name__)
def test_t35_damage_is_noticed_and_mended(indexed, home, cli, damage):
    whole = cli("search", "record 123", "--collection", "docs", "--json")
    damage(indexed)
    after = cli("search", "record 123", "--collection", "docs", "--json")
    assert after.rc == 0 and after.json == whole.json and len(after.json["hits"]) == 10
    check_collection(home, "docs", ["item 77 in the archive"])
    assert cli(*INGEST).rc == 0
    kept = [path.name for path in indexed.parent.iterdir()]
    assert len(kept) == 1 and (indexed.parent / kept[0] / "manifest.json").is_file()


def test_segments_merge_and_keep_every_answer(home, monkeypatch):
    monkeypatch.setattr("vectorstore.index.segments.SMALLEST", 40)
    for number in range(MOST + 3):
        new = [new_version(f"m{number}-{n}", f"Addendum {n} in volume {100 + number}") for n in range(40)]
        collection = fill(home, "docs", new)
        write_segments(home, collection)
        segments = list(folder_of(home, collection).iterdir())
        assert len(segments) == number % MOST + 1, "one more each time, until all are merged into one"
    found = Searcher(home).search("Addendum 17 volume 103", collection="docs", asker=OWNER, k=1000)
    assert max(found.hits, key=lambda hit: hit.legs.get("lexical", 0)).passage.external_id == "m3-17"
    check_collection(home, "docs", ["addendum 5 of the archive", "addendum in volume 107"])
