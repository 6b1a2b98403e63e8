"""Other models than the embedded one: from a folder, from the hub, with prefixes; and those that cannot be used."""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from llmops.encoder import load_encoder
from llmops.encoder.content import content_hash
from llmops.encoder.source import find_model
from llmops.errors import InvalidInput, LLMOpsError, UnknownName
from llmops.sections import EncoderSettings
from llmops.types import Embedder
from tests.llmops.tiny_models import PROMPTS, save_tiny

TEXTS = ["why?", "the start of the server and the end of it", "", "numbers 123 and (brackets)", "日本", "the " * 100]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as sentence-transformers saves it today: cls pooling, no Normalize, prompts."""
    return save_tiny(tmp_path_factory.mktemp("models") / "tiny", prompts=PROMPTS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_CACHE", str(cache))


def _copy(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target))


def _refused(name: object, backend: str = "onnx-int8") -> LLMOpsError:
    with pytest.raises(LLMOpsError) as refused:
        load_encoder(EncoderSettings(name=str(name), backend=backend))
    assert refused.value.hint, "every error names the way out"
    return refused.value


def test_a_model_in_a_folder_serves_in_int8_as_in_torch(folder: Path) -> None:
    exported = load_encoder(EncoderSettings(name=str(folder)))
    plain = load_encoder(EncoderSettings(name=str(folder), backend="torch"))
    assert re.fullmatch(r"tiny/onnx-int8/[0-9a-f]{12}\+[0-9a-f]{8}", exported.identity)
    assert re.fullmatch(r"tiny/torch/[0-9a-f]{12}\+[0-9a-f]{8}", plain.identity)
    assert exported.dimension == plain.dimension == 32
    for kind in ("query", "passage"):
        cosines = (exported.embed(TEXTS, kind) * plain.embed(TEXTS, kind)).sum(axis=1)
        assert cosines.min() > 0.95
    _reads_prefixes(exported, folder)
    _reads_prefixes(plain, folder)


def _reads_prefixes(encoder: Embedder, folder: Path) -> None:
    """The model's own prompts are used, a configured prefix wins over them, and an empty one is none."""
    backend = encoder.identity.split("/")[1]
    bare = load_encoder(EncoderSettings(name=str(folder), backend=backend, query_prefix="", passage_prefix=""))
    own = load_encoder(EncoderSettings(name=str(folder), backend=backend, query_prefix="the "))
    assert bare.identity == encoder.identity.partition("+")[0]
    assert len({bare.identity, own.identity, encoder.identity}) == 3
    assert np.array_equal(encoder.embed(["why?"], "query"), bare.embed(["query: why?"]))
    assert np.array_equal(encoder.embed(["why?"], "passage"), bare.embed(["passage: why?"], "query"))
    assert np.array_equal(own.embed(["why?"], "query"), bare.embed(["the why?"]))
    assert np.array_equal(own.embed(["why?"], "passage"), encoder.embed(["why?"], "passage"))


def test_by_torch_too_a_vector_does_not_depend_on_its_neighbours(folder: Path) -> None:
    encoder = load_encoder(EncoderSettings(name=str(folder), backend="torch"))
    alone = np.vstack([encoder.embed([text]) for text in TEXTS])
    assert np.array_equal(encoder.embed(TEXTS), alone)
    assert np.array_equal(encoder.embed(TEXTS[::-1]), alone[::-1])
    assert encoder.embed([]).shape == (0, 32)
    assert np.isfinite(encoder.embed(["\ud800", "\0", "x" * 100_000])).all()


def test_other_weights_or_settings_are_another_identity(folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder, tmp_path / "tiny")
    os.utime(copy / "model.safetensors", (1, 1))
    model = find_model(str(copy))
    first = content_hash(model, tmp_path)
    assert content_hash(find_model(str(folder)), tmp_path) == first, "content counts, not the place"
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    second = content_hash(model, tmp_path)
    (copy / "1_Pooling" / "config.json").write_text('{"pooling_mode": "mean"}')
    assert len({first, second, content_hash(model, tmp_path)}) == 3
    (copy / "README.md").write_text("words about the model")
    assert content_hash(model, tmp_path) == content_hash(model, tmp_path / "another")


@pytest.mark.parametrize(
    "name", ["", "/no/such/folder", "./models/x", "~nobody-here/x", "a/b/c", "name with spaces", "a\0b", "x" * 5000 + "/", "../up", "日本/語"]
)
def test_a_name_that_cannot_be_a_model(name: str) -> None:
    assert isinstance(_refused(name), UnknownName)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    assert "modules.json" in str(_refused(tmp_path))
    assert "modules.json" in str(_refused(tmp_path, "torch"))


def test_a_model_without_weights(folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder, tmp_path / "tiny")
    (copy / "model.safetensors").unlink()
    assert "no weights" in str(_refused(copy))


@pytest.mark.parametrize("modules", ["", "{}", "[]", "[1]", '[{"type": "x.Transformer"}]'])
def test_a_broken_list_of_modules(folder: Path, tmp_path: Path, modules: str) -> None:
    copy = _copy(folder, tmp_path / "tiny")
    (copy / "modules.json").write_text(modules)
    error = _refused(copy)
    assert isinstance(error, InvalidInput) and "modules.json" in str(error)


def test_a_model_that_cannot_be_exported_names_the_other_backend(tmp_path: Path) -> None:
    dense = save_tiny(tmp_path / "dense", dense=True)
    error = _refused(dense)
    assert "Dense" in str(error) and 'backend = "torch"' in error.hint
    assert load_encoder(EncoderSettings(name=str(dense), backend="torch")).embed(TEXTS).shape == (len(TEXTS), 16)


@pytest.mark.parametrize("pooling", [{"pooling_mode": "lasttoken"}, {"pooling_mode": ["mean", "max"]}, {"pooling_mode_max_tokens": True}, {}, []])
def test_a_pooling_that_cannot_be_exported_names_the_other_backend(folder: Path, tmp_path: Path, pooling: object) -> None:
    copy = _copy(folder, tmp_path / "tiny")
    (copy / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    assert isinstance(_refused(copy), InvalidInput)


def test_broken_weights_are_one_clear_error(folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder, tmp_path / "tiny")
    (copy / "model.safetensors").write_bytes(b"no weights at all")
    for backend in ("onnx-int8", "torch"):
        error = _refused(copy, backend)
        assert "'tiny'" in str(error) and "\n" not in str(error)


# --- The hub ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(folder: Path) -> Iterator[str]:
    """A hub on loopback with one model, `someone/tiny`, and an export to another runtime that nobody should fetch."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    files["onnx/model.json"] = b"{}"

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            base = "/someone/tiny/resolve/"
            if path.startswith("/api/models/someone/tiny"):
                listing = {"id": "someone/tiny", "sha": commit, "siblings": [{"rfilename": name} for name in files]}
                tree = [{"type": "file", "path": name, "size": len(content), "oid": "0" * 40} for name, content in files.items()]
                self._answer(200, json.dumps(tree if "/tree/" in path else listing).encode())
            elif path.startswith(base) and (name := path.removeprefix(base).partition("/")[2]) in files:
                assert not name.startswith("onnx/")
                self._answer(200, files[name])
            else:
                self._answer(404, b"{}", "RepoNotFound")

        def do_HEAD(self) -> None:
            self.do_GET()

        def _answer(self, status: int, body: bytes, error: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.send_header("ETag", f'"{hash(body) & 0xFFFFFFFF:08x}"')
            self.send_header("X-Repo-Commit", commit)
            if error:
                self.send_header("X-Error-Code", error)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_model_of_the_hub_is_fetched_once(hub: str, folder: Path, tmp_path: Path) -> None:
    program = """
import sys
from llmops.encoder.source import find_model
from llmops.errors import LLMOpsError
try:
    print(find_model(sys.argv[1]).folder)
except LLMOpsError as error:
    print(type(error).__name__, error, "|", error.hint)
"""

    def find(name: str, endpoint: str, offline: str = "0") -> str:
        ours = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": offline, "HF_HUB_DISABLE_XET": "1"}
        return subprocess.run(
            [sys.executable, "-c", program, name], capture_output=True, text=True, env={**os.environ, **ours}, check=True
        ).stdout.strip()

    fetched = Path(find("someone/tiny", hub))
    assert (fetched / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert not (fetched / "onnx").exists()
    assert content_hash(find_model(str(fetched)), tmp_path / "a") == content_hash(find_model(str(folder)), tmp_path / "b")
    nowhere = "http://127.0.0.1:9"
    assert find("someone/tiny", nowhere) == str(fetched), "the second time needs no network"
    assert find("someone/else", hub).startswith("UnknownName")
    for failed in (find("someone/else", nowhere), find("someone/else", hub, offline="1")):
        assert failed.startswith("Unavailable the encoder 'someone/else' is not on this machine")
        assert "'minilm' needs no network" in failed
