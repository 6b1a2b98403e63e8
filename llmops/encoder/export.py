"""Export a sentence-transformers model to ONNX in int8: `python -m llmops.encoder.export MODEL_FOLDER TARGET_FOLDER`.

It runs in a process of its own and leaves model.onnx, tokenizer.json and card.json, or failure.json and exit 1. What it
leaves has been held against torch: the same tokens, and vectors whose cosine to torch's is at least `LEAST_COSINE`.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from sentence_transformers import SentenceTransformer

from llmops.encoder.cache import Export
from llmops.encoder.harmless import require_harmless
from llmops.encoder.onnx_int8 import OnnxEncoder
from llmops.encoder.pooling import INSTEAD, pooling_of
from llmops.encoder.scripts import scripts_of
from llmops.encoder.source import ModelFolder
from llmops.errors import InvalidInput, LLMOpsError, Unavailable
from llmops.sections import EncoderSettings

LEAST_COSINE = 0.95
_OPSET = 17
_READABLE = ("input_ids", "attention_mask", "token_type_ids")

_SENTENCES = (
    "Press the green button to start the server.",
    "Why?",
    "The treaty was signed in 1648, after thirty years of war, and it changed the map of Europe for good.",
    "def add(a, b): return a + b  # adds two numbers, e.g. add(2, 3) == 5",
    "Naïve café owners don't e-mail invoices of €1,299.50 at 9 p.m.; they wait\tuntil Monday.",
    "Mitochondria turn the energy of food into a form that the cell can use. " * 60,
)


class _States(torch.nn.Module):
    """The transformer alone: token ids in, the last layer's states out."""

    def __init__(self, model: torch.nn.Module, inputs: list[str]) -> None:
        super().__init__()
        self.model, self.inputs = model, inputs

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.model(**dict(zip(self.inputs, tensors, strict=True)), return_dict=True).last_hidden_state
        return states


def export(source: Path, target: Path) -> None:
    """Write the three files. Raises `InvalidInput` for a model of another make, `Unavailable` where the result is not good enough."""
    folder = ModelFolder(source.name, source)
    require_harmless(folder)  # the parent asked too, but these are the files that are loaded
    pooling = pooling_of(folder)
    options = {"attn_implementation": "eager", "dtype": torch.float32, "use_safetensors": True}
    model = SentenceTransformer(str(source), device="cpu", local_files_only=True, trust_remote_code=False, model_kwargs=options)
    model.eval()
    tokenizer = getattr(model.tokenizer, "backend_tokenizer", None)
    limit = model.max_seq_length
    if tokenizer is None:
        raise InvalidInput("its tokenizer has no tokenizer.json", hint=INSTEAD)
    if not limit or limit > 100_000 or model.truncate_dim:
        raise InvalidInput("it has no limit of tokens, or cuts its vectors", hint=INSTEAD)
    (target / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    inputs = _write_model(model, target)
    card: dict[str, Any] = {
        "dimension": model.get_embedding_dimension(),
        "max_tokens": int(limit),
        "pooling": pooling,
        "inputs": inputs,
        "prompts": dict(model.prompts),
        "scripts": sorted(scripts_of(tokenizer)),
        "made_with": {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__},
    }
    card["cosine"] = _verify(model, target, card)
    (target / "card.json").write_text(json.dumps(card, indent=1), encoding="utf-8")


def _write_model(model: SentenceTransformer, target: Path) -> list[str]:
    """Write model.onnx and return the names of its inputs.

    The exporter by tracing takes a third of the time of the one by torch.export, and what is served is as good and as
    fast. Weights are quantized by channel: by tensor, MiniLM's cosine to torch falls from 0.993 to 0.936.
    """
    sample = model.preprocess([_SENTENCES[0]])
    inputs = [name for name in _READABLE if name in sample]
    transformer: Any = model[0]
    whole = target / "float.onnx"
    axes = {name: {0: "texts", 1: "tokens"} for name in [*inputs, "states"]}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _States(transformer.auto_model, inputs),
            tuple(sample[name] for name in inputs),
            str(whole),
            input_names=inputs,
            output_names=["states"],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )
    quantize_dynamic(str(whole), str(target / "model.onnx"), weight_type=QuantType.QInt8, per_channel=True)
    whole.unlink()
    return inputs


def _verify(model: SentenceTransformer, target: Path, card: dict[str, Any]) -> dict[str, float]:
    """Least and mean cosine to torch over a few sentences; `Unavailable` below the floor or where the tokens differ."""
    plain = EncoderSettings(query_prefix="", passage_prefix="", threads=1)
    made = OnnxEncoder(Export("", "", (target / "model.onnx").read_bytes(), (target / "tokenizer.json").read_bytes(), card), plain)
    for sentence in _SENTENCES:
        expected = model.preprocess([sentence])["input_ids"][0].tolist()
        if made.encode(sentence).ids != expected:
            raise Unavailable(f"its tokens differ from those of torch for {sentence[:60]!r}", hint=INSTEAD)
    true = np.vstack([model.encode([sentence], prompt="", normalize_embeddings=True, show_progress_bar=False) for sentence in _SENTENCES])
    cosines = (true * made.embed(_SENTENCES)).sum(axis=1)
    if not cosines.min() >= LEAST_COSINE:  # so that NaN fails too
        raise Unavailable(f"in int8 its vectors are {cosines.min():.3f} near to torch's, and {LEAST_COSINE} is the least", hint=INSTEAD)
    return {"least": round(float(cosines.min()), 4), "mean": round(float(cosines.mean()), 4)}


def main(source: str, target: str) -> int:
    try:
        export(Path(source), Path(target))
    except Exception as failure:  # this is the edge: the parent reads what went wrong from the file
        known = isinstance(failure, LLMOpsError)
        message = str(failure) if known else f"{type(failure).__name__}: {str(failure).strip().partition(chr(10))[0]}"
        said = {
            "message": message,
            "hint": failure.hint if isinstance(failure, LLMOpsError) else INSTEAD,
            "input": isinstance(failure, InvalidInput),
        }
        (Path(target) / "failure.json").write_text(json.dumps(said), encoding="utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
