"""The arrays of `py3langid`'s model, unpacked once for all processes of a machine.

Unpacking takes most of a second, and a process that has the files maps them, so that all share their memory.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from llmops.durable import sync
from llmops.settings import cache_folder

Arrays: TypeAlias = dict[str, NDArray[Any]]
_SUMS = "sums.json"


def arrays(packed: Path) -> Arrays:
    """The arrays of a model by name, of the cache where it has them whole. A cache without room or rights costs time only."""
    content = packed.read_bytes()
    place = cache_folder() / "language" / hashlib.sha256(content).hexdigest()[:16]
    with suppress(Exception):  # whatever is wrong with a copy, there is the original
        return _kept(place)
    with np.load(BytesIO(lzma.decompress(content)), allow_pickle=False) as model:
        unpacked = dict(model)
    with suppress(OSError):  # `Timeout`, where another process is writing them, is one too
        _keep(unpacked, place)
    return unpacked


def _kept(place: Path) -> Arrays:
    """What the cache has. Raises anything where that is not all of it, as it was written."""
    sums = json.loads((place / _SUMS).read_bytes())
    found: Arrays = {name: np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in sums}
    if {name: _sum(array) for name, array in found.items()} != sums:
        raise ValueError("not as it was written")
    return found


def _keep(unpacked: Arrays, place: Path) -> None:
    """Write the arrays in one step: who looks meanwhile finds nothing, or all of them."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock", timeout=0):
        draft = place.with_name(f"{place.name}.tmp")
        shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed
        try:
            draft.mkdir()
            for name, array in unpacked.items():
                np.save(draft / f"{name}.npy", array)
                sync(draft / f"{name}.npy")
            (draft / _SUMS).write_text(json.dumps({name: _sum(array) for name, array in unpacked.items()}))
            sync(draft / _SUMS)
            shutil.rmtree(place, ignore_errors=True)  # it is there only where it is no good
            draft.rename(place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _sum(array: NDArray[Any]) -> str:
    about = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(about + hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data).digest()).hexdigest()
