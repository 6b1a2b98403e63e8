"""What the pages say is run: every ```python block, and every ```console block that is marked `run`.

The blocks of a page run in order, in one fresh folder that has the project's `docs/` and no home yet. The second word of
a fence says how: ```console run``` runs its `$ ` lines, which must exit 0; `server` (```python server```, ```console
server```) needs the server that `make demo` leaves: one is started for the page, `.llmops/demo.json` names it, and so do the
variables URL and KEY. A block marked `fails` must exit with something else than 0; `demo` is what `make demo` prints, with
a server that is stopped afterwards. Other console blocks only show something.

README shows real output: below each command of a block that runs, and in the ```text block behind a python block. Ids,
ports and scores aside it must be what comes out. `make docs` sets WRITE_DOCS, and then it is written anew.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import pages
from tests.crash import LLMOPS, Running

ROOT = pages.ROOT
FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```\s*$", re.MULTILINE | re.DOTALL)
RUNS = ("run", "server", "fails", "demo")
SHOWS_OUTPUT = ROOT / "README.md"
_VARIES = (
    (re.compile(r"Another program has port [^\n]*\n\n"), ""),
    (re.compile(r"ans_[0-9a-f]{32}"), "ans_…"),
    (re.compile(r"\b\d+ entries, head [0-9a-f]{64}"), "… entries, head …"),
    (re.compile(r"\b\d\.\d{4}\b"), "0.…"),
    (re.compile(r"(--port |127\.0\.0\.1:)\d+"), r"\1…"),
)
KNOWN = {"", *RUNS}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    language: str
    how: str
    code: str

    @property
    def runs(self) -> bool:
        return self.language == "python" or (self.language == "console" and self.how in RUNS)


def pages_of_people() -> list[Path]:
    return sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        language, _, how = match["info"].strip().partition(" ")
        code = re.sub(f"^{match['indent']}", "", match["code"], flags=re.MULTILINE)
        found.append(Block(text.count("\n", 0, match.start()) + 1, language, how.strip(), code))
    return found


def commands(code: str) -> list[str]:
    """The `$ ` lines of a block, with the lines that a backslash joins to them."""
    found: list[str] = []
    goes_on = False
    for line in code.splitlines():
        if goes_on:
            found[-1] += "\n" + line
        elif line.startswith("$ "):
            found.append(line[2:])
        goes_on = (goes_on or line.startswith("$ ")) and line.endswith("\\")
    return found


RUNNABLE = [page for page in pages_of_people() if any(block.runs for block in blocks(page))]


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_the_page_says_works(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    steps = [block for block in blocks(page) if block.runs]
    if any(block.how == "server" for block in steps):
        shutil.copytree(request.getfixturevalue("ingested"), tmp_path, dirs_exist_ok=True)
        with served(tmp_path) as demo:
            monkeypatch.setenv("URL", demo["url"])
            monkeypatch.setenv("KEY", demo["key"])
            run_all(steps, page, tmp_path)
    else:
        run_all(steps, page, tmp_path)


def run_all(steps: list[Block], page: Path, folder: Path) -> None:
    printed: dict[int, str] = {}
    for block in steps:
        printed[block.line] = ""
        lines = commands(block.code) if block.language == "console" else [block.code]
        lines = lines[:1] if block.how == "demo" else lines  # the others are those that the demo shows
        for line in lines:
            done = run_demo(folder) if block.how == "demo" else run(line, block.language, folder)
            where = f"{page.relative_to(ROOT)}:{block.line}: {line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            assert (done.returncode != 0) == (block.how == "fails"), where
            printed[block.line] += (f"$ {line}\n" if block.language == "console" else "") + done.stdout
    if page == SHOWS_OUTPUT:
        compare(page, printed)


def run(line: str, language: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", line] if language == "console" else [sys.executable, "-c", line]
    return subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", timeout=180)


def run_demo(folder: Path) -> subprocess.CompletedProcess[str]:
    """What `make demo` runs, in a home of its own, and what ends it; only what it prints before it says how to go on."""
    home = {**os.environ, "LLMOPS_HOME": str(folder / "demo")}
    command = [sys.executable, "-m", "server.demo"]
    try:
        done = subprocess.run(command, cwd=ROOT, env=home, capture_output=True, encoding="utf-8", timeout=180)
        note = json.loads((folder / "demo/demo.json").read_text())
        assert {"url", "key", "port"} <= set(note)
    finally:
        ended = subprocess.run([*command, "--stop"], cwd=ROOT, env=home, capture_output=True, encoding="utf-8", timeout=60)
    assert ended.stdout == "the server has ended\n" and not (folder / "demo/demo.json").exists()
    done.stdout = done.stdout.partition("The server stays up")[0]
    return done


def compare(page: Path, printed: dict[int, str]) -> None:
    """Hold what a page shows against what was printed by the block on each line; with WRITE_DOCS, write it down."""
    text = page.read_text(encoding="utf-8")
    found = blocks(page)
    for block, following in zip(found, [*found[1:], None], strict=True):
        shows = block if block.language == "console" else following
        if block.line not in printed or shows is None or shows.language not in ("console", "text"):
            continue
        said = shows.code.partition("…a curl command")[0].partition("\nThe server stays up")[0] if block.how == "demo" else shows.code
        if os.environ.get("WRITE_DOCS"):
            text = text.replace(said.rstrip() + "\n", printed[block.line].rstrip() + "\n")
        else:
            assert same(said) == same(printed[block.line]), f"{page.name}:{shows.line}: run `make docs`"
    if os.environ.get("WRITE_DOCS"):
        page.write_text(text, encoding="utf-8")


def same(text: str) -> str:
    """A text without what differs from run to run."""
    for varies, instead in _VARIES:
        text = varies.sub(instead, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose home has the project's pages in the collection `docs`."""
    folder = tmp_path_factory.mktemp("ingested")
    subprocess.run([LLMOPS, "ingest", str(ROOT / "docs"), "--collection", "docs"], cwd=folder, check=True, capture_output=True, timeout=300)
    return folder


@contextmanager
def served(folder: Path) -> Iterator[dict[str, str]]:
    """What `make demo` leaves, where the pages are ingested: a key, a server that is ready, and `demo.json`."""
    made = subprocess.run([LLMOPS, "keys", "create", "demo", "--role", "admin", "--json"], cwd=folder, check=True, capture_output=True, timeout=60)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Running(["serve", "--port", port], program=LLMOPS, cwd=folder) as server:
        wait_until_ready(f"http://127.0.0.1:{port}/readyz", server)
        demo = {"url": f"http://127.0.0.1:{port}", "key": json.loads(made.stdout)["key"], "port": port}
        (folder / ".llmops/demo.json").write_text(json.dumps(demo))
        yield demo


def wait_until_ready(url: str, server: Running) -> None:
    import httpx

    for _ in range(600):
        assert server.process.poll() is None, server.errors[-20:]
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"not ready: {server.errors[-20:]}")


def test_fences_use_only_known_words() -> None:
    wrong = [
        f"{page.relative_to(ROOT)}:{block.line}: {block.language} {block.how}"
        for page in pages_of_people()
        for block in blocks(page)
        if block.language in {"python", "console"}
        and (block.how not in KNOWN or (block.how in RUNS and block.language == "console" and not commands(block.code)))
    ]
    assert not wrong


@pytest.mark.parametrize("name", ["cli.md", "faults.md", "http.md", "security.md"])
def test_generated_pages_are_fresh(name: str) -> None:
    page = ROOT / "docs" / name
    assert page.read_text(encoding="utf-8") == pages.pages()[page], "run `make docs`"


def test_a_fault_is_defined_where_a_test_proves_it_and_only_there() -> None:
    """No definition without a test: the table would claim what nobody tried. No test without a definition: the table would lack it."""
    proved, defined = pages.proofs().keys(), pages.definitions().keys()
    assert not defined - proved, "take them out of docs/faults.toml, or write the tests"
    assert not proved - defined, "add them to docs/faults.toml"
    named = set(re.findall(r"\bT\d\d\b", (ROOT / "docs/security.md").read_text(encoding="utf-8")))
    assert named - {"T41", "T42"} <= proved, "docs/security.md names tests that are not there"


def test_links_between_the_pages_lead_somewhere() -> None:
    broken = []
    for page in pages_of_people():
        prose = FENCE.sub("", page.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if "://" not in target and not target.startswith(("#", "mailto:")) and not (page.parent / target.split("#")[0]).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken


PAGE = """
```console run
$ llmops a \\
    --b
out
$ llmops c
```
1. text
   ```python
   x = 1
   if x:
       y = 2
   ```
```console
$ not run
```
"""


def test_the_blocks_of_a_page_are_read_right(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    console, python, shown = blocks(page)
    assert commands(console.code) == ["llmops a \\\n    --b", "llmops c"]
    assert python.code == "x = 1\nif x:\n    y = 2\n"
    assert [block.runs for block in (console, python, shown)] == [True, True, False]
