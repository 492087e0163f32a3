"""The list of a user's conversations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from penchant.store.encryption.rows import rows_of
from penchant.store.schema import conversations, moment, turns

_OPENING = 80  # characters


@dataclass(frozen=True)
class ConversationEntry:
    """One conversation in the list. turns: how many are stored. begun, last: UTC; last is the time of the newest turn
    (None: no turn has a time). opening: the beginning of the first user turn, on one line. system: the system prompt.
    next: the number of the next turn; numbers of erased turns aren't used again. off_record: whether nothing that is
    said from now on is kept.
    """

    id: str
    turns: int
    begun: datetime
    last: datetime | None = None
    opening: str = ""
    system: str | None = None
    next: int = 0
    off_record: bool = False


def entries(connection: sa.Connection, owner: int, conversation: str | None = None) -> list[ConversationEntry]:
    """Return a user's conversations, or one of them; the most recently used comes first. owner: the user's row."""
    asked = conversations.c.user == owner
    if conversation is not None:
        asked &= conversations.c.id == conversation
    counted = (
        sa.select(conversations, sa.func.count(turns.c.key).label("turns"), sa.func.max(turns.c.when).label("last"))
        .outerjoin(turns, turns.c.conversation == conversations.c.key)
        .where(asked)
        .group_by(conversations.c.key)
    )
    first = (
        sa.select(turns.c.conversation, sa.func.min(turns.c.number).label("number"))
        .join(conversations, conversations.c.key == turns.c.conversation)
        .where(asked, turns.c.role == "user")
        .group_by(turns.c.conversation)
        .subquery()
    )
    mine = rows_of(connection, owner)
    text = turns.c.text if mine.cipher else sa.func.substr(turns.c.text, 1, 4 * _OPENING, type_=turns.c.text.type)
    begins = sa.select(turns.c.conversation, turns.c.number, turns.c.sealed, text.label("text")).join(
        first, (first.c.conversation == turns.c.conversation) & (first.c.number == turns.c.number)
    )
    openings: Mapping[int, str] = {
        row["conversation"]: mine.opened(turns, row)["text"] for row in connection.execute(begins).mappings()
    }
    rows = [mine.opened(conversations, row) for row in connection.execute(counted).mappings()]
    ordered = sorted(rows, key=lambda row: (row["begun"] if row["last"] is None else row["last"], row["key"]))
    return [
        ConversationEntry(
            id=row["id"],
            turns=row["turns"],
            begun=moment(row["begun"]),
            last=moment(row["last"]),
            opening=_opening(openings.get(row["key"], "")),
            system=row["system"],
            next=row["next"],
            off_record=row["off_record"],
        )
        for row in reversed(ordered)
    ]


def one_line(text: str) -> str:
    """Return a text without line ends and control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _opening(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _OPENING else line[: _OPENING - 1].rstrip() + "…"
