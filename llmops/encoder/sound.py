"""Whether what an encoder gave are vectors. One that is broken must not fill the store, nor make every score NaN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from llmops.errors import Unavailable
from llmops.types import TextKind

if TYPE_CHECKING:
    from llmops.types import Embedder, Vectors

_LENGTH_TOLERANCE = 0.01


class BadVector(Unavailable):
    """An encoder gave something that is no unit vector of its dimension, nor the zero vector of a text without a token."""

    code = "bad_vector"


def embed(encoder: Embedder, texts: Sequence[str], kind: TextKind = "passage") -> Vectors:
    """The encoder's vectors for the texts, all of them sound. Raises `BadVector` that names what is wrong with the first that is not."""
    vectors = np.asarray(encoder.embed(texts, kind))
    if vectors.shape != (len(texts), encoder.dimension) or vectors.dtype.kind != "f":
        raise _bad(encoder, f"gave {vectors.dtype} of shape {vectors.shape} for {len(texts)} texts, and its dimension is {encoder.dimension}")
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not np.isfinite(lengths).all():
        raise _bad(encoder, "gave a vector with NaN or infinity in it")
    off = (np.abs(lengths - 1) > _LENGTH_TOLERANCE) & (lengths > 0)
    if off.any():
        raise _bad(encoder, f"gave a vector of length {lengths[off][0]:.3g} in place of 1")
    return vectors


def _bad(encoder: Embedder, what: str) -> BadVector:
    return BadVector(f"the encoder {encoder.identity!r} {what}", hint="fetch or save the model again, or name another in [encoder]")
