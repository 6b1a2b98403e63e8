"""outbox drops"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "outbox_drops",
        sa.Column("topic", sa.String(length=64), nullable=False),
        sa.Column("dropped", ROW, nullable=False, comment="messages that were given up, for too many waited behind them"),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("topic", name=op.f("pk_outbox_drops")),
    )
