"""Texts that wait for their vectors, each embedded once by each encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from llmops.encoder.sound import BadVector, embed
from vectorstore.chunk import text_hash_of
from vectorstore.rows import vectors

if TYPE_CHECKING:
    from llmops.store.store import Store
    from llmops.types import Embedder, Vectors


class WaitingTexts:
    """Add texts, then `embed` them all. `bad` says, by a text's hash, why it has no vector."""

    def __init__(self, store: Store, encoder: Embedder) -> None:
        self._store, self._encoder = store, encoder
        self._texts: dict[bytes, str] = {}
        self.bad: dict[bytes, str] = {}

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, text: str) -> bytes:
        """The hash under which the text's vector will be kept."""
        key = text_hash_of(text)
        self._texts[key] = text
        return key

    def embed(self, go_on: Callable[[], None]) -> None:
        """Give every text that waits its vector; what has one already keeps it. `go_on` is called before the encoder works."""
        store, encoder = self._store, self._encoder
        wanted = sorted(store.read(lambda c: vectors.missing(c, encoder.identity, self._texts)))
        if wanted:
            go_on()
            found = self._vectors_of(wanted)
            store.write(lambda c: vectors.keep(c, encoder.identity, found))
        self._texts.clear()

    def _vectors_of(self, wanted: list[bytes]) -> dict[bytes, Vectors]:
        """Where the encoder fails at one text, only that one has no vector: each is then asked for alone."""
        encoder = self._encoder
        try:
            return dict(zip(wanted, embed(encoder, [self._texts[key] for key in wanted]), strict=True))
        except BadVector:
            found = {}
        for key in wanted:
            try:
                found[key] = embed(encoder, [self._texts[key]])[0]
            except BadVector as failure:
                self.bad[key] = str(failure)
        return found
