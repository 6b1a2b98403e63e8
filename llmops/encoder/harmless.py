"""Whether a model's folder is tensors and JSON and nothing that runs. It is asked before anything else reads the folder.

Refused are: weights that are pickles alone, code that a configuration names (`auto_map`), steps that are no class of
sentence-transformers, steps outside the folder, and adapters, which name another model to load.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from llmops.encoder.source import ModelFolder
from llmops.errors import InvalidInput

_STEP = re.compile(r"sentence_transformers(\.[a-z_]+)+\.(Transformer|Pooling|Normalize|Dense|LayerNorm|Dropout|WeightedLayerPooling|StaticEmbedding)")
"""No `Router`: its own file names further classes."""
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"}
_NOT_WEIGHTS = {"training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"}
_NAMES_CODE = frozenset({"auto_map", "trust_remote_code", "custom_pipelines"})
_LARGEST_JSON = 64 * 1024 * 1024
_DO = "save the model with a current sentence-transformers, which writes model.safetensors, and give that folder"


def require_harmless(model: ModelFolder) -> None:
    """Raises `InvalidInput` for a folder with anything in it that would run when it is loaded."""
    for module in model.modules():
        path = PurePosixPath(module["path"])
        if path.is_absolute() or ".." in path.parts or "\\" in module["path"] or "\0" in module["path"]:
            raise _refused(model, f"modules.json names a step outside its folder: {module['path'][:100]!r}")
        if not _STEP.fullmatch(module["type"]):
            raise _refused(model, f"modules.json names a class that is not known here: {module['type'][:100]!r}")
    for folder in _folders(model):
        files = [file for file in folder.iterdir() if file.is_file()]
        if any(file.name.startswith("adapter_config") for file in files):
            raise _refused(model, "it is an adapter, which names another model to load", "merge it into its model and save that")
        pickles = [file.name for file in files if file.suffix.lower() in _PICKLES and file.name not in _NOT_WEIGHTS]
        if pickles and not any(file.suffix == ".safetensors" for file in files):
            raise _refused(model, f"its weights are a pickle ({sorted(pickles)[0]}), which can run code; only safetensors are read")
        for file in files:
            if file.suffix.lower() == ".json" and (name := _code_named(model, file)):
                raise _refused(model, f"{file.relative_to(model.folder)} has {name!r}: it names code beside the model, and none of that runs here")


def _folders(model: ModelFolder) -> list[Path]:
    folders = [model.folder, *(model.folder / module["path"] for module in model.modules())]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _code_named(model: ModelFolder, file: Path) -> str:
    """The key of a configuration that names code, "" where there is none."""
    if file.name.startswith("tokenizer.") or file.name.startswith("vocab"):
        return ""  # lists of tokens, where any word may stand; Rust reads them
    try:
        if file.stat().st_size > _LARGEST_JSON:
            raise _refused(model, f"{file.name} is larger than any configuration")
        value = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return ""  # whoever needs it says what is wrong with it
    except RecursionError:
        raise _refused(model, f"{file.name} is nested too deeply") from None
    return next((key for key, inner in _items(value) if inner and (key in _NAMES_CODE or _is_kernel(key, inner))), "")


def _is_kernel(key: str, value: Any) -> bool:
    """Whether it names a way to attend that would be fetched from the hub, as code."""
    return key.endswith("attn_implementation") and "/" in str(value)


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one.items()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _refused(model: ModelFolder, why: str, hint: str = _DO) -> InvalidInput:
    return InvalidInput(f"the encoder {model.name!r} is refused: {why}", hint=hint)
