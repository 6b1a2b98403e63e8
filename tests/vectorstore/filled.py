"""A collection filled by rows alone: a chunk for each paragraph, with vectors at random. Nothing is parsed or embedded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from llmops.home import Home
from llmops.types import Vectors
from vectorstore.chunk import embedded_text, text_hash_of
from vectorstore.rows import collections, documents, vectors


def new_version(name: str, text: str, metadata: Mapping[str, Any] | None = None, acl: list[str] | None = None) -> documents.NewVersion:
    title = f"Page {name}"
    chunks, start = [], 0
    for paragraph in text.split("\n\n"):
        text_hash = text_hash_of(embedded_text(title, "", paragraph))
        chunks.append(documents.NewChunk(start, start + len(paragraph), None, "", text_hash))
        start += len(paragraph) + 2
    content_hash = hashlib.sha256(text.encode()).hexdigest()
    return documents.NewVersion(name, title, text, dict(metadata or {}), content_hash, hashlib.sha256(b"").hexdigest(), chunks, acl)


def random_vectors(home: Home, new: list[documents.NewVersion]) -> dict[bytes, Vectors]:
    """A vector of unit length for each chunk, by its text: the same text has the same one in every collection."""
    keys = [chunk.text_hash for version in new for chunk in version.chunks]
    found = {key: np.random.default_rng(list(key)).normal(size=home.encoder.dimension).astype(np.float32) for key in keys}
    return {key: vector / np.linalg.norm(vector) for key, vector in found.items()}


def fill(home: Home, name: str, new: list[documents.NewVersion], gone: list[str] | None = None) -> collections.Collection:
    """Publish these versions in one batch, and withdraw what is gone; returns the collection as it is then."""

    def publish(connection: Any) -> collections.Collection:
        found = collections.ensure(connection, "poc", name, home.encoder.identity)
        rows = {key: state.row for key, state in documents.states_of(connection, found.row, "api", gone or []).items()}
        batch = documents.Batch(ready={version.external_id: version for version in new}, gone=rows, blobs={hashlib.sha256(b"").hexdigest(): b""})
        vectors.keep(connection, found.encoder, random_vectors(home, new))
        documents.publish(connection, found, "api", batch)
        return collections.find(connection, "poc", name)

    return home.store.write(publish)
