"""A conversation with one user: turns are stored, a prompt is made from what matters in them, and the model answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from penchant import arguments
from penchant.compression.profile import Profile
from penchant.conversation.answers import ChatAnswer, ErasedTurns, Learned
from penchant.conversation.context import Context, Detector, Dialogue, Memory
from penchant.conversation.defaults import MAX_NEW_TOKENS
from penchant.conversation.facts import records_of
from penchant.conversation.instructions.store import InstructionStore
from penchant.conversation.past import readable, without_courtesies, without_others, without_told
from penchant.conversation.retention import Wish, wish_in
from penchant.conversation.retention.forgetting import Forgotten
from penchant.conversation.retention.replies import reply_to
from penchant.conversation.retention.unkept import Unkept
from penchant.conversation.speaking import Say, Speaker
from penchant.conversation.turn_log import TurnLog
from penchant.errors import InputError
from penchant.history.dialogue import Exchange, Instruction, Turn, exchanges
from penchant.inference.endpoint import Endpoint, EndpointStream
from penchant.lens.calibration import Calibration
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import opening_ids
from penchant.store import Store
from penchant.store.conversations import FoundTurn
from penchant.text.reasoning import split_reasoning

Notes = Callable[[str], Profile | None]
"""Makes a profile of the user's history for a question; None if there is nothing to say."""


@arguments.checked
class Conversation:
    """One conversation of one user. `say` answers a turn; everything said is kept in the store, if there is one, except
    what the user says off the record (docs/methods/retention.md).

    user, name: identify the conversation; an existing one is continued. memory: makes the prompt. detector: finds
    standing instructions. budget: most tokens of a whole prompt, without the answer. notes: makes a profile of the
    user's history for a question. priority: nats added to the attention on the instructions (0: none), in the heads of
    `calibration`. system: the system prompt; None: the previous one. unkept: what this process has heard of the
    conversation off the record (None: nothing yet). endpoint: answers in the model's place; the model still makes the
    prompts and counts their tokens.

    A user's turn is stored before it is answered: after a crash the turn is there without an answer. Turns of one
    conversation run one after the other. Raises `InputError` for a store without a user, or a budget that leaves no
    room for an answer.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        memory: Memory,
        detector: Detector,
        *,
        budget: int,
        user: str = "",
        name: str = "",
        store: Store | None = None,
        system: str | None = None,
        notes: Notes | None = None,
        priority: float = 0.0,
        calibration: Calibration | None = None,
        unkept: Unkept | None = None,
        endpoint: Endpoint | None = None,
    ) -> None:
        if store is not None and not (user and name):
            raise InputError("a conversation in a store needs a user and a name: expected both")
        if not 0 < budget < loaded.window:
            raise InputError(
                f"a budget of {budget} tokens: expected more than 0 and less than the window of {loaded.name} "
                f"({loaded.window}), so that an answer fits behind the prompt"
            )
        if priority and calibration is None:
            raise InputError("priority needs calibrated heads: pass the model's calibration")
        check_priority(priority, endpoint)
        self.loaded, self.memory, self.detector, self.budget = loaded, memory, detector, budget
        self.user, self.name, self.store = user, name, store
        self._notes, self._speaker = notes, Speaker(loaded, endpoint, priority, calibration)
        self.unkept = unkept if unkept is not None else Unkept()
        self._lock = threading.Lock()  # one thread may ask for an answer's first piece and another for the next
        self._log = TurnLog(user, name, store)
        self.system = self._log.open(system, _now())
        if (lasting := self._log.off_record(None)) is not None:
            self.unkept.lasting = lasting
        self.instruction_store = InstructionStore(name, store, user)
        if self._log.turns and self._log.turns[-1].role == "user":
            self._learn(self._log.turns[-1])  # a crash may have come between keeping the turn and learning from it

    @property
    def key(self) -> str:
        """The unique key of the conversation (`Dialogue.key`)."""
        return conversation_key(self.user, self.name) if self.name else f"conversation {id(self)}"

    @property
    def turns(self) -> tuple[Turn, ...]:
        return tuple(self._log.turns)

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        return exchanges(self._log.turns)

    @property
    def past(self) -> tuple[Exchange, ...]:
        """Return the exchanges as later prompts may hold them, see `readable`."""
        return readable(self._log.turns)

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """Return the instructions in force, in the order they were given, including lasting ones of the user's other
        conversations.
        """
        self.instruction_store.expire(self._log.turns, _now())
        return self.instruction_store.in_force

    def say(
        self,
        text: str,
        *,
        max_tokens: int = MAX_NEW_TOKENS,
        temperature: float | None = None,
        seed: int | None = None,
    ) -> ChatAnswer:
        """Answer the user's turn. temperature, seed: see `stream`.

        Raises `InputError` for an empty turn, or one that alone exceeds the budget; then nothing is stored.
        """
        *_, answer = self.stream(text, max_tokens=max_tokens, temperature=temperature, seed=seed)
        assert isinstance(answer, ChatAnswer)  # what every stream ends with
        return answer

    def stream(
        self,
        text: str,
        *,
        max_tokens: int = MAX_NEW_TOKENS,
        temperature: float | None = None,
        seed: int | None = None,
    ) -> Iterator[str | ChatAnswer]:
        """Like `say`, but yield pieces of text, reasoning included, and the whole `ChatAnswer` at the end.

        temperature: None samples as the model's own settings say (`own_sampling`), or leaves it to the endpoint; 0
        takes the likeliest token. If the stream is closed early or interrupted, the answer so far is kept, marked as
        such. An answer that isn't complete (`Turn.cut`) is kept, but isn't part of later prompts. Raises
        `EndpointError` if an endpoint gives no answer, or breaks one off with an error.
        """
        with self._lock:
            turn, seconds = Turn(self._log.next, "user", text, _now()), dict[str, float]()
            self._check_room(text, max_tokens)
            with _timed(seconds, "detect"):
                wish, forgotten = self._fulfilled(text)
                notice = "" if wish is None else reply_to(wish, forgotten)
            lasting = self._log.off_record(wish.lasting if wish is not None else None)
            off_record = self.unkept.begin(wish, lasting)
            told: dict[str, Any] = {"notice": notice, "off_record": off_record, "forgotten": forgotten}
            if wish is not None and not wish.rest:
                told["off_record"] = True
                yield notice
                yield ChatAnswer(notice, None, Context((), 0, self.budget), seconds=seconds, **told)
                return
            turn = turn if wish is None else replace(turn, text=wish.rest)
            past, learned = self.unkept.among(self.past) if off_record else self.past, Learned()
            if not off_record:
                with _timed(seconds, "detect"):
                    self._log.keep(turn)
                    learned = self._learn(turn)
            say = self._speaker.ready(max_tokens=max_tokens, temperature=temperature, seed=seed)
            for piece in self._answer(turn, past, learned, seconds, say, off_record=off_record):
                yield piece if isinstance(piece, str) else replace(piece, **told)

    def retry(
        self, *, max_tokens: int = MAX_NEW_TOKENS, temperature: float | None = None, seed: int | None = None
    ) -> Iterator[str | ChatAnswer]:
        """Answer the last turn again, as `stream`, if its answer is missing or isn't complete. The new answer replaces
        that one. Raises `InputError` if there is no such turn.
        """
        with self._lock:
            past = self.past
            if not past or past[-1].assistant is not None:
                raise InputError("there is nothing to answer again: expected a last answer that is missing or cut off")
            turn = past[-1].user
            self._check_room(turn.text, max_tokens)
            say = self._speaker.ready(max_tokens=max_tokens, temperature=temperature, seed=seed)
            yield from self._answer(turn, past[:-1], Learned(), {}, say)

    def _answer(
        self,
        turn: Turn,
        past: tuple[Exchange, ...],
        learned: Learned,
        seconds: dict[str, float],
        say: Say,
        *,
        off_record: bool = False,
    ) -> Iterator[str | ChatAnswer]:
        hidden = off_record and bool(self.unkept.exchanges)  # what a memory computes of these isn't kept either
        context = self._context(turn.text, past, seconds, "" if hidden else self.key)
        if hidden:
            self.memory.forget("")
        stream, saying = say(context)
        pieces: list[str] = []
        with _timed(seconds, "answer"):
            try:
                for piece in saying:
                    pieces.append(piece)
                    yield piece
            finally:
                stream.close()
                said = "".join(pieces).strip()
                # An empty answer counts as missing.
                number = self._log.next if said and not off_record else None
                finish = stream.finish or "interrupted"
                if off_record:
                    self.unkept.add(len(self.past), turn.text, split_reasoning(said).answer, finish)
                elif said:
                    self._log.keep(Turn(self._log.next, "assistant", said, _now(), finish))
        answer, reasoning = split_reasoning(said)
        served = stream.served if isinstance(stream, EndpointStream) else None
        yield ChatAnswer(answer, number, context, *learned, seconds, finish, reasoning, served=served)

    def context(self, text: str) -> Context:
        """Return the prompt if the user said `text`, with reasons; nothing is stored."""
        return self._context(text, self.past, {}, self.key)

    def _context(self, text: str, past: tuple[Exchange, ...], seconds: dict[str, float], key: str) -> Context:
        with _timed(seconds, "notes"):
            notes = self._notes(text) if self._notes is not None else None
        with _timed(seconds, "context"):
            past = without_courtesies(past)
            past = without_told(past, self.name, notes, self.instructions)
            past = without_others(past, text, notes)
            dialogue = Dialogue(past, self.instructions, self.system, notes, key, "turn")
            return self.memory.context(dialogue, text, self.budget)

    def forget(self, numbers: Sequence[int]) -> ErasedTurns:
        """Erase turns, the instructions given in them, and the records made from them, from memory and from the store.
        A user's turn is erased with its answers. Raises `InputError` for a turn that doesn't exist; then nothing is
        erased.
        """
        with self._lock:
            gone, records = self._log.erase(numbers)
            before = self.instruction_store.all
            self.instruction_store.forget([turn.number for turn in gone])
            left = {one.id for one in self.instruction_store.all}
            self.memory.forget(self.key)
            return ErasedTurns(gone, tuple(one for one in before if one.id not in left), records)

    def _fulfilled(self, text: str) -> tuple[Wish | None, Forgotten | None]:
        """Return what the user wants kept, and what was erased for it; no wish if it turns out to be none: "delete my
        second paragraph", or the end of an instruction.
        """
        wish = wish_in(text)
        if wish is None or not wish.forget:
            return wish, None
        forgotten = self._forget_said(wish)
        if not (forgotten.anything or forgotten.left or wish.off_record):
            ends = self.detector(text, self.instruction_store.standing).ended
            if ends or not any(one.certain for one in wish.forget):
                return None, None
        return wish, forgotten

    def _forget_said(self, wish: Wish) -> Forgotten:
        code, requests = wish.language.code, wish.forget
        if self.unkept.newest:  # what was said last was never kept
            requests = tuple(one for one in requests if one.kind != "last")
        self.unkept.forget(wish.forget, code)
        forgotten = self._log.forget(requests, code)
        changed = {*forgotten.turns, *forgotten.redacted}
        self.instruction_store.forget([number for name, number in forgotten.turns if name == self.name])
        for name in {name for name, _ in changed}:
            self.memory.forget(conversation_key(self.user, name) if name else self.key)
        return forgotten

    def search(self, query: str, limit: int = 10) -> list[FoundTurn]:
        """Search all of the user's conversations for turns that share words with a query, best first. Raises
        `InputError` without a store.
        """
        if self.store is None:
            raise InputError("only conversations in a store can be searched: pass a store")
        return self.store.conversations.search(self.user, query, limit)

    def _check_room(self, text: str, max_tokens: int) -> None:
        tokens = len(opening_ids(self.loaded, render_chat(self.loaded, [{"role": "user", "content": text}])))
        if tokens > self.budget:
            raise InputError(
                f"this turn makes a prompt of {tokens} tokens, over the conversation's budget of {self.budget}: "
                "shorten it, or raise the budget"
            )
        if max_tokens < 1:
            raise InputError(f"an answer of at most {max_tokens} tokens: expected at least 1")

    def _learn(self, turn: Turn) -> Learned:
        """Learn instructions and statements from a user's turn. Learning from the same turn again changes nothing."""
        given, ended = self.instruction_store.update(self._log.turns, self.detector)
        if self.store is None:
            return Learned(given, ended)
        spans = [(at, at + len(one.text)) for one in given if (at := turn.text.find(one.text)) >= 0]
        records = records_of(turn, self.name, skip=spans)
        if records:
            self.store.add(self.user, records)
        return Learned(given, ended, tuple(record.id for record in records))


def check_priority(priority: float, endpoint: Endpoint | None) -> None:
    """Raise `InputError` for attention that is to be changed in a model that isn't here."""
    if priority and endpoint is not None:
        raise InputError(
            f"priority {priority}: the attention of {endpoint.model} at {endpoint.base_url} can't be changed, only "
            "that of a local model: leave out the priority, or the endpoint"
        )


def conversation_key(user: str, name: str) -> str:
    """See `Dialogue.key`. A user id has no line breaks, so the parts can be separated again."""
    return f"{user}\n{name}"


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - began


def _now() -> datetime:
    return datetime.now(UTC)
