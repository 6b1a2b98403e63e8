"""Commands without the seconds that their imports take: a process that has made them is forked for each command.

What runs is `llmops.cli.main` in a process, folder and environment of its own, as the installed program would run it. What
takes effect only when Python starts cannot be told to it: see `STARTS`.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

STARTS = ("PYTHON", "LLMOPS_FAILPOINT", "OMP_", "LC_", "LANG", "TZ")
"""Variables that begin so count when Python or a module is loaded: a command with others needs a start of its own."""


class Forge:
    """Runs commands one at a time. Use `run` of one thread only."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], process_group=0)
        self._started_with = _of_the_start(os.environ)

    @property
    def is_closed(self) -> bool:
        return self._process.poll() is not None

    def can_run(self, environment: Mapping[str, str]) -> bool:
        return _of_the_start(environment) == self._started_with

    def run(self, arguments: Sequence[str], folder: Path, stdin: str, environment: Mapping[str, str], seconds: float) -> tuple[int, str, str]:
        """Exit status, standard output and standard error. Raises `TimeoutExpired`, after which the forge is closed."""
        with ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", newline="")) for _ in range(3)]
            files[0].write(stdin)
            files[0].seek(0)
            asked = json.dumps({"arguments": list(arguments), "folder": str(folder), "environment": dict(environment)}).encode()
            socket.send_fds(self._ours, [len(asked).to_bytes(8)], [file.fileno() for file in files])
            self._ours.sendall(asked)
            self._ours.settimeout(seconds)
            try:
                status = self._ours.recv(8)
            except TimeoutError:
                self.close()
                raise subprocess.TimeoutExpired(["llmops", *arguments], seconds) from None
            if len(status) != 8:
                self.close()
                raise RuntimeError("the process that commands are forked from is gone")
            for file in files[1:]:
                file.seek(0)
            return int.from_bytes(status, signed=True), files[1].read(), files[2].read()

    def close(self) -> None:
        """End it, and a command that still runs."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._ours.close()


def _of_the_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(STARTS)}


def _serve(asking: socket.socket) -> None:
    """Fork for each command that is asked for; in the child, return."""
    while True:
        size, files, _, _ = socket.recv_fds(asking, 8, 3)
        if not size:
            sys.exit()
        asked = b""
        while len(asked) < int.from_bytes(size):
            asked += asking.recv(2**20)
        child = os.fork()
        if not child:
            _become(json.loads(asked), files)
            asking.close()
            return
        for file in files:
            os.close(file)
        _, status = os.waitpid(child, 0)
        asking.sendall(os.waitstatus_to_exitcode(status).to_bytes(8, signed=True))


def _become(asked: dict[str, object], files: list[int]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(asked["environment"])  # type: ignore[call-overload]
    os.chdir(str(asked["folder"]))
    sys.argv = ["llmops", *asked["arguments"]]  # type: ignore[misc]
    random.seed()


def _exit(code: str | int | None) -> None:
    """Exit as Python does, but for taking apart what was inherited, which takes as long as all the rest."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _preload() -> None:
    import importlib

    from llmops import plugins

    for name in plugins.names("commands"):
        plugins.find("commands", name)
    for module in ("llmops.access.acting", "llmops.jobs.worker", "llmops.progress", "llmops.store.opening", "numpy.ma", "platformdirs"):
        importlib.import_module(module)
    for module in ("py3langid.langid", "sqlalchemy.dialects.postgresql.psycopg", "tokenizers", "vectorstore.ingest", "vectorstore.search"):
        importlib.import_module(module)
    assert "onnxruntime" not in sys.modules, "its threads do not outlive a fork"


if __name__ == "__main__":
    from llmops.cli import main

    _preload()
    gc.collect()
    gc.freeze()  # what is not looked through stays shared
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        _serve(listening)
    try:
        main()
    except SystemExit as end:
        _exit(end.code)
