"""A real file system of a few megabytes, in a mount namespace of its own: nothing of it is seen by other processes, or left.

with small_disk(tmp_path / "disk", megabytes=16) as disk:
    disk.fill()                                     # not a byte is free
    disk.run([LLMOPS, "ingest", "docs"], env=...)   # sees it at `disk.folder`
    disk.free()
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

FILLER = "filler"


class SmallDisk:
    """The disk, for processes that are started in its namespace, and for this one, through /proc."""

    def __init__(self, folder: Path, holder: int) -> None:
        self.folder = folder
        self._enter = ["nsenter", "--target", str(holder), "--mount", *([] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]), "--"]
        self.inside = Path(f"/proc/{holder}/root") / str(folder).lstrip("/")

    def command(self, arguments: Sequence[object], cwd: Path) -> list[str]:
        """What runs a command inside; entering forgets the working folder."""
        return [*self._enter, "sh", "-c", 'cd "$0" && exec "$@"', str(cwd), *map(str, arguments)]

    def run(self, arguments: Sequence[object], *, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(arguments, cwd), env={**os.environ, **env}, capture_output=True, text=True, timeout=120)

    def fill(self, leave: int = 0) -> None:
        """Use up all that is free but `leave` bytes."""
        with (self.inside / FILLER).open("ab", buffering=0) as out:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while out.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue
        if leave:
            os.truncate(self.inside / FILLER, max(0, (self.inside / FILLER).stat().st_size - leave))

    def free(self) -> None:
        (self.inside / FILLER).unlink()


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[SmallDisk]:
    """Skips the test where a user may not make namespaces."""
    if not shutil.which("unshare") or not shutil.which("nsenter"):
        pytest.skip("no unshare")
    folder.mkdir()
    script = f'mount -t tmpfs -o size={megabytes}m tmpfs "$0" && echo ready && exec sleep 600'
    command = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c", script, str(folder)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert holder.stdout is not None
        if holder.stdout.readline() != "ready\n":
            pytest.skip("no mount namespace for this user")
        yield SmallDisk(folder, holder.pid)
    finally:
        holder.kill()
        holder.wait()
