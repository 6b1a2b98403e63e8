"""A folder is read and nothing beside it, whatever its names are and whoever changes it meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops.errors import InvalidInput
from vectorstore.sources import read_file, walk

SECRET = b"the password is swordfish"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder to ingest, with a secret beside it."""
    (tmp_path / "secret.md").write_bytes(SECRET)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.md").write_bytes(SECRET)
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (root / "a.md").write_text("a")
    (root / "in" / "a.md").write_text("inner a")
    return root


def test_links_within_the_folder_are_read(tree: Path) -> None:
    (tree / "link.md").symlink_to("in/a.md")
    (tree / "absolute.md").symlink_to(tree / "a.md")
    read = {found.path: read_file(found.file, tree) for found in walk(tree, [], [])}
    assert read == {"a.md": b"a", "absolute.md": b"a", "in/a.md": b"inner a", "link.md": b"inner a"}
    through = tree.parent / "way"
    through.symlink_to(tree)
    assert {read_file(found.file, through) for found in walk(through, [], [])} == {b"a", b"inner a"}
    assert read_file(tree / "link.md") == b"inner a", "a file that is named by itself is the operator's word"


def _to_a_link(tree: Path) -> None:
    (tree / "in" / "a.md").unlink()
    (tree / "in" / "a.md").symlink_to(tree.parent / "secret.md")


def _to_a_link_upwards(tree: Path) -> None:
    (tree / "in" / "a.md").unlink()
    (tree / "in" / "a.md").symlink_to("../../secret.md")


def _its_folder_to_a_link(tree: Path) -> None:
    (tree / "in" / "a.md").unlink()
    (tree / "in").rmdir()
    (tree / "in").symlink_to(tree.parent / "outside")


def _to_a_link_of_links(tree: Path) -> None:
    (tree / "in" / "a.md").unlink()
    (tree / "in" / "a.md").symlink_to("b.md")
    (tree / "in" / "b.md").symlink_to(tree.parent / "outside" / "a.md")


def _to_a_loop(tree: Path) -> None:
    (tree / "in" / "a.md").unlink()
    (tree / "in" / "a.md").symlink_to("a.md")


def _to_a_pipe(tree: Path) -> None:
    (tree / "in" / "a.md").unlink()
    os.mkfifo(tree / "in" / "a.md")


CHANGES = [_to_a_link, _to_a_link_upwards, _its_folder_to_a_link, _to_a_link_of_links, _to_a_loop, _to_a_pipe]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_t40_a_file_that_is_changed_between_the_walk_and_the_reading_is_not_read(tree: Path, change: Callable[[Path], None]) -> None:
    found = {found.path: found for found in walk(tree, [], [])}
    change(tree)
    with pytest.raises(InvalidInput):
        read_file(found["in/a.md"].file, tree)


@pytest.mark.parametrize("step", ["folder", "file"])
def test_t40_a_link_that_is_put_there_while_the_path_is_gone_down_is_not_followed(tree: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last moment that there is: the path was judged, and is now opened."""
    judge = os.path.realpath

    def realpath(path: Path) -> str:
        real = judge(path)
        if str(path).endswith("a.md"):
            monkeypatch.undo()
            (_its_folder_to_a_link if step == "folder" else _to_a_link)(tree)
        return real

    judge(tree)
    monkeypatch.setattr(os.path, "realpath", realpath)
    with pytest.raises(InvalidInput):
        read_file(tree / "in" / "a.md", tree)


def test_t40_a_racing_link_never_wins(tree: Path) -> None:
    over = threading.Event()
    file, other = tree / "in" / "a.md", tree / "in" / "other"

    def race() -> None:
        while not over.is_set():
            for make in (lambda: other.symlink_to(tree.parent / "secret.md"), lambda: other.write_text("inner a")):
                make()
                other.rename(file)

    racer = threading.Thread(target=race)
    racer.start()
    try:
        outcomes: set[bytes] = set()
        for _ in range(3000):
            try:
                outcomes.add(read_file(file, tree))
            except InvalidInput:
                outcomes.add(b"refused")
    finally:
        over.set()
        racer.join()
    assert outcomes <= {b"inner a", b"", b"refused"} and SECRET not in outcomes


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)
PLACES = st.sampled_from(["../secret.md", "../outside/a.md", "a.md", "in/a.md", "in", "..", "../outside", "nowhere", "/etc/hostname", "/"])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(NAMES, st.none() | PLACES, max_size=8))
def test_t40_whatever_names_and_links_a_folder_has_nothing_else_is_read(
    files: dict[str, str | None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("walk")
    (base / "secret.md").write_bytes(SECRET)
    (base / "outside").mkdir()
    (base / "outside" / "a.md").write_bytes(SECRET)
    root = base / "root"
    (root / "in").mkdir(parents=True)
    for name, target in files.items():
        try:
            place = root / f"{name}.md"
            place.write_text("harmless") if target is None else place.symlink_to(target if target[0] in "./" else f"./{target}")
        except OSError:
            continue
    for found in walk(root, [], []):
        assert not found.path.startswith(("/", "../")) and "\0" not in found.path
        if found.error or found.path.endswith("/"):
            continue
        try:
            content = read_file(found.file, root)
        except InvalidInput:
            continue
        assert content in (b"harmless", b""), found


def test_what_is_passed_over_is_named_but_for_hidden_files(tree: Path) -> None:
    (tree / "out.md").symlink_to(tree.parent / "secret.md")
    (tree / "loop").symlink_to(".")
    (tree / "away").symlink_to(tree.parent / "outside")
    (tree / "picture.png").write_bytes(b"\x89PNG")
    for hidden in (".hidden.md", "~$lock.docx"):
        (tree / hidden).write_text("x")
    found = {one.path: one for one in walk(tree, [], [])}
    assert {path for path, one in found.items() if one.kind is None} == {"out.md", "loop", "away", "picture.png"}
    assert {path for path, one in found.items() if one.kind} == {"a.md", "in/a.md"}


def test_a_link_to_nothing_says_so(tree: Path) -> None:
    (tree / "gone.md").symlink_to("nowhere.md")
    assert [one.error for one in walk(tree, [], []) if one.path == "gone.md"] == ["is a link to nothing"]


def test_a_link_that_cannot_be_followed_fails_alone(tree: Path) -> None:
    (tree / "long.md").symlink_to("n" * 300 + ".md")
    (tree / "self.md").symlink_to("self.md")
    errors = {one.path: one.error for one in walk(tree, [], [])}
    assert errors == {"a.md": "", "in/a.md": "", "long.md": "is a link to nothing", "self.md": "is a link to nothing"}


def test_links_to_folders_follow_the_patterns(tree: Path) -> None:
    (tree / "loop").symlink_to(".")
    assert [one.path for one in walk(tree, ["*.md"], ["in/*"])] == ["a.md"]
