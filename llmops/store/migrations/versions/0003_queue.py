"""queue"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("priority", sa.Integer(), server_default="1", nullable=False, comment="0 urgent, 1 bulk"))
    op.add_column("jobs", sa.Column("rate", sa.Double(), nullable=True, comment="what was done in a second, of late"))
    op.add_column("jobs", sa.Column("so_far", JSON, nullable=True, comment="the audit row to write where it ends before its end"))
    op.add_column("jobs", sa.Column("queued_at", sa.Double(), server_default="0", nullable=False, comment="when it was last ordered"))
    op.add_column("jobs", sa.Column("started_at", sa.Double(), nullable=True, comment="when it was first run since then"))
    op.drop_index(op.f("ix_jobs_state_row"), table_name="jobs")
    op.create_index("ix_jobs_lane_state_row", "jobs", ["lane", "state", "row"], unique=False)
    op.create_index("ix_jobs_state_priority_row", "jobs", ["state", "priority", "row"], unique=False)
    op.execute("update jobs set queued_at = created_at")
    if op.get_bind().dialect.name == "postgresql":  # SQLite's integers hold bytes of any number
        for column in ("done", "total"):
            op.alter_column("jobs", column, type_=sa.BigInteger(), existing_type=sa.Integer(), existing_nullable=False)
