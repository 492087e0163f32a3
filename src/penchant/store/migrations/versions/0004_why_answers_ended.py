"""Turns say why an answer ended, not only whether somebody stopped it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_turns = sa.table("turns", sa.column("finish", sa.Text), sa.column("stopped", sa.Boolean))


def upgrade() -> None:
    op.add_column("turns", sa.Column("finish", sa.Text))
    op.execute(_turns.update().where(_turns.c.stopped).values(finish="interrupted"))
    op.drop_column("turns", "stopped")


def downgrade() -> None:
    op.add_column("turns", sa.Column("stopped", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute(_turns.update().where(_turns.c.finish == "interrupted").values(stopped=True))
    op.drop_column("turns", "finish")
