"""The embedded encoder as it serves: exact, alone or in company, and without torch."""

import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from llmops.encoder import load_encoder
from llmops.encoder.onnx_int8 import OnnxEncoder
from llmops.errors import InvalidInput
from llmops.sections import EncoderSettings
from llmops.testing import HashEncoder

TEXTS = [
    "How do I start the server?",
    "Press the green button to start the server. " * 12,
    "",
    "Why?",
    "naïve café — €12.50",
    "サーバーを起動するには、緑のボタンを押します。",
    "def add(a, b):\n    return a + b",
    "a" * 3000,
    "The cell's mitochondria turn food into energy. " * 40,
    "\U0001f600\U0001f680",
    "The treaty was signed in 1648.",
    "Wer hat den Vertrag unterschrieben?",
]


@pytest.fixture(scope="module")
def minilm() -> OnnxEncoder:
    encoder = load_encoder(EncoderSettings())
    assert isinstance(encoder, OnnxEncoder)
    return encoder


def test_a_vector_does_not_depend_on_its_neighbours(minilm: OnnxEncoder) -> None:
    alone = {text: minilm.embed([text])[0].tobytes() for text in TEXTS}
    orders = [TEXTS, TEXTS[::-1], TEXTS * 2, *(random.Random(seed).sample(TEXTS, len(TEXTS)) for seed in range(3))]
    for order in orders:
        assert [row.tobytes() for row in minilm.embed(order)] == [alone[text] for text in order]


def test_a_vector_does_not_depend_on_threads(minilm: OnnxEncoder) -> None:
    alone = np.vstack([minilm.embed([text]) for text in TEXTS])
    with ThreadPoolExecutor(4) as callers:
        found = list(callers.map(lambda _: minilm.embed(TEXTS), range(8)))
    assert all(np.array_equal(vectors, alone) for vectors in found)
    for threads in (1, 3):
        assert np.array_equal(load_encoder(EncoderSettings(threads=threads)).embed(TEXTS), alone)


def test_vectors_are_unit_and_near_in_meaning(minilm: OnnxEncoder) -> None:
    vectors = minilm.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), minilm.dimension) == (len(TEXTS), 384) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    query = minilm.embed(["turning the machine on"], "query")[0]
    near, far = minilm.embed(["Press the green button to start the device.", "The treaty was signed in 1648."])
    assert query @ near > query @ far + 0.2


def test_identity_and_scripts(minilm: OnnxEncoder) -> None:
    name, backend, weights = minilm.identity.split("/")
    assert (name, backend) == ("minilm", "onnx-int8")
    assert len(weights) == 12 and int(weights, 16)
    assert minilm.scripts == {"latin"}
    assert load_encoder(EncoderSettings()).identity == minilm.identity


def test_a_configured_prefix_is_read_and_named_in_the_identity(minilm: OnnxEncoder) -> None:
    prefixed = load_encoder(EncoderSettings(query_prefix="search for: "))
    assert prefixed.identity.startswith(minilm.identity + "+")
    assert np.array_equal(prefixed.embed(["a server"], "query"), minilm.embed(["search for: a server"]))
    assert np.array_equal(prefixed.embed(["a server"], "passage"), minilm.embed(["a server"]))


def test_serving_imports_no_torch_and_starts_fast(minilm: OnnxEncoder) -> None:
    program = """
import sys, time
start = time.perf_counter()
from llmops.encoder import load_encoder
from llmops.sections import EncoderSettings
load_encoder(EncoderSettings()).embed(["one", "two"])
print(time.perf_counter() - start)
print([name for name in ("torch", "transformers", "sentence_transformers", "onnx", "huggingface_hub") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ), check=True)
    seconds, imported = done.stdout.splitlines()
    assert imported == "[]"
    assert float(seconds) < 5  # 0.4 on an idle machine


@pytest.mark.parametrize("text", ["", " \n\t", "\0", "\ud800", "x \udfff y", "\U0001f600" * 50, "\u200b\ufeff", "\u0301" * 500, "-" * 5000])
def test_odd_texts_get_a_unit_vector(minilm: OnnxEncoder, text: str) -> None:
    vector = minilm.embed([text])[0]
    assert np.isfinite(vector).all() and abs(float(np.linalg.norm(vector)) - 1) < 1e-5


def test_two_halves_of_a_surrogate_pair_are_one_character(minilm: OnnxEncoder) -> None:
    assert np.array_equal(minilm.embed(["\ud83d\ude00 smile"]), minilm.embed(["\U0001f600 smile"]))


def test_no_texts_no_vectors(minilm: OnnxEncoder) -> None:
    assert minilm.embed([]).shape == (0, 384)
    assert minilm.embed([]).dtype == np.float32


@pytest.mark.parametrize("texts", ["one text", [None], ["good", 7], [b"bytes"]])
def test_what_is_not_a_list_of_strings_is_refused(minilm: OnnxEncoder, texts: list[str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        minilm.embed(texts)
    assert refused.value.hint


@pytest.mark.parametrize("text", ["hello world " * 90_000, "日本語" * 400_000, "a" * 1_000_000, " " * 1_000_000 + "end", "ab " + "é" * 500_000])
def test_a_megabyte_is_read_up_to_the_limit_in_no_time(minilm: OnnxEncoder, text: str) -> None:
    start = time.perf_counter()
    vector = minilm.embed([text])[0]
    assert time.perf_counter() - start < 5  # all of the Japanese would take ten seconds
    assert abs(float(np.linalg.norm(vector)) - 1) < 1e-5


@pytest.mark.parametrize(
    "text", ["hello brave world, " * 2000, "日本語、のテキスト。" * 2000, "abc" * 6000 + " def" * 3000, " " * 9000 + "late words " * 900]
)
def test_the_head_of_a_long_text_has_the_tokens_of_the_whole(minilm: OnnxEncoder, text: str) -> None:
    whole = minilm._tokenizer.encode(text)
    assert minilm.encode(text).ids == whole.ids
    assert len(whole.ids) <= 256


def test_the_hash_encoder_needs_no_model() -> None:
    encoder = HashEncoder()
    vectors = encoder.embed([*TEXTS, "\ud800", "start the server", "starting servers"])
    assert vectors.shape == (len(TEXTS) + 3, 64) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(encoder.embed([TEXTS[0]], "query")[0], vectors[0])
    assert vectors[-1] @ vectors[-2] > 0.5
    assert encoder.embed([]).shape == (0, 64)
    with pytest.raises(InvalidInput):
        encoder.embed("text")
