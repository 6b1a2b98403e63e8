"""Documents as they are listed, shown and withdrawn."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from server.shapes import ChunkId, Count, DocumentId, Metadata, Reply, SnapshotShape


class DocumentRow(Reply):
    """A document of a list. `version` is the newest; 0 where none was ever readable."""

    document_id: DocumentId
    external_id: str
    source: str
    state: Literal["ready", "failed"]
    error: str | None
    version: Count
    chunks: Count


class ChunkShape(Reply):
    """`text` is the document's text from code point `start` to `end`."""

    chunk_id: ChunkId
    start: Count
    end: Count
    page: int | None = Field(ge=1)
    heading: str
    text: str


class DocumentShape(Reply):
    """A document with what its newest version holds."""

    document_id: DocumentId
    external_id: str
    source: str
    state: Literal["ready", "failed"]
    error: str | None
    version: Count
    collection: str
    title: str
    metadata: Metadata
    chunks: list[ChunkShape]


class TextShape(Reply):
    """The text of a version, in which all offsets count."""

    document_id: DocumentId
    version: int = Field(ge=1)
    title: str
    text: str


class PlacedChunkShape(ChunkShape):
    """A chunk with the text of its document around it. `newest` tells whether a search can find it."""

    document_id: DocumentId
    external_id: str
    source: str
    collection: str
    version: int = Field(ge=1)
    title: str
    before: str
    after: str
    newest: bool


class WithdrawnShape(Reply):
    """`snapshot` is the first one without the document."""

    document_id: DocumentId
    withdrawn: Literal[True]
    snapshot: SnapshotShape
