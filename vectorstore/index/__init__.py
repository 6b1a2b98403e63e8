"""Indexes, all derived from rows: memory-mapped segments, and the view of a collection that a search works on."""

from vectorstore.index.segments import write_segments

__all__ = ["write_segments"]
