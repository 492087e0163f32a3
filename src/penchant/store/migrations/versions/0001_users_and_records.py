"""Users and their records."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "users",
        sa.Column("key", key, primary_key=True),
        # Users are paged in the order of their ids: by code points, in every database.
        sa.Column("id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False, unique=True),
    )
    op.create_table(
        "records",
        sa.Column("key", key, primary_key=True),
        sa.Column("user", key, sa.ForeignKey("users.key", ondelete="CASCADE"), nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("reply", sa.Text),
        sa.Column("label", sa.Text),
        sa.Column("when", sa.BigInteger),
        sa.Column("kind", sa.Text),
        sa.Column("meta", sa.Text),
        sa.UniqueConstraint("user", "id", name="one_id_a_user"),
    )


def downgrade() -> None:
    op.drop_table("records")
    op.drop_table("users")
