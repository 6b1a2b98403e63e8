"""A home: its settings, and the store and the encoder that they describe, each opened when first asked for."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from llmops.errors import InvalidInput
from llmops.settings import Settings

if TYPE_CHECKING:
    from llmops.store.store import Store
    from llmops.types import Embedder


def make_home(folder: Path) -> None:
    """Make the folder of a home, for its owner alone. Raises `InvalidInput` where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as failure:
        raise InvalidInput(f"the home {folder} cannot be made: {failure.strerror}", hint="set LLMOPS_HOME to a folder that can be written") from None


class Home:
    """What every command and every server process works on. Close it, or use it as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._opening = threading.Lock()
        self._store: Store | None = None
        self._encoder: Embedder | None = None

    @property
    def store(self) -> Store:
        with self._opening:
            if self._store is None:
                from llmops.store.opening import open_store

                make_home(self.settings.home)
                self._store = open_store(self.settings)
            return self._store

    @property
    def encoder(self) -> Embedder:
        with self._opening:
            if self._encoder is None:
                from llmops.encoder import load_encoder

                self._encoder = load_encoder(self.settings.encoder)
            return self._encoder

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def __enter__(self) -> Home:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
