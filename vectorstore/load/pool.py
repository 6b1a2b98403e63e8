"""Parsing in processes of its own, which are killed when a file takes too long, too much memory, or breaks them.

    with ParserPool(Limits(seconds=30, memory_mb=512)) as pool:
        parsing = pool.submit(content, "report.pdf", Fields())
        for one in parsing.documents(): ...        # `InvalidInput` where the file as a whole cannot be read

A process reads one file after the other. What a file does to it, it does to itself: the next file gets a new process.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from llmops.errors import InvalidInput
from vectorstore.load import wire
from vectorstore.load.limits import OUT_OF_MEMORY, Limits, OverLimit
from vectorstore.load.parsed import Failed, Fields, Parsed
from vectorstore.load.pipes import Broken, Late, Pipes

PROCESSES = 2
_AHEAD = 32
"""Documents of a file that wait to be taken before its parser is held up."""
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "PYTHONPATH", "TESSDATA_PREFIX", "SYSTEMROOT")
_LOOK_EVERY = 0.2
_FOLDER = "llmops-parser-"

Told: TypeAlias = "Parsed | Failed | Exception | None"
"""What a parser says: a document, why there are no more, or that this was all."""


class Parsing:
    """One file on its way through a parser."""

    def __init__(self, content: bytes, name: str, fields: Fields) -> None:
        self.content, self.name, self.fields = content, name, fields
        self.dropped = threading.Event()
        self._told: queue.Queue[Told] = queue.Queue(_AHEAD)
        self._begun = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Whether its first document, or the reason why it has none, is there within so many seconds."""
        return self._begun.wait(seconds)

    def documents(self, go_on: Callable[[], None] = lambda: None) -> Iterator[Parsed | Failed]:
        """The documents of the file as they come; `go_on` is called while they are waited for, and may raise.

        Raises `InvalidInput` where the file, or the rest of it, cannot be read.
        """
        while True:
            try:
                one = self._told.get(timeout=_LOOK_EVERY)
            except queue.Empty:
                go_on()
                continue
            if one is None:
                return
            if isinstance(one, Exception):
                raise one
            yield one

    def tell(self, one: Told) -> None:
        """Hand on what the parser said; waits while nobody takes it, unless the file was dropped."""
        self._begun.set()
        while not self.dropped.is_set():
            try:
                self._told.put(one, timeout=_LOOK_EVERY)
            except queue.Full:
                continue
            return


class ParserPool:
    """Up to `processes` parsers, started when there is something to parse. Use it as a context manager."""

    def __init__(self, limits: Limits, processes: int = PROCESSES) -> None:
        self._limits, self._most = limits, processes
        self._waiting: queue.SimpleQueue[Parsing | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy: set[Parsing] = set()
        self._lock, self._closed = threading.Lock(), False

        _sweep()

    def submit(self, content: bytes, name: str, fields: Fields) -> Parsing:
        """Have a file parsed; `name` says by its extension how."""
        parsing = Parsing(content, name, fields)
        with self._lock:
            if self._closed:
                raise RuntimeError("the parsers are gone")
            self._busy.add(parsing)
            if len(self._threads) < min(self._most, len(self._busy)):
                self._threads.append(threading.Thread(target=self._serve, name="parser", daemon=True))
                self._threads[-1].start()
        self._waiting.put(parsing)
        return parsing

    def close(self) -> None:
        """Drop what is under way and end every parser."""
        with self._lock:
            self._closed = True
            for parsing in self._busy:
                parsing.dropped.set()
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> ParserPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _serve(self) -> None:
        parser = _Parser(self._limits)
        try:
            while (parsing := self._waiting.get()) is not None:
                try:
                    parser.parse(parsing)
                except Exception as failure:  # no process can be started: not the file's fault
                    parsing.tell(failure)
                with self._lock:
                    self._busy.discard(parsing)
        finally:
            parser.end()


class _Parser:
    """One process, and the next one when it is gone."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._pipes: Pipes | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._parsed = 0

    def parse(self, parsing: Parsing) -> None:
        """Have a file parsed, and tell how it ended. A process that other files went through may fail it innocently: once more, in a new one."""
        used = self._process is not None and self._parsed > 0
        told, failure = self._attempt(parsing)
        if failure is not None and used and not told and not isinstance(failure, _TooSlow) and not parsing.dropped.is_set():
            told, failure = self._attempt(parsing)
        if failure is not None:
            parsing.tell(failure)

    def _attempt(self, parsing: Parsing) -> tuple[int, InvalidInput | None]:
        """How many documents were told, and what went wrong with the process, which is then gone."""
        told = 0
        try:
            for one in self._ask(parsing):
                parsing.tell(one)
                told += 1
                if parsing.dropped.is_set():
                    self.end()
                    return told, None
            self._parsed += 1
        except Late:
            self.end()
            return told, self._too_slow()
        except (Broken, wire.Garbled) as failure:
            return told, self._how_it_ended(failure)
        except _NeedsMemory:
            self.end()
            return told, self._too_large()
        return told, None

    def _too_slow(self) -> InvalidInput:
        return _TooSlow(f"takes more than {self._limits.seconds:g} s to read", hint=_way_out("seconds"))

    def _too_large(self) -> InvalidInput:
        return OverLimit(f"takes more than {self._limits.memory_mb} MB of memory to read", hint=_way_out("memory_mb"))

    def _ask(self, parsing: Parsing) -> Iterator[Told]:
        pipes = self._pipes or self._start()
        until = time.monotonic() + self._limits.seconds
        request = {"name": parsing.name, "fields": asdict(parsing.fields), "size": len(parsing.content)}
        pipes.send(wire.line(request), until, parsing.dropped)
        pipes.send(parsing.content, until, parsing.dropped)
        while True:
            message = wire.read(pipes.line(until, parsing.dropped))
            if "end" in message:
                yield None
                return
            if "error" in message:
                kind = OverLimit if message.get("over") else InvalidInput
                yield kind(str(message["error"]), hint=str(message.get("hint") or ""))
                return
            if "memory" in message:
                raise _NeedsMemory
            one = wire.document_of(message)
            told = time.monotonic()
            yield one
            until += time.monotonic() - told  # the time that it waited for us is not its own

    def _start(self) -> Pipes:
        self._folder = tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-", ignore_cleanup_errors=True)
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        environment |= {"TMPDIR": self._folder.name, "HOME": self._folder.name, "MALLOC_ARENA_MAX": "1", "OMP_THREAD_LIMIT": "1"}
        limits = [str(self._limits.seconds), str(self._limits.memory_mb), str(self._limits.pages)]
        # -P: a folder named `vectorstore` where the command was called must not be taken for ours.
        command = [sys.executable, "-P", "-m", "vectorstore.load.child", *limits, str(os.getpid())]
        self._process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            env=environment,
            process_group=0,
        )
        self._pipes, self._parsed = Pipes(self._process), 0
        return self._pipes

    def _how_it_ended(self, failure: Exception) -> InvalidInput:
        """Why the process ended in the middle of a file."""
        process = self._process
        self.end()
        code = process.returncode if process is not None else 0
        if code == -signal.SIGXCPU:
            return self._too_slow()
        if code == OUT_OF_MEMORY:
            return self._too_large()
        name = signal.Signals(-code).name if code < 0 else f"exit {code}"
        return InvalidInput(f"breaks its parser ({type(failure).__name__.lower()}, {name})", hint="the file is damaged, or made to do harm")

    def end(self) -> None:
        """Kill the process, and what it left behind."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # with whatever it started
            self._process.wait()
        if self._pipes is not None:
            self._pipes.close()
        if self._folder is not None:
            self._folder.cleanup()
        self._process = self._pipes = self._folder = None


class _TooSlow(OverLimit):
    """It would take as long the next time."""


class _NeedsMemory(Exception):
    """The parser ran into its limit of memory."""


def _way_out(setting: str) -> str:
    return f"split the file, or raise [parsing] {setting} in llmops.toml"


def _sweep() -> None:
    """Remove the folders of processes that were killed before they could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*-*"):
        owner = folder.name.removeprefix(_FOLDER).partition("-")[0]
        if owner.isdigit() and not _is_alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True
