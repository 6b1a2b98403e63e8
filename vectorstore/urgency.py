"""How urgent an ingestion is: small orders, which somebody waits for, go before bulk loads."""

from __future__ import annotations

from pathlib import Path

from llmops.jobs.slots import BULK, URGENT
from vectorstore.sources import Order, walk

MOST_DOCUMENTS = 100
MOST_BYTES = 8 * 2**20
"""An order with no more files and bytes is urgent: some seconds of work, so that urgent ones do not wait long for each other."""


def priority_of(order: Order) -> int:
    """URGENT for a small order, of uploads or of a folder, BULK for any other. Of a large folder only the beginning is looked at."""
    files = count = 0
    for size in _sizes(order):
        files, count = files + 1, count + size
        if files > MOST_DOCUMENTS or count > MOST_BYTES:
            return BULK
    return URGENT


def _sizes(order: Order) -> list[int]:
    sizes = [upload.size for upload in order.uploads]
    if order.root:
        for found in walk(Path(order.root), order.include, order.exclude):
            sizes += [found.size] if found.kind is not None else []
            if len(sizes) > MOST_DOCUMENTS:
                break
    return sizes
