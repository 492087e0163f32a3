"""Conversations in the store: turns and instructions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from penchant.errors import InputError
from penchant.history.dialogue import Instruction, Turn
from penchant.store import engine as database
from penchant.store.conversation_list import ConversationEntry, entries
from penchant.store.encryption.rows import rows_of
from penchant.store.erasure import redaction
from penchant.store.erasure import turns as turn_erasure
from penchant.store.keys import checked, conversation_key, find_conversation, find_user, made_users, user_key
from penchant.store.schema import (
    LAST_TURN,
    conversations,
    instructions,
    microseconds,
    to_instruction,
    to_instruction_row,
    to_turn,
    to_turn_row,
    turns,
)

_EXPORTED = 1_000  # turns per page


@dataclass(frozen=True)
class FoundTurn:
    """A search result: a turn and its conversation. score: BM25, above 0."""

    conversation: str
    turn: Turn
    score: float


# The class has a method named list.
_Entries = list[ConversationEntry]
_Turns = list[Turn]
_Instructions = list[Instruction]
_Found = list[FoundTurn]


class Conversations:
    """The conversations of all users of a store: `Store.conversations`. Writes are on disk when a method returns. Safe
    for several threads and processes.

    Methods that read or change a conversation raise `UnknownUserError` for an unknown user and `InputError` for an
    unknown conversation, or for an id that is empty, over 1,000 characters, or not printable.
    """

    def __init__(self, engine: sa.Engine, directory: Path) -> None:
        self._engine = engine
        self._directory = directory

    # Writing

    def open(self, user: str, conversation: str, *, system: str | None = None, when: datetime) -> ConversationEntry:
        """Open a conversation; it and the user are created if missing. when: the current time in UTC. system: the
        system prompt, which replaces an earlier one ("": none; None: leave it unchanged).
        """
        checked(user), checked(conversation, "conversation")
        _check_opening(conversation, system, when)
        with database.writing(self._engine) as connection:
            owner = made_users(connection, {user})[user]
            key = find_conversation(connection, owner, conversation)
            if key is None:
                row = {"user": owner, "id": conversation, "system": system or None, "begun": microseconds(when)}
                row = rows_of(connection, owner).closed(conversations, row)
                connection.execute(sa.insert(conversations).values(**row, next=0))
            elif system is not None:
                changed = sa.update(conversations).where(conversations.c.key == key)
                row = rows_of(connection, owner).closed(conversations, {"id": conversation, "system": system or None})
                connection.execute(changed.values(row))
            (entry,) = entries(connection, owner, conversation)
        return entry

    def add(self, user: str, conversation: str, *given: Turn) -> None:
        """Store turns, all or none. Raises `InputError` if the first one isn't the next one, or they don't follow one
        another: another process is writing to the conversation, or a turn is already stored.
        """
        rows = [to_turn_row(turn) for turn in given]
        if not rows:
            return
        numbers = [turn.number for turn in given]
        with database.writing(self._engine) as connection:
            key = conversation_key(connection, user, conversation)
            wanted = connection.execute(sa.select(conversations.c.next).where(conversations.c.key == key)).scalar_one()
            if numbers != list(range(wanted, wanted + len(rows))):
                raise InputError(
                    f"turn {numbers[0]} can't be added to conversation {conversation!r}: expected number {wanted}; "
                    "read its turns again, as another process may be writing to it"
                )
            moved = sa.update(conversations).where(conversations.c.key == key)
            connection.execute(moved.values(next=wanted + len(rows)))
            mine = rows_of(connection, user_key(connection, user))
            stored = [mine.closed(turns, {"conversation": key, **row}) for row in rows]
            connection.execute(sa.insert(turns), stored)

    def set_off_record(self, user: str, conversation: str, off_record: bool) -> None:
        """Store whether a conversation is off the record from now on: whoever continues it keeps nothing."""
        with database.writing(self._engine) as connection:
            key = conversation_key(connection, user, conversation)
            changed = sa.update(conversations).where(conversations.c.key == key).values(off_record=off_record)
            connection.execute(changed)

    def put(self, user: str, *given: Instruction) -> None:
        """Store instructions, all or none: new ones, and changes to known ones. The user is created if missing.

        Raises `InputError` for an instruction of a conversation or turn that doesn't exist (erased ones must not come
        back), and for an id that an instruction of another conversation has.
        """
        checked(user)
        rows = [(one, to_instruction_row(one)) for one in given if checked(one.id, "instruction")]
        if not rows:
            return
        with database.writing(self._engine) as connection:
            owner = made_users(connection, {user})[user]
            keys = {
                name: conversation_key(connection, user, name) for name in {one.conversation for one in given} - {""}
            }
            known = sa.select(instructions.c.id, instructions.c.conversation).where(
                instructions.c.user == owner, instructions.c.id.in_([one.id for one in given])
            )
            there = {row.id: row.conversation for row in connection.execute(known)}
            closing = rows_of(connection, owner)
            for one, given_row in rows:
                row = closing.closed(instructions, given_row)
                key = keys.get(one.conversation)
                _check_turn(connection, one, key)
                if one.id not in there:
                    connection.execute(sa.insert(instructions).values(user=owner, conversation=key, **row))
                    there[one.id] = key
                elif there[one.id] == key:
                    mine = (instructions.c.user == owner) & (instructions.c.id == one.id)
                    connection.execute(sa.update(instructions).where(mine).values(row))
                else:
                    raise InputError(
                        f"instruction {one.id!r} was given in another conversation: expected an id that is unique "
                        f"among all of user {user!r}; give it another"
                    )

    # Reading

    def off_record(self, user: str, conversation: str) -> bool:
        """Return whether a conversation is off the record."""
        with database.reading(self._engine) as connection:
            key = conversation_key(connection, user, conversation)
            found = connection.execute(sa.select(conversations.c.off_record).where(conversations.c.key == key))
            return bool(found.scalar_one())

    def list(self, user: str) -> _Entries:
        """Return a user's conversations, the most recently used first; none for an unknown user."""
        with database.reading(self._engine) as connection:
            owner = find_user(connection, user)
            return [] if owner is None else entries(connection, owner)

    def find(self, user: str, conversation: str) -> ConversationEntry | None:
        """Return a conversation; None: the user has none of this name, or is unknown."""
        checked(user), checked(conversation, "conversation")
        with database.reading(self._engine) as connection:
            owner = find_user(connection, user)
            found = [] if owner is None else entries(connection, owner, conversation)
        return found[0] if found else None

    def turns(self, user: str, conversation: str, after: int = -1) -> _Turns:
        """Return the turns after a number, in order."""
        with database.reading(self._engine) as connection:
            key = conversation_key(connection, user, conversation)
            where = (turns.c.conversation == key) & (turns.c.number > after)
            rows = connection.execute(sa.select(turns).where(where).order_by(turns.c.number)).mappings()
            mine = rows_of(connection, user_key(connection, user))
            return [to_turn(mine.opened(turns, row)) for row in rows]

    def instructions(self, user: str, conversation: str | None) -> _Instructions:
        """Return the instructions of a conversation and those that hold in all, in the order they were given, ended
        ones included; conversation None: all of the user's. An unknown user has none.
        """
        with database.reading(self._engine) as connection:
            if (owner := find_user(connection, user)) is None:
                return []
            named = sa.select(instructions, conversations.c.id.label("named")).outerjoin(
                conversations, conversations.c.key == instructions.c.conversation
            )
            query = named.where(instructions.c.user == owner).order_by(instructions.c.key)
            if conversation is not None:
                here = conversations.c.id == checked(conversation, "conversation")
                query = query.where(here | (instructions.c.scope == "always"))
            mine = rows_of(connection, owner)
            return [to_instruction(mine.opened(instructions, row)) for row in connection.execute(query).mappings()]

    def search(self, user: str, query: str, limit: int = 10) -> _Found:
        """Search all of a user's conversations for turns that share words with a query: best first by BM25, and of
        equals the newer first; none for an unknown user.
        """
        if limit < 1:
            raise InputError(f"a search for {limit} turns: expected at least 1; raise the limit")
        # Reads every turn: a stored index of words would have to be erased turn by turn as well.
        found = list(self.all_turns(user))
        if not found:
            return []
        from penchant.text.bm25 import TextIndex  # a slow import

        scores = TextIndex([turn.text for _, turn in found], language=None).scores(query)
        order = sorted(range(len(found)), key=lambda at: (scores[at], at), reverse=True)
        return [FoundTurn(*found[at], float(scores[at])) for at in order[:limit] if scores[at] > 0]

    def export(self, user: str) -> Iterator[str]:
        """Yield all turns, then all instructions, as lines of JSON. A system prompt is a line with the role "system"
        and no number; a conversation that is off the record has a line that says so. Raises `UnknownUserError` at the
        call.
        """
        with database.reading(self._engine) as connection:
            user_key(connection, user)
        return self._lines(user)

    # Erasing

    def forget_turns(
        self, user: str, conversation: str, numbers: Iterable[int], *, keep_index: bool = False
    ) -> tuple[str, ...]:
        """Erase turns, all or none, with everything that came from them: instructions given in them, the user's records
        whose meta names the conversation and one of the turns ({"conversation": id, "turn": n}) with all data derived
        from those, and the conversation's cached index. The database is rewritten and keeps nothing of them.

        Instructions that an erased one had superseded hold again, unless a later one supersedes them; instructions that
        ended at the time of an erased turn hold again. Numbers of erased turns aren't used again. If a record was
        erased, the index of the user's records is removed, unless `keep_index` says that the caller drops its rows.
        Returns the ids of erased records. Raises `InputError` for a turn that doesn't exist.
        """
        return turn_erasure.forget(
            self._engine, self._directory, user, conversation, set(numbers), keep_index=keep_index
        )

    def forget(self, user: str, conversation: str, *, keep_index: bool = False) -> tuple[str, ...]:
        """Erase a conversation, as `forget_turns` erases turns, with its system prompt and instructions. A user with no
        other data is removed as well.
        """
        return turn_erasure.forget(self._engine, self._directory, user, conversation, None, keep_index=keep_index)

    def redact(self, user: str, conversation: str, texts: Mapping[int, str]) -> None:
        """Replace the texts of turns, by number, all or none, and remove the conversation's cached index. Nothing of
        the old texts is left in the database. Records and instructions stay as they are. Raises `InputError` for a turn
        that doesn't exist.
        """
        redaction.redact(self._engine, self._directory, user, conversation, texts)

    def all_turns(self, user: str) -> Iterator[tuple[str, Turn]]:
        """Yield all turns of a user with their conversations, in the order they were stored."""
        last = -1
        while True:
            query = (
                sa.select(turns, conversations.c.id.label("named"))
                .join(conversations, conversations.c.key == turns.c.conversation)
                .where(turns.c.key > last)
                .order_by(turns.c.key)
                .limit(_EXPORTED)
            )
            with database.reading(self._engine) as connection:
                if (owner := find_user(connection, user)) is None:
                    return
                rows = connection.execute(query.where(conversations.c.user == owner)).mappings().all()
                mine = rows_of(connection, owner)
            yield from ((row["named"], to_turn(mine.opened(turns, row))) for row in rows)
            if len(rows) < _EXPORTED:
                return
            last = rows[-1]["key"]

    def _lines(self, user: str) -> Iterator[str]:
        for entry in sorted(self.list(user), key=lambda entry: (entry.begun, entry.id)):
            if entry.system:
                yield _line(conversation=entry.id, number=None, role="system", text=entry.system, when=entry.begun)
            if entry.off_record:
                yield _line(conversation=entry.id, off_record=True)
            for turn in self.turns(user, entry.id):
                fields = {"number": turn.number, "role": turn.role, "text": turn.text, "when": turn.when}
                stopped = {"stopped": True} if turn.finish == "interrupted" else {}
                finish = {} if turn.finish is None else {"finish": turn.finish}
                yield _line(conversation=entry.id, **fields, **stopped, **finish)
        for one in self.instructions(user, None):
            yield _line(instruction={name: getattr(one, name) for name in one.__dataclass_fields__})


def _line(**fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False, default=datetime.isoformat)


def _check_opening(conversation: str, system: str | None, when: datetime) -> None:
    if when.utcoffset() is None:
        raise InputError(f"conversation {conversation!r} begins at a time without a zone: expected one in UTC")
    try:
        (system or "").encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"the system prompt of conversation {conversation!r} can't be stored ({error}): expected whole characters; "
            "change the text"
        ) from None


def _check_turn(connection: sa.Connection, one: Instruction, conversation: int | None) -> None:
    """Raise `InputError` for an instruction whose turn doesn't exist."""
    if one.turn is None:
        return
    where = (turns.c.conversation == conversation) & (turns.c.number == one.turn)
    known = conversation is not None and 0 <= one.turn < LAST_TURN
    if not known or connection.execute(sa.select(turns.c.key).where(where)).first() is None:
        raise InputError(
            f"instruction {one.id!r} stands in turn {one.turn} of conversation {one.conversation!r}, which isn't "
            "there: expected a turn that was added and not erased; add the turn first"
        )
