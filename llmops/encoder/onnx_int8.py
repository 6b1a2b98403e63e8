"""The encoder that serves: ONNX Runtime, int8, one text at a time. It imports no torch.

Dynamic int8 takes the scale of its activations from all that is in a batch, so a text's vector would depend on its
neighbours: the same text alone and in a batch were seen 0.99 apart by cosine. One text at a time, unpadded, is exact,
and with one thread for each core it is also the fastest way.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from tokenizers import Encoding, Tokenizer

from llmops.encoder.prefixes import prefixes_of
from llmops.encoder.texts import well_formed
from llmops.types import TextKind

if TYPE_CHECKING:
    from llmops.encoder.cache import Export
    from llmops.sections import EncoderSettings
    from llmops.types import Vectors

QUERIES = 128
"""So many queries keep their vectors: a question that is searched for is compared with sentences right after."""


class OnnxEncoder:
    """An `Embedder` over an export. Threads may share it: the session keeps nothing between two texts."""

    def __init__(self, export: Export, settings: EncoderSettings, languages: frozenset[str] = frozenset()) -> None:
        card = export.card
        self._prefixes = prefixes_of(settings, card["prompts"])
        self.identity = f"{export.name}/onnx-int8/{export.key[:12]}{self._prefixes.suffix}"
        self.dimension = int(card["dimension"])
        self.scripts, self.languages = frozenset(card["scripts"]), languages
        self._tokens = int(card["max_tokens"])
        self._mean = card["pooling"] == "mean"
        self._inputs: list[str] = card["inputs"]
        self._tokenizer = Tokenizer.from_buffer(export.tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self._tokens)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # a call then runs in its caller's thread
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(export.model, options, providers=["CPUExecutionProvider"])
        self._pool = ThreadPoolExecutor(settings.threads or cores(), thread_name_prefix="encoder")
        self._query = lru_cache(maxsize=QUERIES)(self._vector)

    def embed(self, texts: Sequence[str], kind: TextKind = "passage") -> Vectors:
        """Unit vectors, float32, shape (len(texts), dimension). A text is read up to the model's token limit.

        A text of which the tokenizer makes no token at all has the zero vector, which is near nothing.
        """
        prefix, vector = self._prefixes.of(kind), self._query if kind == "query" else self._vector
        whole = [prefix + text for text in well_formed(texts)]
        vectors = np.zeros((len(whole), self.dimension), dtype=np.float32)
        rows = self._pool.map(vector, whole) if len(whole) > 1 else map(vector, whole)
        for place, row in enumerate(rows):
            vectors[place] = row
        return vectors

    def _vector(self, text: str) -> Vectors:
        encoding = self.encode(text)
        if not encoding.ids:
            return np.zeros(self.dimension, dtype=np.float32)
        given = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask, "token_type_ids": encoding.type_ids}
        states = self._session.run(None, {name: np.array([given[name]], dtype=np.int64) for name in self._inputs})[0][0]
        vector: Vectors = states.mean(axis=0) if self._mean else states[0]
        return vector / max(float(np.linalg.norm(vector)), 1e-12)

    def encode(self, text: str) -> Encoding:
        """The tokens of a text, cut at the model's limit.

        Only the head of a long text is tokenized: 1 MB of Japanese takes seconds, its first 256 tokens some milliseconds.
        What is kept lies in the first half of the head, so that where the head ends decides nothing.
        """
        size = 16 * self._tokens
        while True:
            encoding = self._tokenizer.encode(text[:size])
            kept = max((end for _, end in encoding.offsets), default=size)
            if size >= len(text) or (encoding.overflowing and kept <= size // 2):
                return encoding
            size *= 4


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
