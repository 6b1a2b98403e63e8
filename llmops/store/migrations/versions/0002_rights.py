"""rights"""

import hashlib
import json

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False, comment="always 1"),
        sa.Column("entries", ROW, nullable=False, comment="how many audit rows there are"),
        sa.Column("hash", sa.String(length=64), nullable=False, comment="that of the newest"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.execute("insert into audit_head (id, entries, hash) select 1, (select count(*) from audit), hash from audit order by row desc limit 1")
    op.add_column("audit", sa.Column("origin", sa.String(length=100), nullable=True, comment="where the call came from"))
    for column in (
        sa.Column("scopes", JSON, nullable=True, comment="the permissions that the key is narrowed to; null: all of its role"),
        sa.Column("act_as", JSON, nullable=False, server_default="[]", comment="patterns of the principals that the key may speak for"),
        sa.Column("former_hash", sa.String(length=64), nullable=True, comment="that of the secret before the last rotation"),
        sa.Column("former_until", sa.Double(), nullable=True, comment="until when the former secret is good"),
        sa.Column("used_at", sa.Double(), nullable=True, comment="the last use, to the minute"),
    ):
        op.add_column("keys", column)
    told = "how often it was said within a minute of the last time"
    op.add_column("feedback", sa.Column("times", sa.Integer(), nullable=False, server_default="1", comment=told))
    op.create_index("ix_feedback_rater_created_at", "feedback", ["rater", "created_at"])
    _inherit()


def _inherit() -> None:
    """No table is made anew, for SQLite would take rows that refer to the old one with it.

    Until now a document without an access list of its own got that of its workspace: it inherits from now on.
    """
    connection = op.get_bind()
    op.add_column("collections", sa.Column("acl_id", sa.String(length=32), nullable=False, server_default="", comment="what its documents inherit"))
    inherits = sa.Column(
        "inherits", sa.Boolean(), nullable=False, server_default=sa.false(), comment="whether acl_id is the collection's and follows it"
    )
    op.add_column("documents", inherits)
    for (workspace,) in connection.execute(sa.text("select distinct workspace from collections")).all():
        principals = [f"workspace:{workspace}"]
        acl_id = hashlib.sha256(json.dumps(principals, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()[:32]
        where = {"acl": acl_id, "workspace": workspace}
        if connection.execute(sa.text("select 1 from acls where id = :acl"), where).first() is None:
            acls = sa.table("acls", sa.column("id"), sa.column("principals", JSON))
            named = sa.table("acl_principals", sa.column("principal"), sa.column("acl_id"))
            connection.execute(sa.insert(acls).values(id=acl_id, principals=principals))
            connection.execute(sa.insert(named).values(principal=principals[0], acl_id=acl_id))
        connection.execute(sa.text("update collections set acl_id = :acl where workspace = :workspace"), where)
        connection.execute(sa.text("update documents set inherits = true where acl_id = :acl and workspace = :workspace"), where)
