"""Parsing in processes of its own, which are killed when a file takes too long, too much memory, or breaks them.

    with ParserPool(Limits(seconds=30, memory_mb=512)) as pool:
        parsing = pool.submit(content, "report.pdf", Fields())
        for one in parsing.documents(): ...        # `InvalidInput` where the file as a whole cannot be read

A process reads one file after the other. What a file does to it, it does to itself: the next file gets a new process.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from llmops.errors import InvalidInput, Unavailable
from llmops.scratch import prefix_of, sweep
from vectorstore.load import loader_for, wire
from vectorstore.load.limits import OUT_OF_MEMORY, Interrupted, Limits, OverLimit
from vectorstore.load.parsed import Fields
from vectorstore.load.parsing import MOST_WAITING, Parsing, Room, Told
from vectorstore.load.pipes import Broken, Late, Pipes

PROCESSES = 2
START_SECONDS = 60.0
"""For a parser to begin, on a machine with other work."""
ROWS = frozenset({"jsonl", "csv"})
"""Loaders that read a file as it comes, so that a large one may take its time."""
_BYTES_A_SHARE = 8 * 2**20
"""A file of rows has the time of a document for each so many bytes of it."""
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "PYTHONPATH", "TESSDATA_PREFIX", "SYSTEMROOT")
_FOLDER = "llmops-parser-"
_BUSY = "the machine was busy; the next ingestion tries again"


class ParserPool:
    """Up to `processes` parsers, started when there is something to parse, and `room` for bytes of what nobody took yet.

    Use it as a context manager.
    """

    def __init__(self, limits: Limits, processes: int = PROCESSES, room: int = MOST_WAITING) -> None:
        self._limits, self._most = limits, processes
        self._waiting: queue.SimpleQueue[Parsing | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy: set[Parsing] = set()
        self._lock, self._closed, self._room = threading.Lock(), False, Room(room)
        sweep(_FOLDER)

    def submit(self, content: bytes, name: str, fields: Fields) -> Parsing:
        """Have a file parsed; `name` says by its extension how."""
        parsing = Parsing(content, name, fields, self._room)
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
                    if not parsing.dropped.is_set():
                        parser.parse(parsing)
                except Exception as failure:  # no process can be started, or ours ran out of memory: not the file's fault
                    parser.end()
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
        self._seconds = limits.seconds
        """That its present file may take."""
        self._before = (0.0, 0.0)
        """Seconds that the process had computed, and waited for a processor, when its present file came."""

    def parse(self, parsing: Parsing) -> None:
        """Have a file parsed, and tell how it ended. What may not be its own fault is tried once more, in a new process."""
        used = self._process is not None and self._parsed > 0
        told, failure = self._attempt(parsing)
        innocent = (used or isinstance(failure, Interrupted)) and not isinstance(failure, _TooSlow | _Starved)
        if failure is not None and innocent and not told and not parsing.dropped.is_set():
            told, failure = self._attempt(parsing)
        if failure is not None:
            parsing.tell(failure)

    def _attempt(self, parsing: Parsing) -> tuple[int, InvalidInput | None]:
        """How many documents were told, and what went wrong with the process, which is then gone."""
        told = 0
        try:
            for one, size in self._ask(parsing):
                parsing.tell(one, size)
                told += 1
                if parsing.dropped.is_set():
                    self.end()
                    return told, None
            self._parsed += 1
        except Late:
            return told, self._late()
        except (Broken, wire.Garbled) as failure:
            if parsing.dropped.is_set():
                self.end()
                return told, None
            return told, self._how_it_ended(failure)
        except _NeedsMemory:
            self.end()
            return told, self._too_large()
        return told, None

    def _late(self) -> InvalidInput:
        """Why a file was not read in its time: it takes too long, or the machine had no time for it."""
        computed, waited = (now - before for now, before in zip(self._times(), self._before, strict=True))
        starved = waited > self._seconds / 4 or self._wants_to_go_on()
        self.end()
        if starved and computed < self._seconds / 2:
            return _Starved(str(self._too_slow()), hint=_BUSY)
        return self._too_slow()

    def _too_slow(self) -> InvalidInput:
        return _TooSlow(f"takes more than {round(self._seconds, 1):g} s to read", hint=_way_out("seconds"))

    def _too_large(self) -> InvalidInput:
        return OverLimit(f"takes more than {self._limits.memory_mb} MB of memory to read", hint=_way_out("memory_mb"))

    def _ask(self, parsing: Parsing) -> Iterator[tuple[Told, int]]:
        """What the process says of a file, each with its bytes on the way."""
        pipes = self._pipes or self._start(parsing.dropped)
        self._before = self._times()
        self._seconds = self._limits.seconds
        if loader_for(parsing.name) in ROWS:
            self._seconds *= max(1.0, len(parsing.content) / _BYTES_A_SHARE)
        until = time.monotonic() + self._seconds
        request = {"name": parsing.name, "fields": asdict(parsing.fields), "size": len(parsing.content), "seconds": self._seconds}
        pipes.send(wire.line(request), until, parsing.dropped)
        pipes.send(parsing.content, until, parsing.dropped)
        while True:
            line = pipes.line(until, parsing.dropped)
            message = wire.read(line)
            if "end" in message:
                yield None, 0
                return
            if "error" in message:
                kind = OverLimit if message.get("over") else InvalidInput
                yield kind(str(message["error"]), hint=str(message.get("hint") or "")), 0
                return
            if "memory" in message:
                raise _NeedsMemory
            one = wire.document_of(message)
            told = time.monotonic()
            yield one, len(line)
            until += time.monotonic() - told  # the time that it waited for us is not its own

    def _times(self) -> tuple[float, float]:
        """Seconds that the process has computed, and waited for a processor; none where the system does not tell (Linux does)."""
        computed, waited = (self._told_of("schedstat").split() or ["0", "0"])[:2]
        return int(computed) / 1e9, int(waited) / 1e9

    def _wants_to_go_on(self) -> bool:
        """Whether the process waits for a processor or a disk right now: the time of a wait is told to others only when it is over."""
        return self._told_of("stat").rpartition(")")[2].split()[:1] in (["R"], ["D"])

    def _told_of(self, name: str) -> str:
        """What the system tells of the process under that name; nothing where it does not."""
        try:
            return Path(f"/proc/{self._process.pid if self._process else 0}/{name}").read_text(encoding="ascii", errors="replace")
        except OSError:
            return ""

    def _start(self, dropped: threading.Event) -> Pipes:
        self._folder = tempfile.TemporaryDirectory(prefix=prefix_of(_FOLDER), ignore_cleanup_errors=True)
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
        try:
            ready = self._pipes.line(time.monotonic() + START_SECONDS, dropped)
        except (Late, Broken) as failure:
            self.end()
            if dropped.is_set():
                raise
            if isinstance(failure, Late):
                raise _Starved(f"no parser was ready within {START_SECONDS:g} s", hint=_BUSY) from failure
            raise Unavailable("no parser can be started", hint="`python -m vectorstore.load.child 30 512 2000 0` tells why") from failure
        if "ready" not in wire.read(ready):
            raise wire.Garbled("not ready")
        return self._pipes

    def _how_it_ended(self, failure: Exception) -> InvalidInput:
        """Why the process ended in the middle of a file."""
        process = self._process
        if process is not None and isinstance(failure, Broken):
            with suppress(subprocess.TimeoutExpired):
                process.wait(1.0)  # its own end, before we make one
        by_us = process is None or process.returncode is None
        self.end()
        code = process.returncode if process is not None else 0
        if code in (-signal.SIGKILL, -signal.SIGTERM) and not by_us:
            return Interrupted("its parser was killed, most likely for the machine ran out of memory", hint="the next ingestion tries again")
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


class _Starved(Interrupted):
    """It had no time of the machine, and would have none now."""


class _NeedsMemory(Exception):
    """The parser ran into its limit of memory."""


def _way_out(setting: str) -> str:
    return f"split the file, or raise [parsing] {setting} in llmops.toml"
