"""The folder of exported models: named by content, whole or not there, and checked at every load.

LLMOPS_CACHE/encoder/NAME-KEY/model.onnx        the int8 model
                              tokenizer.json    exactly the tokenizer that the model was exported with
                              card.json         how to get from its output to a vector
                              manifest.json     the SHA-256 of the three
LLMOPS_CACHE/encoder/known/                     hashes of models' files, by size and time
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from llmops.durable import read_small, size_of, sync
from llmops.encoder.content import content_hash
from llmops.encoder.pooling import pooling_of
from llmops.encoder.source import ModelFolder
from llmops.errors import InvalidInput, LLMOpsError, Unavailable
from llmops.failpoints import failpoint
from llmops.settings import cache_folder

RECIPE = "1"
"""How a model is exported. Another recipe makes other vectors, so it is a part of their identity."""

PARTS = ("model.onnx", "tokenizer.json", "card.json")
_WAIT = 1800.0
_MOST_MANIFEST = 2**16
_LEAST_ROOM = 2**24
_ROOM = "set LLMOPS_CACHE to a folder with room that can be written"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Export:
    """An exported model, read and checked. `key` is the hash of weights, files and recipe, as hex."""

    name: str
    key: str
    model: bytes
    tokenizer: bytes
    card: Mapping[str, Any]


class Damaged(Exception):
    """A folder of the cache that is not as it was written."""


def export_of(model: ModelFolder) -> Export:
    """The export of a model, made now if the cache has none or a damaged one.

    Processes that need the same one at once make it once. A cache that has it need not be writable.
    """
    cache = cache_folder() / "encoder"
    place, key = place_of(model)
    try:
        with contextlib.suppress(FileNotFoundError, Damaged):  # below it is looked for again, alone
            return read_export(place, model.name, key)
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock", timeout=_WAIT):
            return _read_or_make(place, model, key)
    except Timeout:
        raise Unavailable(f"another process has been exporting {model.name!r} for half an hour", hint="stop it, then try again") from None
    except OSError as broken:
        raise Unavailable(
            f"the encoder's cache {cache} cannot be used: {broken}",
            hint=_ROOM,
        ) from broken


def place_of(model: ModelFolder) -> tuple[Path, str]:
    """The folder of a model's export, whether it is there or not, and its key."""
    cache = cache_folder() / "encoder"
    key = hashlib.sha256(f"onnx-int8 {RECIPE} {content_hash(model, cache)}".encode()).hexdigest()
    return cache / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', model.name)}-{key[:16]}", key


def _read_or_make(place: Path, model: ModelFolder, key: str) -> Export:
    try:
        return read_export(place, model.name, key)
    except FileNotFoundError:
        if place.exists():
            _quarantine(place, "a file is missing")
    except Damaged as damage:
        _quarantine(place, str(damage))
    for left in place.parent.glob(f"{place.name}.*.tmp"):  # of an export that was killed: the lock is ours
        shutil.rmtree(left)
    draft = place.with_name(f"{place.name}.{os.getpid()}.tmp")
    draft.mkdir()
    try:
        _make(model, draft)
        manifest: dict[str, Any] = {part: hashlib.sha256((draft / part).read_bytes()).hexdigest() for part in PARTS}
        manifest["sizes"] = {part: size_of(draft / part) for part in PARTS}
        (draft / "manifest.json").write_text(json.dumps(manifest))
        for part in (*PARTS, "manifest.json"):
            sync(draft / part)
        sync(draft)
        failpoint("encoder.exported")
        draft.rename(place)
        sync(place.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return read_export(place, model.name, key)


def read_export(place: Path, name: str, key: str) -> Export:
    """The export in a folder. Raises `FileNotFoundError` where a file is missing, `Damaged` where one is not as written."""
    if place.exists() and not place.is_dir():
        raise Damaged(f"{place.name} is no folder")
    try:
        sums = json.loads(read_small(place / "manifest.json", _MOST_MANIFEST))
        sizes = sums.get("sizes", {})  # an older version of this program wrote none
        grown = [part for part in PARTS if size_of(place / part) != sizes.get(part, size_of(place / part))]
        if grown:  # before it is read: a sparse file may claim terabytes
            raise Damaged(f"{', '.join(grown)} is not as long as it was written")
        parts = {part: (place / part).read_bytes() for part in PARTS}
        wrong = [part for part in PARTS if hashlib.sha256(parts[part]).hexdigest() != sums[part]]
    except (ValueError, KeyError, TypeError, AttributeError) as damage:
        raise Damaged(f"manifest.json cannot be read: {damage}") from None
    if wrong:
        raise Damaged(f"{', '.join(wrong)} is not as it was written")
    return Export(name, key, parts["model.onnx"], parts["tokenizer.json"], json.loads(parts["card.json"]))


def _quarantine(place: Path, damage: str) -> None:
    """Put a damaged folder aside, for whoever wants to know; only the last one is kept."""
    for older in place.parent.glob(f"{place.name}.damaged-*"):
        shutil.rmtree(older, ignore_errors=True)
    aside = place.with_name(f"{place.name}.damaged-{time.time_ns()}")
    place.rename(aside)
    _log.warning("the exported encoder in %s is damaged (%s): moved to %s, exporting again", place, damage, aside.name)


def _make(model: ModelFolder, draft: Path) -> None:
    """Export in a process of its own, so that torch never enters this one and its memory goes back."""
    pooling_of(model)  # says no in no time, where the other process would need seconds
    _log.warning("preparing the encoder %s: once, some 15 seconds", model.name)
    command = [sys.executable, "-m", "llmops.encoder.export", str(model.folder), str(draft)]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env=offline, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603  # our own module
    if done.returncode == 0:
        return
    raise _failure(model.name, draft, done)


def _failure(name: str, draft: Path, done: subprocess.CompletedProcess[str]) -> LLMOpsError:
    """The child's own words where it left some, else the end of what it said."""
    said = draft / "failure.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # it may have found no room for its own words
        failure = json.loads(said.read_bytes())
        kind = InvalidInput if failure["input"] else Unavailable
        return kind(f"the encoder {name!r} cannot be exported: {failure['message']}", hint=failure["hint"])
    if shutil.disk_usage(draft.parent).free < _LEAST_ROOM:
        return Unavailable(f"the encoder {name!r} could not be exported: the disk of {draft.parent} is full", hint=_ROOM)
    last = done.stderr.strip().rpartition("\n")[2] or "it said nothing"
    how = f"killed by signal {-done.returncode}" if done.returncode < 0 else f"exit {done.returncode}"
    return Unavailable(f"the encoder {name!r} could not be exported ({how}): {last}", hint='give it more memory, or set [encoder] backend = "torch"')
