"""T35: whatever becomes of any file below `indexes/`, it is seen before it is used, put aside, and made again from the rows."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from llmops.home import Home
from tests.vectorstore.filled import fill, new_version
from tests.vectorstore.invariants import OWNER, check_collection
from vectorstore.index.segments import folder_of, open_segments, write_segments
from vectorstore.search import Searcher

FILES = ["manifest", *("rows", "documents", "versions", "seq_from", "text_numbers", "vectors", "codes")]
FILES += ["terms", "offsets", "positions", "counts", "lengths"]


def cut(file: Path, _: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def zeroed(file: Path, _: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def emptied(file: Path, _: Path) -> None:
    file.write_bytes(b"")


def flipped(file: Path, _: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


def swapped_with_a_stale_copy(file: Path, stale: Path) -> None:
    shutil.copy(stale / file.name, file)


def sparse_two_terabytes(file: Path, _: Path) -> None:
    os.truncate(file, 2 * 2**40)


def deleted(file: Path, _: Path) -> None:
    file.unlink()


def a_folder(file: Path, _: Path) -> None:
    file.unlink()
    file.mkdir()


def a_pipe(file: Path, _: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def a_link_to_nothing(file: Path, _: Path) -> None:
    file.unlink()
    file.symlink_to(file.with_name("nothing"))


DAMAGES = [cut, zeroed, emptied, flipped, swapped_with_a_stale_copy, sparse_two_terabytes, deleted, a_folder, a_pipe, a_link_to_nothing]


def opened(home: Home, collection) -> int:
    return len(home.store.read(lambda c: open_segments(c, folder_of(home, collection), collection)))


@pytest.fixture
def segment(home: Home):
    """A collection with a segment, and a stale copy of it: of the rows that there were before."""
    fill(home, "docs", [new_version(f"d{n}", f"Number {n} of the harbour") for n in range(300)])
    collection = fill(home, "docs", [new_version("last", "And one more")])
    write_segments(home, collection)
    [path] = folder_of(home, collection).iterdir()
    other = fill(home, "other", [new_version(f"o{n}", f"Number {n} of the garden") for n in range(301)])
    write_segments(home, other)
    [stale] = folder_of(home, other).iterdir()
    return collection, path, stale


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_t35_any_damage_of_any_file_is_seen_before_it_is_used(home: Home, segment, tmp_path: Path, damage) -> None:
    collection, path, stale = segment
    pristine = shutil.copytree(path, tmp_path / "pristine")
    for name in FILES:
        file = path / (f"{name}.json" if name == "manifest" else f"{name}.npy")
        before = file.read_bytes()
        damage(file, stale)
        if file.is_file() and file.stat().st_size == len(before) and file.read_bytes() == before:
            continue  # both have the same of that
        assert opened(home, collection) == 0, name
        shutil.rmtree(path)
        shutil.copytree(pristine, path)
    assert opened(home, collection) == 1
    damage(path / "vectors.npy", stale)
    assert len(Searcher(home).search("number 7", collection="docs", asker=OWNER).hits) == 10
    write_segments(home, collection)
    assert opened(home, collection) == 1
    assert [aside.name.partition("-")[2] for aside in (home.settings.home / "quarantine").iterdir()] == [path.name]


@pytest.mark.parametrize("what", ["indexes", "collection", "segment"])
def test_t35_a_file_in_the_place_of_a_folder_is_put_aside(home: Home, segment, what: str) -> None:
    collection, path, _ = segment
    place = {"indexes": path.parent.parent, "collection": path.parent, "segment": path}[what]
    shutil.rmtree(place)
    place.write_text("no folder")
    assert len(Searcher(home).search("number 7", collection="docs", asker=OWNER).hits) == 10
    write_segments(home, collection)
    assert opened(home, collection) == 1
    assert len(list((home.settings.home / "quarantine").iterdir())) == 1
    check_collection(home, "docs", ["number 7 of the harbour"])


def test_the_quarantine_keeps_the_newest_few(home: Home, segment) -> None:
    from llmops.quarantine import KEPT

    collection, path, _ = segment
    for _ in range(KEPT + 3):
        (path / "codes.npy").unlink()
        write_segments(home, collection)
    assert len(list((home.settings.home / "quarantine").iterdir())) == KEPT
