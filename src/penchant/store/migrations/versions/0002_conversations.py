"""Conversations, their turns and instructions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "conversations",
        sa.Column("key", key, primary_key=True),
        sa.Column("user", key, sa.ForeignKey("users.key", ondelete="CASCADE"), nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("system", sa.Text),
        sa.Column("begun", sa.BigInteger, nullable=False),
        sa.Column("next", sa.Integer, nullable=False),
        sa.UniqueConstraint("user", "id", name="one_conversation_a_user"),
    )
    op.create_table(
        "turns",
        sa.Column("key", key, primary_key=True),
        sa.Column("conversation", key, sa.ForeignKey("conversations.key", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("when", sa.BigInteger),
        sa.Column("stopped", sa.Boolean, nullable=False),
        sa.UniqueConstraint("conversation", "number", name="one_number_a_conversation"),
    )
    op.create_table(
        "instructions",
        sa.Column("key", key, primary_key=True),
        sa.Column("user", key, sa.ForeignKey("users.key", ondelete="CASCADE"), nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("conversation", key, sa.ForeignKey("conversations.key", ondelete="CASCADE")),
        sa.Column("turn", sa.Integer),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("until", sa.Text),
        sa.Column("slot", sa.Text),
        sa.Column("added", sa.BigInteger),
        sa.Column("ended", sa.BigInteger),
        sa.Column("ended_by", sa.Text),
        sa.UniqueConstraint("user", "id", name="one_instruction_a_user"),
    )
    op.create_index("instructions_of_a_conversation", "instructions", ["conversation"])


def downgrade() -> None:
    op.drop_table("instructions")
    op.drop_table("turns")
    op.drop_table("conversations")
