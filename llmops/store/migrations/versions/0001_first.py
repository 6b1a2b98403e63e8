"""first"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "acls",
        sa.Column("id", sa.String(length=32), nullable=False, comment="hash of the sorted principals"),
        sa.Column("principals", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acls")),
    )
    op.create_table(
        "answers",
        sa.Column("row", ROW, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("workspace", sa.String(length=100), nullable=False),
        sa.Column("asker", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.Boolean(), nullable=False),
        sa.Column("principals", JSON, nullable=False),
        sa.Column("chain", sa.String(length=100), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("messages", JSON, nullable=False),
        sa.Column("search_query", sa.Text(), nullable=False),
        sa.Column("prompt", sa.String(length=300), nullable=False, comment="name and version"),
        sa.Column("collection", sa.String(length=100), nullable=False),
        sa.Column("seq", ROW, nullable=False),
        sa.Column("filter", JSON, nullable=True),
        sa.Column("encoder", sa.String(length=200), nullable=False),
        sa.Column("query_vector", sa.LargeBinary(), nullable=False),
        sa.Column("passages", JSON, nullable=False, comment="what was found: ids, offsets, scores; no text"),
        sa.Column("route", sa.String(length=100), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("citations", JSON, nullable=False),
        sa.Column("abstained", sa.Boolean(), nullable=False),
        sa.Column("evidence", sa.Double(), nullable=False, comment="what the decision to abstain rested on"),
        sa.Column("groundedness", sa.Double(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False, comment="complete, partial, failed"),
        sa.Column("finish_reason", sa.String(length=64), nullable=False),
        sa.Column("error", sa.String(length=2000), nullable=True),
        sa.Column("timings", JSON, nullable=False, comment="milliseconds by part"),
        sa.Column("tokens_in", sa.Integer(), nullable=False),
        sa.Column("tokens_out", sa.Integer(), nullable=False),
        sa.Column("cost", sa.Double(), nullable=False, comment="USD"),
        sa.Column("configuration", sa.String(length=64), nullable=False, comment="hash of the configuration"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("row", name=op.f("pk_answers")),
        sa.UniqueConstraint("id", name=op.f("uq_answers_id")),
    )
    op.create_index("ix_answers_workspace_row", "answers", ["workspace", "row"], unique=False)
    op.create_table(
        "audit",
        sa.Column("row", ROW, autoincrement=True, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("workspace", sa.String(length=100), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("object", sa.String(length=300), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("row", name=op.f("pk_audit")),
        sa.UniqueConstraint("hash", name=op.f("uq_audit_hash")),
    )
    op.create_index("ix_audit_workspace", "audit", ["workspace", "row"], unique=False)
    op.create_table(
        "blobs",
        sa.Column("hash", sa.String(length=64), nullable=False, comment="SHA-256 of the bytes, in hex"),
        sa.Column("size", ROW, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_blobs")),
    )
    op.create_table(
        "collections",
        sa.Column("row", ROW, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False, comment="random, so that what is derived from one store is never taken for another's"),
        sa.Column("workspace", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("encoder", sa.String(length=200), nullable=False, comment="identity of the encoder of its vectors"),
        sa.Column("seq", ROW, nullable=False, comment="moves by one with every batch that becomes visible or is withdrawn"),
        sa.Column("rights_seq", ROW, nullable=False, comment="moves by one with every change of rights"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("row", name=op.f("pk_collections")),
        sa.UniqueConstraint("id", name=op.f("uq_collections_id")),
        sa.UniqueConstraint("workspace", "name", name=op.f("uq_collections_workspace_name")),
    )
    op.create_table(
        "feedback",
        sa.Column("row", ROW, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("workspace", sa.String(length=100), nullable=False),
        sa.Column("answer_id", sa.String(length=40), nullable=False),
        sa.Column("rater", sa.String(length=200), nullable=False),
        sa.Column("rating", sa.String(length=8), nullable=False),
        sa.Column("better", sa.Text(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("row", name=op.f("pk_feedback")),
        sa.UniqueConstraint("answer_id", "rater", name=op.f("uq_feedback_answer_id_rater")),
        sa.UniqueConstraint("id", name=op.f("uq_feedback_id")),
    )
    op.create_table(
        "jobs",
        sa.Column("row", ROW, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False, comment="the part of kind `jobs` that carries it out"),
        sa.Column("workspace", sa.String(length=100), nullable=False),
        sa.Column("asker", sa.String(length=200), nullable=False),
        sa.Column("idempotency", sa.String(length=64), nullable=False, comment="hash of kind, workspace and payload"),
        sa.Column(
            "lane",
            sa.String(length=64),
            nullable=False,
            comment="jobs of one lane are carried out one after the other, in their order; '' is no lane",
        ),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False, comment="queued, running, done, failed, cancelled"),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("result", JSON, nullable=True),
        sa.Column("error", sa.String(length=2000), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=True, comment="the process that runs it"),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("row", name=op.f("pk_jobs")),
        sa.UniqueConstraint("id", name=op.f("uq_jobs_id")),
    )
    op.create_index("ix_jobs_idempotency", "jobs", ["idempotency"], unique=False)
    op.create_index("ix_jobs_state_row", "jobs", ["state", "row"], unique=False)
    op.create_table(
        "keys",
        sa.Column("id", sa.String(length=32), nullable=False, comment="the public part of the key"),
        sa.Column("workspace", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("user", sa.String(length=200), nullable=True),
        sa.Column("groups", JSON, nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False, comment="SHA-256 of the secret part"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        sa.UniqueConstraint("workspace", "name", name=op.f("uq_keys_workspace_name")),
    )
    op.create_table(
        "outbox",
        sa.Column("row", ROW, autoincrement=True, nullable=False),
        sa.Column("topic", sa.String(length=64), nullable=False, comment="the part of kind `deliveries` that delivers it"),
        sa.Column("key", sa.String(length=200), nullable=False, comment="what it is about; the delivery is idempotent in it"),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("row", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_topic_due_at", "outbox", ["topic", "due_at"], unique=False)
    op.create_table(
        "vectors",
        sa.Column("encoder", sa.String(length=200), nullable=False),
        sa.Column("text_hash", sa.LargeBinary(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False, comment="little-endian float32, of unit length"),
        sa.PrimaryKeyConstraint("encoder", "text_hash", name=op.f("pk_vectors")),
    )
    op.create_table(
        "acl_principals",
        sa.Column("principal", sa.String(length=200), nullable=False),
        sa.Column("acl_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["acl_id"], ["acls.id"], name=op.f("fk_acl_principals_acl_id")),
        sa.PrimaryKeyConstraint("principal", "acl_id", name=op.f("pk_acl_principals")),
    )
    op.create_table(
        "documents",
        sa.Column("row", ROW, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("workspace", sa.String(length=100), nullable=False),
        sa.Column("collection_row", ROW, nullable=False),
        sa.Column("source", sa.String(length=300), nullable=False),
        sa.Column("external_id", sa.String(length=1000), nullable=False),
        sa.Column("acl_id", sa.String(length=32), nullable=False),
        sa.Column("rights_seq", ROW, nullable=False, comment="the collection's rights_seq of the last change of acl_id"),
        sa.Column("state", sa.String(length=16), nullable=False, comment="ready, failed, withdrawn"),
        sa.Column("error", sa.String(length=2000), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False, comment="the newest version; 0 where none was ever readable"),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["acl_id"], ["acls.id"], name=op.f("fk_documents_acl_id")),
        sa.ForeignKeyConstraint(["collection_row"], ["collections.row"], name=op.f("fk_documents_collection_row")),
        sa.PrimaryKeyConstraint("row", name=op.f("pk_documents")),
        sa.UniqueConstraint("collection_row", "source", "external_id", name=op.f("uq_documents_collection_row_source_external_id")),
        sa.UniqueConstraint("id", name=op.f("uq_documents_id")),
    )
    op.create_table(
        "ingested_files",
        sa.Column("collection_row", ROW, nullable=False),
        sa.Column("source", sa.String(length=300), nullable=False),
        sa.Column("path", sa.String(length=1000), nullable=False, comment="relative to the folder that was ingested"),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False, comment="a file that is not read to its end is written down in parts"),
        sa.Column("fingerprint", sa.String(length=64), nullable=False, comment="hash of the bytes and of every option that shapes the result"),
        sa.Column("external_ids", JSON, nullable=False),
        sa.ForeignKeyConstraint(["collection_row"], ["collections.row"], name=op.f("fk_ingested_files_collection_row")),
        sa.PrimaryKeyConstraint("collection_row", "source", "path", "part", name=op.f("pk_ingested_files")),
    )
    op.create_table(
        "chunks",
        sa.Column("row", ROW, autoincrement=True, nullable=False),
        sa.Column("collection_row", ROW, nullable=False),
        sa.Column("document_row", ROW, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("heading", sa.String(length=1000), nullable=False),
        sa.Column("text_hash", sa.LargeBinary(), nullable=False, comment="SHA-256 of the text that was embedded"),
        sa.Column("text_number", ROW, nullable=False, comment="the first 4 bytes of text_hash as a number, which SQL can sum"),
        sa.Column("seq_from", ROW, nullable=False),
        sa.Column("seq_to", ROW, nullable=False),
        sa.ForeignKeyConstraint(["collection_row"], ["collections.row"], name=op.f("fk_chunks_collection_row")),
        sa.ForeignKeyConstraint(["document_row"], ["documents.row"], name=op.f("fk_chunks_document_row")),
        sa.PrimaryKeyConstraint("row", name=op.f("pk_chunks")),
        sa.UniqueConstraint("document_row", "version", "ordinal", name=op.f("uq_chunks_document_row_version_ordinal")),
    )
    op.create_index("ix_chunks_collection_row", "chunks", ["collection_row", "row"], unique=False)
    op.create_index("ix_chunks_collection_seq_to", "chunks", ["collection_row", "seq_to"], unique=False)
    op.create_table(
        "document_versions",
        sa.Column("document_row", ROW, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("collection_row", ROW, nullable=False),
        sa.Column("title", sa.String(length=1000), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False, comment="of all that the version was made of"),
        sa.Column("blob_hash", sa.String(length=64), nullable=False),
        sa.Column("seq_from", ROW, nullable=False),
        sa.Column("seq_to", ROW, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["blob_hash"], ["blobs.hash"], name=op.f("fk_document_versions_blob_hash")),
        sa.ForeignKeyConstraint(["collection_row"], ["collections.row"], name=op.f("fk_document_versions_collection_row")),
        sa.ForeignKeyConstraint(["document_row"], ["documents.row"], name=op.f("fk_document_versions_document_row")),
        sa.PrimaryKeyConstraint("document_row", "version", name=op.f("pk_document_versions")),
    )
    op.create_index("ix_document_versions_collection_seq", "document_versions", ["collection_row", "seq_to"], unique=False)
