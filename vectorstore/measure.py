"""How far an ingestion is, in bytes of its files: so that one file of many rows has a progress, too.

Of a file under way that share of its bytes counts that is the share of its documents, and of a long document that of its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops.jobs.context import JobContext


class Measure:
    """Says where the ingestion is; `tell` ends the job where it was cancelled or must stop. An empty file counts as a byte."""

    def __init__(self, job: JobContext) -> None:
        self._job = job
        self._before = self._size = self._total = 0
        self._share = 0.0
        self._document, self._span = 0.0, 1.0

    def expect(self, sizes: Sequence[int]) -> None:
        """The files that there are, by their bytes."""
        self._total = sum(max(1, size) for size in sizes)

    def begin(self, size: int) -> None:
        """The next file."""
        self._before += self._size
        self._size, self._share = max(1, size), 0.0
        self._document, self._span = 0.0, 1.0

    def document(self, place: int, of: int) -> None:
        """The document of the file under way that comes now, of how many."""
        self._share = self._document = place / of
        self._span = 1 / of

    def text(self, share: float) -> None:
        """What share of the document's text is done."""
        self._share = self._document + self._span * share

    def end(self) -> None:
        self._before, self._size = self._total, 0

    def tell(self) -> None:
        """Tell the progress. The total stays 0 until it is known."""
        self._job.progress(min(self._total, self._before + int(self._size * self._share)), self._total)
