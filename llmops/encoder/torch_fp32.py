"""The encoder by torch: any sentence-transformers model, on a GPU where there is one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers.utils.logging import disable_progress_bar

from llmops.encoder.content import content_hash
from llmops.encoder.languages import languages_of
from llmops.encoder.prefixes import prefixes_of
from llmops.encoder.scripts import scripts_of
from llmops.encoder.texts import well_formed
from llmops.errors import InvalidInput
from llmops.settings import cache_folder
from llmops.text import SCRIPTS
from llmops.types import TextKind

if TYPE_CHECKING:
    from llmops.encoder.source import ModelFolder
    from llmops.sections import EncoderSettings
    from llmops.types import Vectors


class TorchEncoder:
    """An `Embedder` over sentence-transformers. One text at a time: in a batch, padding moves the last bits of a vector."""

    def __init__(self, model: ModelFolder, settings: EncoderSettings) -> None:
        disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it without types
        try:
            options = {"dtype": torch.float32, "use_safetensors": True}
            self._model = SentenceTransformer(str(model.folder), local_files_only=True, trust_remote_code=False, model_kwargs=options)
        except Exception as failure:  # whatever a broken folder makes torch, transformers and the tokenizer raise
            reason = str(failure).strip().partition("\n")[0]
            raise InvalidInput(f"the encoder {model.name!r} cannot be loaded: {reason}", hint="fetch or save the model again") from failure
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self._prefixes = prefixes_of(settings, self._model.prompts)
        self.identity = f"{model.name}/torch/{content_hash(model, cache_folder() / 'encoder')[:12]}{self._prefixes.suffix}"
        self.dimension = int(self._model.get_embedding_dimension() or self._vector("", "").size)
        tokenizer: Any = getattr(self._model.tokenizer, "backend_tokenizer", None)
        self.scripts = SCRIPTS if tokenizer is None else scripts_of(tokenizer)
        self.languages = languages_of(settings, model)
        self._one_at_a_time = threading.Lock()  # the tokenizers of transformers are not to be shared by threads

    def embed(self, texts: Sequence[str], kind: TextKind = "passage") -> Vectors:
        """Unit vectors, float32, shape (len(texts), dimension). A text is read up to the model's token limit."""
        prefix = self._prefixes.of(kind)
        whole = well_formed(texts)
        vectors = np.zeros((len(whole), self.dimension), dtype=np.float32)
        for place, text in enumerate(whole):
            with self._one_at_a_time:
                vectors[place] = self._vector(text, prefix)
        return vectors

    def _vector(self, text: str, prefix: str) -> Vectors:
        vector: Vectors = self._model.encode([text], prompt=prefix, normalize_embeddings=True, show_progress_bar=False)[0]
        return vector
