"""A document as it came, and a chunk in its place: what lies behind a hit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from llmops.errors import NotPermitted, UnknownName
from llmops.store import blobs
from llmops.store.store import Connection
from llmops.types import Asker, Json
from vectorstore.documents import find, find_live
from vectorstore.rows import listing, originals

AROUND = 400
"""Code points of the text before and after a chunk that are shown with it."""
_CHUNK_ID = re.compile(r"chk_([0-9a-f]{32})_([1-9][0-9]{0,8})_(0|[1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True)
class Original:
    """The bytes of a file as they were handed in, and a file name for them, without folders."""

    name: str
    content: bytes


def original(connection: Connection, asker: Asker, document_id: str, version: int | None = None) -> Original:
    """The bytes that a document was read from: of its newest version, or of one that is named.

    A file may hold documents of others, as a row of a CSV file beside other rows. So a key gets the bytes only where it may
    read every document of the file that has just these bytes as it was last read; others only the owner gets.
    Raises `NotPermitted`, and `UnknownName` where there is no such document or version, or its bytes were let go of.
    """
    found = (find_live if version is None else find)(connection, asker, document_id)
    if not found["version"]:
        raise UnknownName("original", document_id, hint=f"it was never read: {found['error']}")
    wanted = version or found["version"]
    blob = originals.blob_of(connection, found["row"], wanted)
    if blob is None:
        raise UnknownName("version", str(wanted), hint=f"the newest is {found['version']}")
    place = found["collection_row"], found["source"]
    file = originals.file_of(connection, *place, blob, found["external_id"])
    if not asker.owner and (file is None or not originals.may_read_all(connection, *place, file[1].external_ids, asker)):
        raise NotPermitted("the file of this document is not for this key as a whole", hint="GET .../text gives the document's own text")
    content = blobs.load(connection, blob)
    if content is None:
        raise UnknownName("original", document_id, hint="[retention] originals let go of its bytes")
    return Original(PurePosixPath(found["external_id"] if file is None else file[0]).name or document_id, content)


def chunk_in_place(connection: Connection, asker: Asker, chunk_id: str, around: int = AROUND) -> Json:
    """A chunk with the text before and after it; also one of an earlier version. Raises `UnknownName`."""
    parts = _CHUNK_ID.fullmatch(chunk_id)
    if parts is None:
        raise _no_chunk(chunk_id)
    document_id, number, ordinal = f"doc_{parts[1]}", int(parts[2]), int(parts[3])
    document = listing.document(connection, document_id, asker)
    version = listing.version(connection, document["row"], number) if document else None
    if document is None or version is None:
        raise _no_chunk(chunk_id)
    chunks = listing.chunks_of(connection, document_id, document["row"], number, version["text"], ordinal)
    if not chunks:
        raise _no_chunk(chunk_id)
    (chunk,), text = chunks, version["text"]
    return {
        **{name: document[name] for name in ("document_id", "external_id", "source", "collection")},
        "version": number,
        "title": version["title"],
        **chunk,
        "before": text[max(0, chunk["start"] - around) : chunk["start"]],
        "after": text[chunk["end"] : chunk["end"] + around],
        "newest": number == document["version"] and document["state"] != "withdrawn",
    }


def _no_chunk(chunk_id: str) -> UnknownName:
    return UnknownName("chunk", chunk_id[:100], hint="`llmops search` and `llmops documents show` tell the ids of chunks")
