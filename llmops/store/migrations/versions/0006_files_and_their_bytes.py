"""files and their bytes"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column(
        "ingested_files",
        sa.Column(
            "blob_hash",
            sa.String(length=64),
            nullable=True,
            comment="of the bytes as they were last read; none where they could not be read to their end",
        ),
    )
