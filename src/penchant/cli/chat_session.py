"""The state of `penchant chat` between two turns: the open conversation and the last answer."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

from penchant.cli.chat_terminal import Waiting, Wrapped, stoppable
from penchant.conversation.answers import ChatAnswer
from penchant.conversation.session import Conversation
from penchant.errors import InputError
from penchant.hints import command
from penchant.history.dialogue import Exchange
from penchant.personalizer import Personalizer
from penchant.store import Store


@dataclass(frozen=True)
class LastAnswer:
    """An answer, and the exchanges before it."""

    answer: ChatAnswer
    past: tuple[Exchange, ...]


@dataclass
class Session:
    """A chat session. options: for `Personalizer.conversation`; sampling: for `Conversation.stream`. name: "" for a
    conversation that hasn't begun, of which nothing is kept until something is said. system: the system prompt of the
    first conversation and of new ones. at_terminal: Ctrl-C only stops an answer.
    """

    user: str
    store: Store
    personalizer: Personalizer
    waiting: Waiting
    at_terminal: bool
    name: str = ""
    system: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    last: LastAnswer | None = None
    _opened: Conversation | None = None
    _begun_here: bool = False

    def __post_init__(self) -> None:
        self._system = self.system  # of the conversation that is opened next

    @property
    def conversation(self) -> Conversation:
        """Return the open conversation; it is begun, or read from the store, on first use."""
        if self._opened is None:
            self._begun_here |= not self.old
            self._opened = self._open(self.name, self._system)
            self.name, self._system = self._opened.name, None
        return self._opened

    @property
    def answering(self) -> str:
        """Return what answers, and what marks, for people."""
        local, endpoint = self.personalizer.loaded.name, self.personalizer.endpoint
        return local if endpoint is None else f"{endpoint.model} at {endpoint.base_url} · marks by {local}"

    @property
    def old(self) -> bool:
        """Whether the conversation is in the store already."""
        return bool(self.name) and _known(self.store, self.user, self.name)

    def reread(self) -> None:
        """Read the conversation from the store again on its next use: it may have changed."""
        self._opened = None

    def go(self, name: str = "") -> None:
        """Switch to another conversation, or to a new one. Raises `InputError` for an unknown name."""
        opened = None
        if name:
            check_known(self.store, self.user, name)
            opened = self._open(name, None)
        self.close()
        self._begin(name, opened)

    def erase(self) -> tuple[str, ...]:
        """Erase the conversation and be ready for a new one. Returns the ids of erased records."""
        conversation = self.conversation
        records = self.store.conversations.forget(self.user, self.name)
        conversation.memory.forget(conversation.key)
        self._begin()
        return records

    def close(self) -> None:
        """Erase a conversation that was begun here and has neither turns nor instructions."""
        if not (self.name and self._begun_here):
            return
        conversation = self.conversation
        written = any(one.conversation == self.name for one in conversation.instruction_store.all)
        if not conversation.turns and not written:
            self.erase()

    def say(self, text: str) -> ChatAnswer | None:
        """Say a text and show the answer as it is generated; None if it was stopped."""
        return self._answer(self.conversation.stream(text, **self.sampling))

    def retry(self) -> ChatAnswer | None:
        """Answer the last turn again, if its answer is missing or not complete."""
        return self._answer(self.conversation.retry(**self.sampling))

    def _begin(self, name: str = "", opened: Conversation | None = None) -> None:
        self.name, self._opened, self.last, self._begun_here = name, opened, None, False
        self._system = None if name else self.system

    def _open(self, name: str, system: str | None) -> Conversation:
        return self.personalizer.conversation(self.user, name, system=system, **self.options)

    def _answer(self, pieces: Iterator[str | ChatAnswer]) -> ChatAnswer | None:
        past, self.last = self.conversation.past, None
        try:
            with stoppable(self.waiting) if self.at_terminal else nullcontext():
                answer = self._shown(pieces)
        except KeyboardInterrupt:
            if not self.at_terminal:
                raise
            self.reread()  # it may have been cut off anywhere
            return None
        if answer is not None:
            past, unkept = self.conversation.exchanges, self.conversation.unkept
            self.last = LastAnswer(answer, unkept.among(past) if answer.off_record else past)
        return answer

    def _shown(self, pieces: Iterator[str | ChatAnswer]) -> ChatAnswer | None:
        shown = Wrapped()
        # Close the stream at once, so that the answer so far is kept before anything else happens.
        with closing(cast("Generator[str | ChatAnswer]", pieces)) as made, shown, self.waiting("thinking"):
            for piece in made:
                self.waiting.over()
                if isinstance(piece, ChatAnswer):
                    return piece
                shown.write(piece)
                if self.waiting.asked_to_stop:
                    return None
        return None


def check_known(store: Store, user: str, name: str) -> None:
    """Raise `InputError` for a conversation that the user doesn't have."""
    if not _known(store, user, name):
        there = command("chat", user=user, list=True, **store.options)
        raise InputError(f"no conversation {name!r} of user {user!r}: {there} lists them")


def _known(store: Store, user: str, name: str) -> bool:
    return name in {entry.id for entry in store.conversations.list(user)}
