"""T35: a damaged, missing or foreign index file is noticed before it is used, and the rows answer in its place."""

from __future__ import annotations

import shutil

import pytest

from tests.vectorstore.invariants import check_collection


@pytest.fixture
def indexed(home, cli, tmp_path):
    """A collection that is large enough to have a segment on disk."""
    rows = tmp_path / "rows.csv"
    rows.write_text("id,text\n" + "".join(f"r{n},Record {n} of the archive mentions item {n * 7 % 300}\n" for n in range(400)))
    assert cli("ingest", rows, "--collection", "docs", "--id-field", "id", "--text-field", "text").rc == 0
    segments = [path for path in (home.settings.home / "indexes").glob("*/*") if path.is_dir()]
    assert len(segments) == 1
    return segments[0]


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
def test_t35_damage_is_noticed_and_mended(home, cli, indexed, damage):
    whole = cli("search", "record 123", "--collection", "docs", "--json")
    damage(indexed)
    after = cli("search", "record 123", "--collection", "docs", "--json")
    assert after.rc == 0 and after.json == whole.json and len(after.json["hits"]) == 10
    check_collection(home, "docs", ["item 77 in the archive"])
    assert cli("ingest", indexed.parents[3] / "rows.csv", "--collection", "docs", "--id-field", "id", "--text-field", "text").rc == 0
    kept = [path.name for path in indexed.parent.iterdir()]
    assert len(kept) == 1 and (indexed.parent / kept[0] / "manifest.json").is_file()


def test_segments_merge_and_keep_every_answer(home, cli, indexed, tmp_path):
    for number in range(8):
        more = tmp_path / f"more{number}.csv"
        more.write_text("id,text\n" + "".join(f"m{number}-{n},Addendum {n} in volume {number}\n" for n in range(260)))
        assert cli("ingest", more, "--collection", "docs", "--id-field", "id", "--text-field", "text").rc == 0
    assert len(list(indexed.parent.iterdir())) <= 6
    assert cli("search", "Addendum 17 volume 3", "--collection", "docs", "-k", 1, "--json").json["hits"][0]["external_id"] == "m3-17"
    check_collection(home, "docs", ["record 5 of the archive", "addendum in volume 7"])
