"""T55: whatever a file does to its parser, it does to itself alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from llmops.errors import InvalidInput, Unavailable
from tests.vectorstore import traps
from vectorstore.load import Fields, wire
from vectorstore.load.limits import Limits
from vectorstore.load.pool import ParserPool


@pytest.fixture
def trapped(tmp_path, monkeypatch):
    traps.install(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.fixture
def pool(trapped):
    with ParserPool(Limits(seconds=2, memory_mb=256)) as pool:
        yield pool


@pytest.fixture
def narrow(trapped):
    """A pool with room for hardly any document that nobody took."""
    with ParserPool(Limits(seconds=2, memory_mb=256), room=2000) as pool:
        yield pool


def ended(pool: ParserPool, trap: str) -> str:
    """The text that a trap gave, or why it gave none."""
    try:
        return " ".join(one.text for one in pool.submit(trap.encode(), "x.trap", Fields()).documents())
    except InvalidInput as failure:
        return f"failed: {failure}"


@pytest.mark.parametrize(
    ("trap", "outcome"),
    [
        ("sleep 60", "failed: takes more than 2 s to read"),
        ("spin", "failed: takes more than 2 s to read"),
        ("eat 1000", "failed: takes more than 256 MB of memory to read"),
        ("crash", "failed: breaks its parser (broken, SIGSEGV)"),
        ("exit 0", "failed: breaks its parser (broken, exit 0)"),
        ("exit 3", "failed: breaks its parser (broken, exit 3)"),
        ("raise", "failed: cannot be read: ZeroDivisionError: in the parser"),
        ("refuse", "failed: is no trap"),
        ("write 100", "failed: cannot be read: OSError: [Errno 27] File too large"),
        ("forge", "failed: breaks its parser (garbled, SIGKILL)"),
        ("print", "quiet after print"),
    ],
)
def test_t55_what_a_file_does_to_its_parser_is_its_own_failure(pool, trap, outcome):
    assert ended(pool, trap) == outcome
    assert ended(pool, "sleep 0") == "quiet after sleep", "the next file is read"


def test_t55_the_way_out_names_the_setting(pool):
    for _ in range(5):  # on a machine that is busy with other things it is not the file that was slow
        with pytest.raises(InvalidInput) as slow:
            list(pool.submit(b"spin", "x.trap", Fields()).documents())
        if "busy" not in slow.value.hint:
            break
    assert "[parsing] seconds" in slow.value.hint


def test_t55_a_parser_has_neither_network_nor_secrets(pool, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    told = ended(pool, "environment").split(" after ")[0].split()
    assert "PATH" in told and not [name for name in told if "KEY" in name or name.startswith("LLMOPS")]
    with socket.create_server(("127.0.0.1", 0)) as server:
        if subprocess.run(["unshare", "--net", "--map-root-user", "true"], capture_output=True).returncode == 0:
            assert ended(pool, f"connect 127.0.0.1:{server.getsockname()[1]}") == "no network after connect"


def test_t55_rows_before_the_break_are_there_and_the_break_is_told(pool):
    parsing = pool.submit(b"rows 100", "x.trap", Fields())
    found = []
    with pytest.raises(InvalidInput, match="broken beyond"):
        found.extend(parsing.documents())
    assert [one.row for one in found] == list(range(100))


def test_t55_the_time_that_a_parser_waits_for_us_is_not_its_own(narrow):
    taken = []
    with pytest.raises(InvalidInput, match="broken beyond"):
        for one in narrow.submit(b"rows 2000", "x.trap", Fields()).documents():
            if len(taken) == 100:
                time.sleep(3)  # longer than the file may take
            taken.append(one)
    assert len(taken) == 2000


def test_t55_no_parser_outlives_its_pool_or_the_process_that_has_it(trapped):
    with ParserPool(Limits(seconds=60, memory_mb=256)) as pool:
        pool.submit(b"sleep 60", "x.trap", Fields())
        pool.submit(b"sleep 60", "x.trap", Fields())
        until = time.monotonic() + 20
        while len(children := [one for one in psutil.Process().children() if "vectorstore.load.child" in one.cmdline()]) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert not any(child.is_running() for child in children)


def test_t55_a_parser_dies_with_a_parent_that_is_killed(trapped, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # else the pool of another test may sweep before we look
    script = """if True:
        import time
        from vectorstore.load import Fields
        from vectorstore.load.limits import Limits
        from vectorstore.load.pool import ParserPool
        ParserPool(Limits(seconds=60)).submit(b"sleep 60", "x.trap", Fields())
        time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        until = time.monotonic() + 20
        while not (children := psutil.Process(parent.pid).children()):
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive
    left = list(Path(tempfile.gettempdir()).glob(f"llmops-parser-{parent.pid}-*"))
    ParserPool(Limits()).close()
    assert left and not any(folder.exists() for folder in left), "its folder goes with the next pool"


def test_t55_files_that_nobody_reads_hold_up_no_other(narrow):
    unread = [narrow.submit(b"rows 5000", "x.trap", Fields()) for _ in range(3)]
    for parsing in unread:
        assert parsing.wait(20) or parsing is unread[2]
    waiting = narrow.submit(b"sleep 0", "x.trap", Fields())
    assert not waiting.wait(3), "it is held up while they may still be read"
    for parsing in unread:
        parsing.drop()
    assert [one.text for one in waiting.documents()] == ["quiet after sleep"]


def test_t55_a_pool_ends_soon_whatever_its_parsers_do(trapped, monkeypatch):
    with ParserPool(Limits(seconds=60)) as pool:
        assert not pool.submit(b"sleep 60", "x.trap", Fields()).wait(3)
        began = time.monotonic()
    assert time.monotonic() - began < 0.9
    monkeypatch.setattr(sys, "executable", "sleep")  # it refuses its arguments or never gets ready
    with ParserPool(Limits(seconds=60)) as pool:
        pool.submit(b"sleep 60", "x.trap", Fields())
        began = time.monotonic()
    assert time.monotonic() - began < 3


def test_t55_a_parser_that_is_killed_from_outside_is_not_the_files_fault(pool):
    parsing = pool.submit(b"sleep 1.5", "x.trap", Fields())
    time.sleep(0.7)
    for child in psutil.Process().children():
        if "vectorstore.load.child" in child.cmdline():
            child.kill()
    assert [one.text for one in parsing.documents()] == ["quiet after sleep"], "it is tried once more"


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="a process is given no time by means of Linux")
def test_t55_a_parser_for_which_the_machine_had_no_time_is_not_the_files_fault(pool):
    processor = min(os.sched_getaffinity(0))
    busy = f"import os\nos.sched_setaffinity(0, {{{processor}}})\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", busy]) as hog:
        try:
            with pytest.raises(InvalidInput) as told:
                list(pool.submit(f"starve {processor}".encode(), "x.trap", Fields()).documents())
        finally:
            hog.kill()
    assert told.value.hint == "the machine was busy; the next ingestion tries again"


def test_t55_a_parser_that_cannot_start_is_not_the_files_fault(monkeypatch, tmp_path):
    (tmp_path / "lxml").mkdir()
    (tmp_path / "yaml.py").write_text("raise ImportError('half an upgrade')")
    (tmp_path / "charset_normalizer.py").write_text("raise ImportError('half an upgrade')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with ParserPool(Limits(seconds=5)) as pool, pytest.raises(Unavailable, match="no parser can be started"):
        list(pool.submit(b"# Page", "page.md", Fields()).documents())


def test_t55_what_a_parser_started_ends_with_it(pool):
    assert ended(pool, "orphan 61").startswith("failed: takes more")
    assert not [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", "61"]]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b'{"parsed": null}',
        b'{"parsed": {"title": 1, "text": "x", "blocks": [], "headings": [], "metadata": {}}}',
        b'{"parsed": {"title": "", "text": "x", "blocks": [[0, 2, "paragraph", 0, null]], "headings": [[]], "metadata": {}}}',
        b'{"parsed": {"title": "", "text": "x", "blocks": [[0, 1, "script", 0, null]], "headings": [[]], "metadata": {}}}',
        b'{"parsed": {"title": "", "text": "x", "blocks": [[0, 1, "table", 0, null]], "headings": [[1]], "metadata": {}}}',
        b'{"parsed": {"title": "", "text": "x\\u0000", "blocks": [], "headings": [], "metadata": {}}}',
        b'{"parsed": {"title": "\\ud800", "text": "x", "blocks": [], "headings": [], "metadata": {}}}',
        b'{"parsed": {"title": "", "text": "x", "blocks": [], "headings": [], "metadata": {"a": {"b": 1}}}}',
        b'{"parsed": {"title": "", "text": "x", "blocks": [], "headings": [], "metadata": {"a": NaN}}}',
        b'{"parsed": {"title": "", "text": "x", "blocks": [], "headings": [], "metadata": {}, "id": ["x"]}}',
        b'{"parsed": {"title": "", "text": "x", "blocks": [], "headings": [], "metadata": {}, "row": "1"}}',
        b'{"parsed": {"title": "", "text": "x", "blocks": [[0, 1, "table", 1, null]], "headings": [[]], "metadata": {}}}',
        b'{"failed": {"reason": "x"}}',
        b'{"failed": {"error": 1}}',
        b"[" * 100_000,
    ],
)
def test_t55_what_no_parser_of_ours_says_is_not_taken(line):
    with pytest.raises(wire.Garbled):
        wire.document_of(wire.read(line))
