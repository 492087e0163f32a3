"""A user's standing instructions: what a turn adds, supersedes and ends. Kept in the store, if there is one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from penchant.conversation.context import Detector, Found
from penchant.conversation.instructions.slots import conflict, normalised
from penchant.conversation.instructions.until import ended_until
from penchant.errors import InputError
from penchant.history.dialogue import Instruction, Scope, Turn
from penchant.store import Store

Instructions = tuple[Instruction, ...]

_REACH = {"until": 0, "conversation": 1, "always": 2}


class InstructionStore:
    """The instructions that concern one conversation: its own, and those of the user's other conversations that always
    hold.

    conversation: the one whose turns give them. store: where they are kept; None: in memory only.
    """

    def __init__(self, conversation: str = "", store: Store | None = None, user: str = "") -> None:
        self.conversation, self.store, self.user = conversation, store, user
        self._all: Instructions = ()
        if store is not None:
            self._all = tuple(store.conversations.instructions(user, conversation))

    @property
    def all(self) -> Instructions:
        """Return all instructions, including ended ones, in the order they were given."""
        return self._all

    @property
    def standing(self) -> Instructions:
        """Return those that haven't ended, in the order they were given. Some may be overridden for now (see
        `in_force`).
        """
        return tuple(one for one in self._all if one.active)

    @property
    def in_force(self) -> Instructions:
        """Return those to follow now, in the order they were given: standing, of this conversation or of scope
        "always", and not contradicted by a newer one. An instruction for today overrides a permanent one without ending
        it.
        """
        here = [one for one in self.standing if one.scope == "always" or one.conversation == self.conversation]
        return tuple(
            one for index, one in enumerate(here) if not any(conflict(newer, one) for newer in here[index + 1 :])
        )

    def update(self, turns: Sequence[Turn], detector: Detector) -> tuple[Instructions, Instructions]:
        """Learn from the last turn, the user's newest. Returns the instructions it added, and those it ended.

        Instructions whose "until" is met end first; words that meet it ("stop") end nothing else. Updating with the
        same turn again changes nothing.
        """
        turn = turns[-1]
        current = self._expired(turns, turn.when)
        found = detector(turn.text, [one for one in current if one.active])
        if current != self._all:
            found = Found(found.given)
        return self._save(self._applied(current, found, turn))

    def replay(self, turns: Sequence[Turn], detector: Detector) -> None:
        """Call `update` with every turn of the user, in order."""
        for index, turn in enumerate(turns):
            if turn.role == "user":
                self.update(turns[: index + 1], detector)

    def apply(self, found: Found, turn: Turn) -> tuple[Instructions, Instructions]:
        """Apply what a detector found in a turn. Returns the instructions it added, and those it ended.

        Those in `found.ended` end, by "user". An instruction that repeats a standing one, apart from case and
        punctuation, isn't added, nor is one of a turn that is read twice. A new one ends those that it contradicts
        (`conflict`), of its conversation or of scope "always", unless their scope is wider.
        """
        return self._save(self._applied(self._all, found, turn))

    def expire(self, turns: Sequence[Turn], now: datetime) -> None:
        """End instructions whose "until" is met. turns: those of this conversation; instructions of other conversations
        end by time only. See `ended_until`.
        """
        self._save(self._expired(turns, now))

    def add(self, text: str, scope: Scope = "conversation") -> Instruction:
        """Add an instruction that the user writes directly, verbatim. Raises `InputError` for an empty one."""
        added = self._written(text, scope)
        self._save((*self._all, added))
        return added

    def edit(self, name: str, text: str) -> Instruction:
        """Replace a standing instruction's text: the old one ends, and the new one will be erased with the turn that
        gave the old one. Raises `InputError` for an unknown id or an empty text.
        """
        old = self._find(name)
        new = replace(
            self._written(text, old.scope),
            conversation=old.conversation,
            turn=old.turn,
            slot=old.slot,
            until=old.until,
        )
        self._save((*_changed(self._all, _end(old, new.id, new.added)), new))
        return new

    def end(self, name: str) -> Instruction:
        """End a standing instruction. Raises `InputError` for an unknown id."""
        ended = _end(self._find(name), "user", datetime.now(UTC))
        self._save(_changed(self._all, ended))
        return ended

    def forget(self, turns: Sequence[int]) -> None:
        """Undo turns as if they had never been said: their instructions are removed, and those that they had ended hold
        again. In a store, `Conversations.forget_turns` has already done that.
        """
        if self.store is not None:
            self._all = tuple(self.store.conversations.instructions(self.user, self.conversation))
            return
        erased = {one.id for one in self._all if one.conversation == self.conversation and one.turn in turns}
        kept = [one for one in self._all if one.id not in erased]
        self._all = tuple(replace(one, ended=None, ended_by=None) if one.ended_by in erased else one for one in kept)

    def _applied(self, known: Instructions, found: Found, turn: Turn) -> Instructions:
        after = [_end(one, "user", turn.when) if one.active and one.id in found.ended else one for one in known]
        for given in found.given:
            name = instruction_id(self.conversation, turn.number, given.text)
            new = replace(given, id=name, conversation=self.conversation, turn=turn.number, added=turn.when)
            if any(one.id == new.id or _repeats(new, one) for one in after):
                continue
            after = [_end(one, new.id, turn.when) if _supersedes(new, one) else one for one in after]
            after.append(new)
        return tuple(after)

    def _expired(self, turns: Sequence[Turn], now: datetime | None) -> Instructions:
        return tuple(
            _end(one, "until", now)
            if one.active and ended_until(one, turns if one.conversation == self.conversation else (), now)
            else one
            for one in self._all
        )

    def _written(self, text: str, scope: Scope) -> Instruction:
        if not text.strip():
            raise InputError("the instruction is empty: expected some text")
        number = sum(one.turn is None for one in self._all)
        name = instruction_id(self.conversation, None, f"{number} {text}")
        return Instruction(name, text.strip(), self.conversation, scope=scope, added=datetime.now(UTC))

    def _find(self, name: str) -> Instruction:
        for one in self.standing:
            if one.id == name:
                return one
        raise InputError(f"no standing instruction {name!r}: expected an id that is in the list of instructions")

    def _save(self, after: Instructions) -> tuple[Instructions, Instructions]:
        """Save changes in one transaction. Returns the instructions that are new, and those that ended."""
        before = {one.id: one for one in self._all}
        changed = [one for one in after if before.get(one.id) != one]
        if self.store is not None and changed:
            self.store.conversations.put(self.user, *changed)
        self._all = after
        added = tuple(one for one in changed if one.id not in before)
        return added, tuple(one for one in changed if one.id in before and not one.active and before[one.id].active)


def instruction_id(conversation: str, turn: int | None, text: str) -> str:
    """Return the id of an instruction: the same if the same turn is read again."""
    parts = "\x1f".join([conversation, "" if turn is None else str(turn), text])
    return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _changed(known: Iterable[Instruction], changed: Instruction) -> Instructions:
    return tuple(changed if one.id == changed.id else one for one in known)


def _end(one: Instruction, by: str, when: datetime | None) -> Instruction:
    # An instruction is active while it has no end, so a turn without a time needs one: when it was added, or the
    # earliest.
    return replace(one, ended=when or one.added or datetime.min, ended_by=by)


def _repeats(new: Instruction, old: Instruction) -> bool:
    return old.active and _reached(old, new) and normalised(new.text) == normalised(old.text)


def _supersedes(new: Instruction, old: Instruction) -> bool:
    return old.active and _reached(old, new) and _REACH[new.scope] >= _REACH[old.scope] and conflict(new, old)


def _reached(old: Instruction, new: Instruction) -> bool:
    return old.conversation == new.conversation or old.scope == "always"
