"""The unpacked model of languages: what is wrong with its files costs time, and no document its language."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from py3langid.langid import MODEL_DIR, MODEL_FILE

from vectorstore import language_model

PACKED = MODEL_DIR / MODEL_FILE


def flip(folder: Path) -> None:
    file = folder / "ptc.npy"
    content = bytearray(file.read_bytes())
    content[-1000] ^= 16
    file.write_bytes(content)


def cut(folder: Path) -> None:
    os.truncate(folder / "nextmove.npy", 1000)


def empty(folder: Path) -> None:
    os.truncate(folder / "ptc.npy", 0)


def lose(folder: Path) -> None:
    (folder / "classes.npy").unlink()


def garble(folder: Path) -> None:
    (folder / "sums.json").write_text("null")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """The folder of the cache that holds the model."""
    monkeypatch.setenv("LLMOPS_CACHE", str(tmp_path))
    return lambda: next(path for path in (tmp_path / "language").iterdir() if path.is_dir())


def is_mapped(arrays: language_model.Arrays) -> bool:
    return all(isinstance(array, np.memmap) for array in arrays.values())


@pytest.mark.parametrize("damage", [flip, cut, empty, lose, garble])
def test_t35_a_damaged_model_of_languages_is_unpacked_again(folder, damage):
    first = language_model.arrays(PACKED)
    kept = language_model.arrays(PACKED)
    assert not is_mapped(first) and is_mapped(kept)
    damage(folder())
    again, mended = language_model.arrays(PACKED), language_model.arrays(PACKED)
    assert not is_mapped(again) and is_mapped(mended)
    for name, array in first.items():
        assert np.array_equal(array, again[name]) and np.array_equal(array, mended[name])


def test_a_cache_that_cannot_be_written_is_none(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("LLMOPS_CACHE", str(tmp_path / "file"))
    assert language_model.arrays(PACKED)["classes"].size > 100
