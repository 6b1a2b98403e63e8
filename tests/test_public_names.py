"""A package that offers names says which: in `__all__` (which ruff keeps sorted), each there."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from tests.test_layers import MAY_IMPORT, ROOT

PACKAGES = sorted(path for room in MAY_IMPORT for path in (ROOT / room).rglob("__init__.py"))


def offered(tree: ast.Module, package: str) -> set[str]:
    """The public names that a package defines, or takes from its own modules to pass on."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith(package + ".")):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.parent.relative_to(ROOT).as_posix())
def test_public_names(path: Path) -> None:
    name = ".".join(path.parent.relative_to(ROOT).parts)
    package = importlib.import_module(name)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "a package says in its docstring what it is"
    exported = getattr(package, "__all__", [])
    assert offered(tree, name) <= set(exported), "public names that __all__ does not list"
    assert all(hasattr(package, public) for public in exported)
