"""Collections, documents and their versions, chunks, vectors, and who may read a document.

`seq_from ≤ n < seq_to` says when a version or a chunk is live; `FOREVER` is a `seq_to` that has not come.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, ForeignKey, ForeignKeyConstraint, Index, Integer, String, Table, Text, UniqueConstraint

from llmops.store.metadata import Bytes, Json, Row, metadata

FOREVER = 2**62

collections = Table(
    "collections",
    metadata,
    Column("row", Row, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True, comment="random, so that what is derived from one store is never taken for another's"),
    Column("workspace", String(100), nullable=False),
    Column("name", String(100), nullable=False),
    Column("encoder", String(200), nullable=False, comment="identity of the encoder of its vectors"),
    Column("seq", Row, nullable=False, comment="moves by one with every batch that becomes visible or is withdrawn"),
    Column("rights_seq", Row, nullable=False, comment="moves by one with every change of rights"),
    Column("acl_id", String(32), nullable=False, comment="what its documents inherit"),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("workspace", "name"),
)

acls = Table(
    "acls",
    metadata,
    Column("id", String(32), primary_key=True, comment="hash of the sorted principals"),
    Column("principals", Json, nullable=False),
)

acl_principals = Table(
    "acl_principals",
    metadata,
    Column("principal", String(200), primary_key=True),
    Column("acl_id", String(32), ForeignKey("acls.id"), primary_key=True),
)

documents = Table(
    "documents",
    metadata,
    Column("row", Row, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("workspace", String(100), nullable=False),
    Column("collection_row", Row, ForeignKey("collections.row"), nullable=False),
    Column("source", String(300), nullable=False),
    Column("external_id", String(1000), nullable=False),
    Column("acl_id", String(32), ForeignKey("acls.id"), nullable=False),
    Column("inherits", Boolean, nullable=False, comment="whether acl_id is the collection's and follows it"),
    Column("rights_seq", Row, nullable=False, comment="the collection's rights_seq of the last change of acl_id"),
    Column("state", String(16), nullable=False, comment="ready, failed, withdrawn"),
    Column("error", String(2000)),
    Column("version", Integer, nullable=False, comment="the newest version; 0 where none was ever readable"),
    Column("chunks", Integer, nullable=False, default=0),
    Column("updated_at", Double, nullable=False),
    UniqueConstraint("collection_row", "source", "external_id"),
)

versions = Table(
    "document_versions",
    metadata,
    Column("document_row", Row, ForeignKey("documents.row"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("collection_row", Row, ForeignKey("collections.row"), nullable=False),
    Column("title", String(1000), nullable=False),
    Column("text", Text, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("content_hash", String(64), nullable=False, comment="of all that the version was made of"),
    Column("blob_hash", String(64), ForeignKey("blobs.hash"), nullable=False),
    Column("seq_from", Row, nullable=False),
    Column("seq_to", Row, nullable=False),
    Column("created_at", Double, nullable=False),
    info={"at_once": 20},
)
Index("ix_document_versions_collection_seq", versions.c.collection_row, versions.c.seq_to)

profiles = Table(
    "document_profiles",
    metadata,
    Column("document_row", Row, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("before_seq", Row, nullable=False, comment="where the collection stood when the run began that made the version"),
    Column("characters", Integer, nullable=False),
    Column("tokens", Integer, nullable=False, comment="estimated"),
    Column("language", String(8), nullable=False, comment="what the text is written in, whatever its metadata say"),
    Column("text_hash", Bytes, nullable=False, comment="the first 16 bytes of SHA-256"),
    Column("signature", Bytes, nullable=False, comment="MinHash of the text's shingles; empty where it has no word"),
    Column("vocabulary", Bytes, nullable=False, comment="words counted in buckets"),
    Column("pii", Json, nullable=False, comment="spans of personal data by their kind"),
    # A version that goes for good takes its profile with it.
    ForeignKeyConstraint(["document_row", "version"], ["document_versions.document_row", "document_versions.version"], ondelete="CASCADE"),
)
Index("ix_document_profiles_text_hash", profiles.c.text_hash)

chunks = Table(
    "chunks",
    metadata,
    Column("row", Row, primary_key=True, autoincrement=True),
    Column("collection_row", Row, ForeignKey("collections.row"), nullable=False),
    Column("document_row", Row, ForeignKey("documents.row"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("page", Integer),
    Column("heading", String(1000), nullable=False),
    Column("text_hash", Bytes, nullable=False, comment="SHA-256 of the text that was embedded"),
    Column("text_number", Row, nullable=False, comment="the first 4 bytes of text_hash as a number, which SQL can sum"),
    Column("seq_from", Row, nullable=False),
    Column("seq_to", Row, nullable=False),
    UniqueConstraint("document_row", "version", "ordinal"),
)
Index("ix_chunks_collection_row", chunks.c.collection_row, chunks.c.row)
Index("ix_chunks_collection_seq_to", chunks.c.collection_row, chunks.c.seq_to)

vectors = Table(
    "vectors",
    metadata,
    Column("encoder", String(200), primary_key=True),
    Column("text_hash", Bytes, primary_key=True),
    Column("vector", Bytes, nullable=False, comment="little-endian float32, of unit length"),
)

files = Table(
    "ingested_files",
    metadata,
    Column("collection_row", Row, ForeignKey("collections.row"), primary_key=True),
    Column("source", String(300), primary_key=True),
    Column("path", String(1000), primary_key=True, comment="relative to the folder that was ingested"),
    Column("part", Integer, primary_key=True, autoincrement=False, comment="a file that is not read to its end is written down in parts"),
    Column("fingerprint", String(64), nullable=False, comment="hash of the bytes and of every option that shapes the result"),
    Column("external_ids", Json, nullable=False),
    Column("blob_hash", String(64), comment="of the bytes as they were last read; none where they could not be read to their end"),
)
