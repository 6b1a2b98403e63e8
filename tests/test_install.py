"""The installation is the one that was tested: pins, files that run by themselves, licences."""

from __future__ import annotations

import re
import site
import sys
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.test_layers import ROOT

TOOLS = {"pip", "wheel"}
BY_THE_BUILD_OF_TORCH = re.compile(r"nvidia-.*|triton|cuda-.*")  # a build for GPUs brings them at exact versions of its own
PTH = re.compile(r"__editable__\.llmops-.*\.pth|distutils-precedence\.pth|_virtualenv\.pth")
FORBIDDEN = {"litellm", "pysqlite3-binary", "pymupdf", "extract-msg"}

COPYLEFT = re.compile(r"\b[AL]?GPL|General Public|\bSSPL|\bBUSL|Business Source|\bCC-BY-NC|Commons Clause", re.IGNORECASE)
# Why each is all right stands in docs/decisions/001-dependencies.md.
LIBRARY_COPYLEFT = {"psycopg", "psycopg-binary"}
READ_BY_HAND = {"huey": "MIT", "pysqlite3": "Zlib", "skops": "MIT"}  # their metadata name no licence


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonicalize_name(name): version for line in lines if not line.startswith("#") for name, version in [line.split("==")]}


def installed() -> dict[str, Distribution]:
    """What pip put here; not what Ray carries within itself, and shows to everybody once it is imported."""
    carried = "thirdparty_files"
    return {canonicalize_name(found.name): found for found in distributions() if Path(str(found.locate_file(""))).name != carried}


def needed() -> dict[str, Distribution]:
    """Every distribution that this one needs, with those of its extras that are installed."""
    have, needed, waiting = installed(), {}, [("llmops", frozenset(["dev", "postgres", "ragas", "ray", "tuning"]))]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen or name not in have:
            continue
        seen.add((name, extras))
        needed[name] = have[name]
        for requirement in map(Requirement, have[name].requires or []):
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras or {""}):
                waiting.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    del needed["llmops"]
    return needed


def test_t36_every_distribution_is_pinned_at_its_version() -> None:
    pins = constraints()
    # In the project's own environment whatever else is installed counts too.
    checked = installed() if Path(sys.prefix) == ROOT / ".venv" else needed()
    drift = []
    for name, found in checked.items():
        if name in TOOLS | {"llmops"} or BY_THE_BUILD_OF_TORCH.fullmatch(name):
            continue
        if pins.get(name) != found.version.split("+")[0]:
            drift.append(f"{name} {found.version} is installed, constraints.txt says {pins.get(name, 'nothing')}")
    assert len(checked) > 150
    assert not drift, "\n".join(drift)


def test_t36_constraints_are_exact_versions_and_nothing_else() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert not [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line)]
    assert lines == sorted(set(lines), key=str.casefold)


def test_t36_every_requirement_of_the_project_is_pinned() -> None:
    pins = constraints()
    missing = {canonicalize_name(Requirement(line).name) for line in distribution("llmops").requires or []} - pins.keys() - {"llmops"}
    assert not missing


def test_t36_no_file_runs_by_itself() -> None:
    """A `.pth` file runs at every start of Python: in 2026 one stole keys."""
    folders = {Path(folder) for folder in [*site.getsitepackages(), *(path for path in sys.path if path.endswith("site-packages"))]}
    strange = [path for folder in folders for path in folder.glob("*.pth") if not PTH.fullmatch(path.name)]
    strange += [path for folder in folders for name in ("sitecustomize.py", "usercustomize.py") if (path := folder / name).exists()]
    assert not strange


def test_t36_nothing_forbidden_is_installed() -> None:
    assert not FORBIDDEN & installed().keys()
    assert not FORBIDDEN & constraints().keys()


def test_t36_licences() -> None:
    silent, copyleft = [], []
    for name, found in needed().items():
        stated = [found.metadata.get("License-Expression") or "", (found.metadata.get("License") or "").split("\n")[0][:200]]
        stated += [line for line in found.metadata.get_all("Classifier") or [] if line.startswith("License")]
        if not any(text and text != "License :: OSI Approved" for text in stated) and name not in READ_BY_HAND:
            silent.append(name)
        if any(COPYLEFT.search(text) for text in stated) and name not in LIBRARY_COPYLEFT:
            copyleft.append(f"{name}: {stated}")
    assert not silent, "read their licences and add them to READ_BY_HAND"
    assert not copyleft


def test_t36_library_copyleft_is_explained() -> None:
    reasons = (ROOT / "docs/decisions/001-dependencies.md").read_text()
    assert not [name for name in LIBRARY_COPYLEFT | READ_BY_HAND.keys() | FORBIDDEN if f"`{name}`" not in reasons]


def test_t36_no_script_of_ours_runs_at_installation() -> None:
    assert not (ROOT / "setup.py").exists()
