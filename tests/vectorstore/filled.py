"""A collection filled by rows alone: documents of one chunk each, with vectors at random. Nothing is parsed or embedded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from llmops.home import Home
from llmops.types import Vectors
from vectorstore.chunk import embedded_text
from vectorstore.rows import collections, documents, vectors


def new_version(name: str, text: str, metadata: Mapping[str, Any] | None = None) -> documents.NewVersion:
    title = f"Page {name}"
    text_hash = hashlib.sha256(embedded_text(title, "", text).encode()).digest()
    chunk = documents.NewChunk(0, len(text), None, "", text_hash)
    content_hash = hashlib.sha256(text.encode()).hexdigest()
    return documents.NewVersion(name, title, text, dict(metadata or {}), content_hash, hashlib.sha256(b"").hexdigest(), [chunk])


def random_vectors(home: Home, new: list[documents.NewVersion]) -> dict[bytes, Vectors]:
    """A vector of unit length for each version's chunk."""
    random = np.random.default_rng(0)
    found = {version.chunks[0].text_hash: random.normal(size=home.encoder.dimension).astype(np.float32) for version in new}
    return {key: vector / np.linalg.norm(vector) for key, vector in found.items()}


def fill(home: Home, name: str, new: list[documents.NewVersion]) -> collections.Collection:
    """Publish these versions in one batch; returns the collection as it is then."""
    batch = documents.Batch(ready={version.external_id: version for version in new}, blobs={new[0].blob_hash: b""})

    def publish(connection: Any) -> collections.Collection:
        found = collections.ensure(connection, "poc", name, home.encoder.identity)
        vectors.keep(connection, found.encoder, random_vectors(home, new))
        documents.publish(connection, found, "api", batch)
        return collections.find(connection, "poc", name)

    return home.store.write(publish)
