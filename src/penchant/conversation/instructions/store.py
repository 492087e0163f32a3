"""The instructions of a conversation, as they are given, changed and ended; kept in the store, where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from penchant.conversation.context import Detector
from penchant.conversation.instructions.ledger import after_turn, expire, in_force, instruction_id
from penchant.errors import InputError
from penchant.history.dialogue import Instruction, Scope, Turn
from penchant.store import Store


class Notebook:
    """What a user's instructions are. conversation: whose turns they are given in; the user's lasting ones of other
    conversations stand here too. Without a store, in memory only."""

    def __init__(self, conversation: str, store: Store | None = None, user: str = "") -> None:
        self.conversation, self.store, self.user = conversation, store, user
        self._all: tuple[Instruction, ...] = ()
        if store is not None:
            self._all = tuple(store.conversations.instructions(user, conversation))

    @property
    def standing(self) -> tuple[Instruction, ...]:
        """In the order they were given; those that others go before for now, too (see `in_force`)."""
        return tuple(one for one in self._all if one.stands)

    @property
    def in_force(self) -> tuple[Instruction, ...]:
        """Those to be followed now, in the order they were given."""
        return in_force(self._all, self.conversation)

    @property
    def written(self) -> tuple[Instruction, ...]:
        """All, ended ones too, in the order they were given."""
        return self._all

    def read(
        self, turns: Sequence[Turn], detector: Detector
    ) -> tuple[tuple[Instruction, ...], tuple[Instruction, ...]]:
        """Writes down what the last of the turns, the user's newest, says: those that are new, and those that no longer
        stand. Reading the same turn again changes nothing."""
        before = {one.id: one for one in self._all}
        after = after_turn(self._all, turns, detector, self.conversation)
        given = tuple(one for one in after if one.id not in before)
        ended = tuple(one for one in after if not one.stands and one.id in before and before[one.id].stands)
        self._put([*given, *ended])
        return given, ended

    def write(self, text: str, scope: Scope = "conversation") -> Instruction:
        """An instruction that the user writes down directly, as it is. Raises `InputError` for an empty one."""
        made = self._made(text, scope)
        self._put([made])
        return made

    def amend(self, name: str, text: str) -> Instruction:
        """The instruction of that id in other words: the old one ends, the new one takes its place, and goes with the
        turn that gave the old one."""
        old = self._standing(name)
        made = self._made(text, old.scope)
        made = replace(made, conversation=old.conversation, turn=old.turn, slot=old.slot, until=old.until)
        self._put([made, replace(old, ended=made.added, ended_by=made.id)])
        return made

    def end(self, name: str) -> Instruction:
        """Ends a standing instruction. Raises `InputError` for an unknown id."""
        ended = replace(self._standing(name), ended=datetime.now(UTC), ended_by="user")
        self._put([ended])
        return ended

    def end_overdue(self, turns: Sequence[Turn], now: datetime) -> None:
        """Ends what was to stand only until something that has come."""
        after = expire(self._all, turns, conversation=self.conversation, now=now)
        self._put([new for new, old in zip(after, self._all, strict=True) if new != old])

    def forget(self, turns: Sequence[int]) -> None:
        """As if these turns had never been: what was given in them is gone, and what that had ended stands again. In a
        store `Conversations.forget_turns` has done that already."""
        if self.store is not None:
            self._all = tuple(self.store.conversations.instructions(self.user, self.conversation))
            return
        erased = {one.id for one in self._all if one.conversation == self.conversation and one.turn in turns}
        kept = [one for one in self._all if one.id not in erased]
        self._all = tuple(replace(one, ended=None, ended_by=None) if one.ended_by in erased else one for one in kept)

    def _made(self, text: str, scope: Scope) -> Instruction:
        if not text.strip():
            raise InputError("the instruction is empty: expected some text")
        number = sum(one.turn is None for one in self._all)
        name = instruction_id(self.conversation, None, f"{number} {text}")
        return Instruction(name, text.strip(), self.conversation, scope=scope, added=datetime.now(UTC))

    def _standing(self, name: str) -> Instruction:
        for one in self.standing:
            if one.id == name:
                return one
        raise InputError(f"no standing instruction {name!r}: expected an id that is in the list of instructions")

    def _put(self, changed: Sequence[Instruction]) -> None:
        if self.store is not None and changed:
            self.store.conversations.put(self.user, *changed)
        known = {one.id: one for one in self._all} | {one.id: one for one in changed}
        self._all = tuple(known.values())
