"""Revision numbers of users' records, columns for the turn that a record came from, and sizes in tokens."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PAGE = 5_000


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.add_column("users", sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("records", sa.Column("conversation", sa.Text))
    op.add_column("records", sa.Column("turn", sa.Integer))
    _link(op.get_bind())
    op.create_index("records_of_a_conversation", "records", ["user", "conversation"])
    op.create_table(
        "token_counts",
        sa.Column("user", key, sa.ForeignKey("users.key", ondelete="CASCADE"), primary_key=True),
        sa.Column("tokenizer", sa.Text, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
    )


def _link(connection: sa.Connection) -> None:
    """Fill the columns from the records' meta, by the rules of this revision of the schema."""
    records = sa.table(
        "records",
        sa.column("key", sa.BigInteger),
        sa.column("meta", sa.Text),
        sa.column("conversation", sa.Text),
        sa.column("turn", sa.Integer),
    )
    last = -1
    while True:
        page = sa.select(records.c.key, records.c.meta).where(records.c.key > last, records.c.meta.is_not(None))
        rows = connection.execute(page.order_by(records.c.key).limit(_PAGE)).all()
        found = [{"row": row.key, **link} for row in rows if (link := _named(json.loads(row.meta)))]
        if found:
            changed = sa.update(records).where(records.c.key == sa.bindparam("row"))
            values: dict[str, Any] = {name: sa.bindparam(f"to_{name}") for name in ("conversation", "turn")}
            connection.execute(changed.values(values), found)
        if len(rows) < _PAGE:
            return
        last = rows[-1].key


def _named(meta: object) -> dict[str, object] | None:
    if not isinstance(meta, dict):
        return None
    name, turn = meta.get("conversation"), meta.get("turn")
    if not isinstance(name, str) or not 0 < len(name) <= 1_000 or not name.isprintable():
        return None
    return {"to_conversation": name, "to_turn": turn if type(turn) is int and 0 <= turn < 1 << 31 else None}


def downgrade() -> None:
    op.drop_table("token_counts")
    op.drop_index("records_of_a_conversation", "records")
    op.drop_column("records", "turn")
    op.drop_column("records", "conversation")
    op.drop_column("users", "revision")
