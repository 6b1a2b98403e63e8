"""What `llmops doctor` asks of the traces: MLflow's file in the home, which every answer can fill again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from chains import rows
from llmops.checks import REBUILD, Check, Finding
from llmops.quarantine import put_all_aside
from llmops.store import sqlite_file
from llmops.tracking import FILE_NAME, OFF

if TYPE_CHECKING:
    from llmops.home import Home


def _look(home: Home) -> Iterator[Finding]:
    uri = home.settings.mlflow.tracking_uri
    file = home.settings.home / FILE_NAME
    found = Finding("traces", "off" if uri == OFF else "on a server" if uri else "none yet", f"stop the server, then {REBUILD}")
    if not uri and file.exists():
        found.detail = f"{FILE_NAME} is whole"
        if fault := sqlite_file.fault(file):
            found.faults.append(f"{FILE_NAME}: {fault}")
    yield found


def _rebuild(home: Home) -> Iterator[str]:
    """Put a damaged file aside and tell MLflow of every answer again; a new file is made with the first of them."""
    if all(found.ok for found in _look(home)):
        return
    folder = home.settings.home
    sides = [side for name in ("", "-wal", "-shm", "-journal") if (side := folder / f"{FILE_NAME}{name}").exists()]
    yield f"{FILE_NAME} is now in {put_all_aside(folder, 'traces', sides)}"
    count = home.store.write(rows.tell_again)
    yield f"{count} answers wait to become traces again"


CHECK = Check(_look, _rebuild, alone=True)
