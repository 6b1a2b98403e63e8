"""profiles"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "document_profiles",
        sa.Column("document_row", ROW, autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("before_seq", ROW, nullable=False, comment="where the collection stood when the run began that made the version"),
        sa.Column("characters", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False, comment="estimated"),
        sa.Column("language", sa.String(length=8), nullable=False, comment="what the text is written in, whatever its metadata say"),
        sa.Column("text_hash", sa.LargeBinary(), nullable=False, comment="the first 16 bytes of SHA-256"),
        sa.Column("signature", sa.LargeBinary(), nullable=False, comment="MinHash of the text's shingles; empty where it has no word"),
        sa.Column("vocabulary", sa.LargeBinary(), nullable=False, comment="words counted in buckets"),
        sa.Column("pii", JSON, nullable=False, comment="spans of personal data by their kind"),
        sa.ForeignKeyConstraint(
            ["document_row", "version"],
            ["document_versions.document_row", "document_versions.version"],
            name=op.f("fk_document_profiles_document_row"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("document_row", "version", name=op.f("pk_document_profiles")),
    )
    op.create_index("ix_document_profiles_text_hash", "document_profiles", ["text_hash"])
