"""How urgent an ingestion is: small orders, which somebody waits for, go before bulk loads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llmops.jobs.slots import BULK, URGENT
from vectorstore.load import loader_for
from vectorstore.sources import Order, walk

MOST_DOCUMENTS = 100
MOST_SECONDS = 45.0
"""An order of no more files and of about so much work is urgent, so that urgent ones do not wait long for each other."""
_PACKED = frozenset({"docx", "eml", "msg", "pdf", "pptx", "xlsx"})
"""Kinds whose bytes are mostly pictures and packed, and whose files take a while each."""
_SECONDS_OF_A_FILE, _SECONDS_OF_A_MB = 1.5, 2.0
_SECONDS_OF_A_MB_OF_TEXT = 32.0
"""As two cores embed it with the encoder that comes along."""


def priority_of(order: Order) -> int:
    """URGENT for a small order, of uploads or of a folder, BULK for any other. Of a large folder only the beginning is looked at."""
    files, seconds = 0, 0.0
    for name, size in _files(order):
        files, seconds = files + 1, seconds + _seconds(name, size)
        if files > MOST_DOCUMENTS or seconds > MOST_SECONDS:
            return BULK
    return URGENT


def _seconds(name: str, size: int) -> float:
    if loader_for(name) in _PACKED:
        return _SECONDS_OF_A_FILE + _SECONDS_OF_A_MB * size / 1e6
    return _SECONDS_OF_A_MB_OF_TEXT * size / 1e6


def _files(order: Order) -> Iterator[tuple[str, int]]:
    for upload in order.uploads:
        yield upload.name, upload.size
    if order.root:
        for found in walk(Path(order.root), order.include, order.exclude):
            if found.kind is not None:
                yield found.path, found.size
