"""How far an ingestion is, in bytes of its files: so that one file of many rows has a progress, too.

Of a file of rows the bytes of the texts count that were taken out of it, and of a long document the share of its text that is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vectorstore.load.parsed import Failed, Parsed

if TYPE_CHECKING:
    from llmops.jobs.context import JobContext


class Measure:
    """Says where the ingestion is; `tell` ends the job where it was cancelled or must stop. An empty file counts as a byte."""

    def __init__(self, job: JobContext) -> None:
        self._job = job
        self._before = self._size = self._total = self._read = 0
        self._share = 0.0
        self._document, self._span = 0.0, 1.0

    def expect(self, sizes: Sequence[int]) -> None:
        """The files that there are, by their bytes."""
        self._total = sum(max(1, size) for size in sizes)

    def begin(self, size: int) -> None:
        """The next file."""
        self._before += self._size
        self._size, self._share, self._read = max(1, size), 0.0, 0
        self._document, self._span = 0.0, 1.0

    def document(self, one: Parsed | Failed) -> None:
        """The document of the file under way that comes now. A row's bytes are those of its text; what is no row is all of its file."""
        if one.row is None and one.part is None:
            self._share = self._document = 0.0
            self._span = 1.0
            return
        size = len(one.text.encode()) if isinstance(one, Parsed) else 0
        self._share = self._document = min(1.0, self._read / self._size)
        self._span = min(1.0 - self._document, size / self._size)
        self._read += size

    def text(self, share: float) -> None:
        """What share of the document's text is done."""
        self._share = self._document + self._span * share

    def end(self) -> None:
        self._before, self._size = self._total, 0

    def tell(self) -> None:
        """Tell the progress. The total stays 0 until it is known."""
        self._job.progress(min(self._total, self._before + int(self._size * self._share)), self._total)
