"""What was said in a conversation: its turns, in memory and in the store. What is erased leaves both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from penchant.conversation.past import marked
from penchant.conversation.retention.forgetting import Forgotten, forget, forget_in_memory
from penchant.conversation.retention.wishes import ForgetRequest
from penchant.errors import InputError
from penchant.history.dialogue import Turn
from penchant.store import Store


class TurnLog:
    """The turns of one conversation, oldest first; in memory only without a store. next: the next turn's number."""

    def __init__(self, user: str, name: str, store: Store | None) -> None:
        self.user, self.name, self.store = user, name, store
        self.turns: list[Turn] = []
        self.next = 0

    def open(self, system: str | None, when: datetime) -> str:
        """Read what is stored, beginning the conversation if there is none. system: the system prompt; None: the
        previous one. Returns the system prompt.
        """
        if self.store is None:
            return system or ""
        opened = self.store.conversations.open(self.user, self.name, system=system, when=when)
        self.next = opened.next
        self._read(self.store)
        return opened.system or ""

    def off_record(self, lasting: bool | None) -> bool | None:
        """Store a wish about all turns from now on, so that it outlives this process; lasting None: there is none.
        Returns what holds, which another process may have changed; None without a store.
        """
        if self.store is None:
            return lasting
        if lasting is not None:
            self.store.conversations.set_off_record(self.user, self.name, lasting)
        return self.store.conversations.off_record(self.user, self.name)

    def keep(self, turn: Turn) -> None:
        """Add a turn; when this returns, it is stored."""
        if self.store is not None:
            self.store.conversations.add(self.user, self.name, turn)
        self.turns.append(turn)
        self.next = turn.number + 1

    def erase(self, numbers: Sequence[int]) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
        """Erase turns, a user's turn with its answers. Returns the erased turns, and the ids of the records that
        had been made from them. Raises `InputError` for a turn that doesn't exist; then nothing is erased.
        """
        there = {turn.number for turn in self.turns}
        for number in numbers:
            if number not in there:
                raise InputError(f"no turn {number} in this conversation: expected the number of an existing turn")
        gone = _with_answers(self.turns, set(numbers))
        records: tuple[str, ...] = ()
        if self.store is not None:
            records = self.store.conversations.forget_turns(self.user, self.name, [turn.number for turn in gone])
        self.turns = [turn for turn in self.turns if turn not in gone]
        return gone, records

    def forget(self, requests: Sequence[ForgetRequest], code: str) -> Forgotten:
        """Erase what a user asks to forget, wherever the user said it. code: the language of the requests."""
        if self.store is None:
            self.turns, forgotten = forget_in_memory(self.turns, requests, code, self.name)
            return forgotten
        forgotten = forget(self.store, self.user, self.name, requests, code)
        self._read(self.store)
        return forgotten

    def _read(self, store: Store) -> None:
        self.turns = [marked(turn) for turn in store.conversations.turns(self.user, self.name)]


def _with_answers(turns: Iterable[Turn], numbers: set[int]) -> tuple[Turn, ...]:
    """Return these turns and the answers to the user's turns among them: otherwise the answers would count as answers
    to the turn before.
    """
    found: list[Turn] = []
    answers_erased = False
    for turn in turns:
        if turn.role == "user":
            answers_erased = turn.number in numbers
        if answers_erased or turn.number in numbers:
            found.append(turn)
    return tuple(found)
