"""The pages of `docs/` that are made from the code: `python -m tests.pages` writes them."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
_FAULTS = """\
# Faults

What was tried to break this system, and the files whose tests prove that it holds: the test of T34 has `t34` in its name.
Made from the names of the tests by `make docs`.

| id | what holds | proved in |
|---|---|---|
"""
_ROUTES = re.compile(r"(?<=<!-- routes: made by `make docs` -->\n).*?(?=<!-- end of routes -->)", re.DOTALL)
_MATRIX = re.compile(r"(?<=<!-- matrix: made by `make docs` -->\n).*?(?=<!-- end of matrix -->)", re.DOTALL)
_TEST = re.compile(r"^ *(?:async )?def (test_((?:t\d\d_)+)\w+)", re.MULTILINE)


def proofs() -> dict[str, list[str]]:
    """For each fault the files whose tests prove it, below `tests/`."""
    found = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for _, faults in _TEST.findall(path.read_text(encoding="utf-8")):
            for fault in faults.strip("_").split("_"):
                found[fault.upper()].append(path.relative_to(ROOT / "tests").as_posix())
    return {fault: sorted(set(files)) for fault, files in found.items()}


def definitions() -> dict[str, str]:
    return tomllib.loads((ROOT / "docs/faults.toml").read_text(encoding="utf-8"))


def render_faults() -> str:
    """The table of faults that at least one test proves."""
    proved = proofs()
    rows = []
    for fault, holds in sorted(definitions().items()):
        if fault in proved:
            files = ", ".join(f"[{file.removesuffix('.py')}](../tests/{file})" for file in proved[fault])
            rows.append(f"| {fault} | {holds} | {files} |\n")
    return _FAULTS + "".join(rows)


def render_http(page: str) -> str:
    """The page with its table of routes written anew."""
    from server.app import DOORS

    rows = ["\n| route | permission | what it does |\n|---|---|---|\n"]
    for route in (route for door in DOORS for route in door.routes):
        told = (route.endpoint.__doc__ or "").split("\n")[0]
        permission = f"`{route.permission}`" if route.permission else "open"
        rows.append(f"| `{' '.join(sorted(route.methods))} {route.path}` | {permission} | {told} |\n")
    return _ROUTES.sub(lambda _: "".join(rows) + "\n", page)


def render_security(page: str) -> str:
    """The page with its matrix of permissions written anew."""
    from llmops.access.roles import KINDS, PERMISSIONS

    rows = [f"\n| permission | {' | '.join(f'`{kind}`' for kind in KINDS)} |\n|---|{'---|' * len(KINDS)}\n"]
    for permission, by_kind in PERMISSIONS.items():
        rows.append(f"| `{permission}` | {' | '.join(_roles(by_kind[kind]) for kind in KINDS)} |\n")
    return _MATRIX.sub(lambda _: "".join(rows) + "\n", page)


def _roles(having: frozenset[str]) -> str:
    """Who has a permission, in as few words as that takes."""
    from llmops.access.roles import ROLES

    few = [role for role in ROLES.values() if role in having]
    others = [role for role in ROLES.values() if role not in having]
    if not few or not others:
        return "nobody" if not few else "all"
    return f"all but {', '.join(others)}" if len(others) < len(few) else ", ".join(few)


def pages() -> dict[Path, str]:
    """Every page that is generated, as a whole or in part, and what should stand in it."""
    from llmops.cli_page import render

    http, security = ROOT / "docs/http.md", ROOT / "docs/security.md"
    return {
        ROOT / "docs/cli.md": render(),
        ROOT / "docs/faults.md": render_faults(),
        http: render_http(http.read_text(encoding="utf-8")),
        security: render_security(security.read_text(encoding="utf-8")),
    }


if __name__ == "__main__":
    for page, content in pages().items():
        page.write_text(content, encoding="utf-8")
