"""The cache of exports: damaged, killed in the middle, wanted by two at once, or not to be written."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llmops.encoder import cache as encoder_cache
from llmops.encoder import load_encoder
from llmops.encoder.cache import PARTS, Damaged, read_export
from llmops.errors import Unavailable
from llmops.sections import EncoderSettings
from llmops.settings import cache_folder
from tests.llmops.tiny_models import save_tiny

PROGRAM = """
import logging, sys
logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
from llmops.encoder import load_encoder
from llmops.sections import EncoderSettings
print(load_encoder(EncoderSettings(name=sys.argv[1])).embed(["the start"]).tobytes().hex())
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("models") / "tiny", pooling="mean")


@pytest.fixture(scope="module")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the model is exported: two processes wanted it at once, the first of three was killed."""
    cache = tmp_path_factory.mktemp("cache")
    killed = _start(model, cache, LLMOPS_FAILPOINT="encoder.exported")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert len(list((cache / "encoder").glob("tiny-*.tmp"))) == 1 and not _exports(cache)
    two = [_start(model, cache), _start(model, cache)]
    said = [process.communicate()[0].splitlines() for process in two]
    assert [process.returncode for process in two] == [0, 0]
    assert sum(line.startswith("preparing the encoder") for lines in said for line in lines) == 1, "exported by one, used by both"
    assert said[0][-1] == said[1][-1]
    return cache


def _start(model: Path, cache: Path, **environ: str) -> subprocess.Popen[str]:
    ours = {"LLMOPS_CACHE": str(cache), **environ}
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(model)], stdout=subprocess.PIPE, text=True, env={**os.environ, **ours})


def _exports(cache: Path) -> list[Path]:
    return [path for path in (cache / "encoder").glob("tiny-*") if path.is_dir() and path.suffix != ".tmp" and ".damaged-" not in path.name]


@pytest.fixture
def cache(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that cache. What would be exported again is copied again."""
    (good,) = _exports(exported)

    def copy(_: object, draft: Path) -> None:
        for part in PARTS:
            shutil.copy(good / part, draft / part)

    monkeypatch.setattr(encoder_cache, "_make", copy)
    monkeypatch.setenv("LLMOPS_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(exported, tmp_path / "cache"))


def test_two_processes_and_a_killed_one_leave_one_whole_export(exported: Path) -> None:
    (place,) = _exports(exported)
    assert sorted(file.name for file in place.iterdir()) == sorted([*PARTS, "manifest.json"])
    assert not list((exported / "encoder").glob("*.tmp"))


@pytest.mark.parametrize("part", [*PARTS, "manifest.json"])
@pytest.mark.parametrize("damage", ["flipped bit", "cut", "empty", "gone"])
def test_a_damaged_export_is_put_aside_and_made_again(cache: Path, model: Path, part: str, damage: str) -> None:
    settings = EncoderSettings(name=str(model))
    before = load_encoder(settings).embed(["the start"])
    (place,) = _exports(cache)
    content = bytearray((place / part).read_bytes())
    if damage == "gone":
        (place / part).unlink()
    elif damage == "flipped bit":
        content[len(content) // 2] ^= 4
        (place / part).write_bytes(content)
    else:
        (place / part).write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    with pytest.raises((Damaged, FileNotFoundError)):
        read_export(place, "tiny", "")
    assert np.array_equal(load_encoder(settings).embed(["the start"]), before)
    assert len(_exports(cache)) == 1
    assert len(list((cache / "encoder").glob("tiny-*.damaged-*"))) == 1
    read_export(place, "tiny", "")


def test_only_the_last_damaged_export_is_kept(cache: Path, model: Path) -> None:
    for _ in range(3):
        (place,) = _exports(cache)
        (place / "model.onnx").write_bytes(b"")
        load_encoder(EncoderSettings(name=str(model)))
    assert len(list((cache / "encoder").glob("tiny-*.damaged-*"))) == 1


def test_a_damaged_memory_of_hashes_costs_a_hash(cache: Path, model: Path) -> None:
    before = load_encoder(EncoderSettings(name=str(model))).identity
    known = cache / "encoder" / "known"
    known.mkdir(exist_ok=True)
    for content in ("", "[]", "{}", '{"files": 1}'):
        for file in known.iterdir():
            file.write_text(content)
        assert load_encoder(EncoderSettings(name=str(model))).identity == before


def test_a_cache_that_cannot_be_a_folder(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLMOPS_CACHE", str(tmp_path / "file"))
    with pytest.raises(Unavailable) as refused:
        load_encoder(EncoderSettings(name=str(model)))
    assert "LLMOPS_CACHE" in refused.value.hint


def test_an_export_that_dies_says_how(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(Unavailable) as failed:
        load_encoder(EncoderSettings(name=str(model)))
    assert "exit 1" in str(failed.value) and 'backend = "torch"' in failed.value.hint
    assert not list((tmp_path / "cache" / "encoder").glob("*.tmp"))


def test_where_the_cache_is(tmp_path: Path) -> None:
    assert cache_folder({"LLMOPS_CACHE": str(tmp_path)}) == tmp_path
    assert cache_folder({}).name == "llmops"
