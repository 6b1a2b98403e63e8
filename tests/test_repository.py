"""What must not be in the tree: paths of a machine, addresses of package indexes, data, modules of more than one idea."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.test_layers import ROOT

LONGEST = 400
LARGEST = 512 * 1024
SELF = "tests/test_repository.py"

MACHINE = re.compile(r"(?<![\w./-])/(?:work|root|home|Users|opt/pypi|opt/wheels|tmp/env)\d*/")
INDEX = re.compile(r"pypi\.org|pythonhosted\.org|download\.pytorch\.org|--(?:extra-)?index-url|--find-links|registry\.npmjs|mirrors?\.[a-z]+\.[a-z]+")
DATA = {
    ".parquet",
    ".arrow",
    ".npz",
    ".npy",
    ".pkl",
    ".pickle",
    ".safetensors",
    ".onnx",
    ".bin",
    ".db",
    ".sqlite",
    ".gz",
    ".zip",
    ".zst",
    ".whl",
    ".pt",
}


def tracked() -> list[Path]:
    """The files that git holds or would hold."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]


def texts() -> list[tuple[str, str]]:
    found = []
    for path in tracked():
        try:
            found.append((path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return [(name, text) for name, text in found if name != SELF]


@pytest.mark.parametrize("what", [MACHINE, INDEX], ids=["machine paths", "package indexes"])
def test_no_file_names(what: re.Pattern[str]) -> None:
    found = [f"{name}: {match.group()}" for name, text in texts() for match in what.finditer(text)]
    assert not found, "\n".join(found)


def test_no_data_in_the_tree() -> None:
    wrong = [path.relative_to(ROOT).as_posix() for path in tracked() if path.suffix in DATA or path.stat().st_size > LARGEST]
    assert not wrong, "\n".join(wrong)


def test_a_module_holds_one_idea() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in tracked()
        if path.suffix == ".py" and "versions" not in path.parts and (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST
    }
    assert not long


def test_every_module_says_what_it_is() -> None:
    silent = [
        path.relative_to(ROOT).as_posix()
        for path in tracked()
        if path.suffix == ".py" and path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent
