"""Columns for encrypted rows: the user's key by its name in the key store, and what it encrypted."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLES = ("records", "conversations", "turns", "instructions")


def upgrade() -> None:
    op.add_column("users", sa.Column("data_key", sa.Text))
    for table in _TABLES:
        op.add_column(table, sa.Column("sealed", sa.LargeBinary))
    op.create_table("encryption", sa.Column("check", sa.Text, primary_key=True))


def downgrade() -> None:
    op.drop_table("encryption")
    for table in _TABLES:
        op.drop_column(table, "sealed")
    op.drop_column("users", "data_key")
