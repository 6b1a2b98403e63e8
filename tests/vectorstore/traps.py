"""Loaders that do what a hostile file makes a parser do, installed as another package's loaders would be.

`install(folder)` writes a package whose entry points are these; a process with the folder in PYTHONPATH finds them. A file
`x.trap` says in its text which trap it is.
"""

from __future__ import annotations

from pathlib import Path

_LOADER = """
import ctypes, os, socket, subprocess, sys, tempfile, time
from llmops.errors import InvalidInput
from vectorstore.load.parsed import TextBuilder

def load(content, name, fields):
    trap, _, rest = content.decode().partition(" ")
    if trap == "sleep": time.sleep(float(rest))
    if trap == "spin":
        while True: pass
    if trap == "starve":
        os.sched_setaffinity(0, {int(rest)})
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        while True: pass
    if trap == "eat": hoard = [bytearray(2**20) for _ in range(int(rest))]
    if trap == "crash": ctypes.string_at(0)
    if trap == "exit": os._exit(int(rest))
    if trap == "raise": raise ZeroDivisionError("in the parser")
    if trap == "refuse": raise InvalidInput("is no trap", hint="make it one")
    if trap == "print": print("{" * 100); sys.stdout.flush(); os.write(1, b"garbage\\n")
    if trap == "write":
        with tempfile.TemporaryFile() as file:
            for _ in range(int(rest)): file.write(bytes(2**20))
    told = "quiet"
    if trap == "connect":
        host, port = rest.split(":")
        try: socket.create_connection((host, int(port)), 2); told = "connected"
        except OSError as failure: told = "no network"
    if trap == "environment": told = " ".join(sorted(os.environ))
    if trap == "orphan": subprocess.Popen(["sleep", rest]); time.sleep(600)
    if trap == "rows":
        for number in range(int(rest)):
            builder = TextBuilder(); builder.add("paragraph", f"Row {number}."); yield builder.finish("row", row=number)
        raise InvalidInput("broken beyond")
    if trap == "forge": os.write(3, b'{"parsed": {"title": "x", "text": "y", "blocks": [[0, 99, "paragraph", [], null]], "metadata": {}}}\\n')
    builder = TextBuilder(); builder.add("paragraph", f"{told} after {trap}"); yield builder.finish(name)
"""


def install(folder: Path) -> None:
    """Write the package into a folder."""
    (folder / "trap_loaders.py").write_text(_LOADER)
    about = folder / "trap_loaders-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: trap-loaders\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[llmops.loaders]\ntrap = trap_loaders:load\n")
