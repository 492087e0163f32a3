"""The engine: one thread that runs the model for all requests, and answers them in one running batch."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeVar

from cachetools import LRUCache

from penchant.errors import PenchantError
from penchant.history.dialogue import Finish
from penchant.inference.answer_row import PromptTokens, TokenChoice
from penchant.inference.intervention import AFTER_PROMPT, Intervention, stack
from penchant.inference.prefix_cache import LIMIT, PrefixCache
from penchant.inference.running_batch import RunningBatch, most_rows, read_prompt
from penchant.inference.runtime import steered
from penchant.models.loading import LoadedModel
from penchant.serving.slices import Slices

log = logging.getLogger(__name__)
R = TypeVar("R")

ROWS = 16
"""Most answers that are generated together."""
WAITING = 128
"""Most requests that wait; further ones are refused."""
OWNERS = 1_000
"""Owners whose last prompt is remembered."""


def user_owner(user: str) -> str:
    """Return the owner of a user's prompts."""
    return f"user:{user}"


class BusyError(PenchantError):
    """Too many requests are waiting."""


class ErasedError(PenchantError):
    """Records of the user were erased while an answer was being made."""

    def __init__(self) -> None:
        super().__init__("records of the user were erased meanwhile: ask again")


@dataclass(frozen=True)
class Prompt:
    """A prompt for the engine. owner: whose it is; only this owner's prompts share cached beginnings ("": nobody's; it
    shares none, since how fast it is answered would tell one stranger what another has written). intervention: how
    its answer is steered (None: not at all).
    """

    tokens: PromptTokens
    owner: str
    intervention: Intervention | None = None


@dataclass(frozen=True)
class Begun:
    """The prompt was read. tokens: its size. cached: how many of them were read for an earlier prompt. repeated: how
    many of its first tokens are those of the owner's last prompt, whether they were cached or not.
    """

    tokens: int
    cached: int
    repeated: int = 0


@dataclass(frozen=True)
class Piece:
    """New text of an answer, with the tokens that were chosen since the last piece, if the prompt asks for them."""

    text: str
    choices: tuple[TokenChoice, ...] = ()


@dataclass(frozen=True)
class Ended:
    """The answer has ended. tokens: of the answer. stop: the stop text that ended it (None: none did)."""

    finish: Finish
    tokens: int
    stop: str | None = None


Event = Begun | Piece | Ended | Exception
"""What happens to an answer, in order: `Begun`, any number of `Piece`, `Ended`; or an exception, which is the last."""


@dataclass(eq=False)
class Ticket:
    """An answer that was asked for. emit: called in the engine's thread with each event."""

    prompt: Prompt
    emit: Callable[[Event], None]
    number: int
    cancelled: bool = False
    shown: int = 0  # choices that were emitted

    def cancel(self) -> None:
        """Nobody waits for this answer: its row is freed at the next step. From any thread."""
        self.cancelled = True


@dataclass(eq=False)
class _Queues:
    calls: deque[Callable[[], None]] = field(default_factory=deque)
    waiting: deque[Ticket] = field(default_factory=deque)
    closing: bool = False
    closed: bool = False


class Engine:
    """Runs a model in one thread: calls (marking, compressing), prompts, and one step of all answers, in turn.

    rows: most answers at a time (one for a model that can't be batched, `most_rows`). waiting: most requests that wait.
    prefix_bytes: see `PrefixCache`. Thread-safe.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        rows: int = ROWS,
        waiting: int = WAITING,
        prefix_bytes: int = LIMIT,
    ) -> None:
        self.loaded, self.waiting = loaded, waiting
        self.rows = most_rows(loaded, rows)
        self._prefixes = PrefixCache(loaded, prefix_bytes)
        self._last: LRUCache[str, tuple[int, ...]] = LRUCache(OWNERS)  # each owner's last prompt
        self._running: dict[int, Ticket] = {}
        self._batch = RunningBatch(loaded, self._context)
        self._queues, self._numbers, self._slices = _Queues(), count(), Slices()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._loop, name="penchant-engine", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the engine takes requests."""
        return self._thread.is_alive() and not self._queues.closing

    @property
    def load(self) -> tuple[int, int]:
        """How many answers are being generated, and how many requests wait."""
        with self._changed:
            return len(self._running), len(self._queues.waiting) + len(self._queues.calls)

    def run(self, function: Callable[[], R]) -> Future[R]:
        """Run a function in the engine's thread, between two steps. A future that is cancelled before is not run.
        Raises `BusyError`.
        """
        future: Future[R] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001  # the caller of `run` gets it, whatever it is
                future.set_exception(error)

        with self._changed:
            self._check_room()
            self._queues.calls.append(call)
            self._changed.notify()
        return future

    def slice(self, owner: str, name: str, make: Callable[[], Iterator[object]], *, urgent: bool) -> Future[None]:
        """Run an iterator for an owner in the engine's thread, a step at a time between the steps of answers; see
        `Slices`. name: distinguishes works of an owner. It is given up when the engine ends. Raises `BusyError`.
        """
        with self._changed:
            if self._queues.closing:
                raise BusyError("the server is shutting down: try again")
            future = self._slices.add((owner, name), make, urgent)
            self._changed.notify()
        return future

    def answer(self, prompt: Prompt, emit: Callable[[Event], None]) -> Ticket:
        """Ask for an answer. Raises `BusyError`."""
        with self._changed:
            self._check_room()
            ticket = Ticket(prompt, emit, next(self._numbers))
            self._queues.waiting.append(ticket)
            self._changed.notify()
        return ticket

    def forget(self, owner: str) -> Future[None]:
        """Drop the cached prompts of an owner, give up sliced work for it, and end its answers with an error, those
        that are being generated and those that wait.
        """

        def forget() -> None:
            with self._changed:
                self._slices.end(owner)
                waiting = [one for one in self._queues.waiting if one.prompt.owner == owner]
                for ticket in waiting:
                    self._queues.waiting.remove(ticket)
            running = [one for one in self._running.values() if one.prompt.owner == owner]
            for ticket in [*waiting, *running]:
                self._end(ticket, ErasedError())
            self._prefixes.forget(owner)
            self._last.pop(owner, None)

        return self.run(forget)

    def close(self, timeout: float | None = None) -> None:
        """Refuse new requests, finish those that were taken, and end the thread. timeout: seconds after which the
        answers that are still being generated are given up (None: never).
        """
        with self._changed:
            self._queues.closing = True
            self._changed.notify()
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._queues.closed = True
            self._thread.join()

    def _check_room(self) -> None:
        if self._queues.closing:
            raise BusyError("the server is shutting down: try again")
        if len(self._queues.waiting) + len(self._queues.calls) >= self.waiting:
            raise BusyError(f"{self.waiting} requests are waiting already: try again in some seconds")

    # In the engine's thread

    def _loop(self) -> None:
        while (work := self._next()) is not None:
            call, ticket = work
            if call is not None:
                call()
            if ticket is not None:
                self._begin(ticket)
            if self._running:
                self._step()
            self._slice()
        self._slices.end()
        for ticket in [*self._running.values(), *self._queues.waiting]:
            ticket.emit(BusyError("the server has shut down: ask again"))

    def _next(self) -> tuple[Callable[[], None] | None, Ticket | None] | None:
        """Wait for work; return one call and one prompt that can begin now, or None at the end."""
        queues = self._queues
        with self._changed:
            while not (queues.calls or queues.waiting or self._running or self._slices or queues.closing):
                self._changed.wait()
            if queues.closed or (queues.closing and not (queues.calls or queues.waiting or self._running)):
                return None
            call = queues.calls.popleft() if queues.calls else None
            free = len(self._running) < self.rows
            return call, queues.waiting.popleft() if queues.waiting and free else None

    def _slice(self) -> None:
        with self._changed:
            if self._queues.closing:
                return
            asked = bool(self._queues.calls or self._queues.waiting)
            key = self._slices.next(answering=bool(self._running), asked=asked)
        if key is not None:
            self._slices.step(key)

    def _begin(self, ticket: Ticket) -> None:
        if ticket.cancelled:
            return
        prompt = ticket.prompt
        ids, shared = prompt.tokens.ids, _shares(prompt)
        try:
            known = self._prefixes.find(prompt.owner, ids) if shared else None
            with steered(self.loaded.model, prompt.intervention, [len(ids)]):
                read = read_prompt(self.loaded, ids, known)
            self._batch.admit(ticket.number, prompt.tokens, read)
        except Exception as error:  # noqa: BLE001  # one request failed; who asked is told
            ticket.emit(error)
            return
        self._running[ticket.number] = ticket
        ticket.emit(Begun(len(ids), read.cached, self._repeated(prompt.owner, ids)))

    def _repeated(self, owner: str, ids: tuple[int, ...]) -> int:
        if not owner:
            return 0
        last, self._last[owner] = self._last.get(owner, ()), ids
        return next(
            (at for at, (one, other) in enumerate(zip(last, ids, strict=False)) if one != other),
            min(len(last), len(ids)),
        )

    def _step(self) -> None:
        for ticket in [one for one in self._running.values() if one.cancelled]:
            self._keep(ticket)
            self._drop(ticket)
        try:
            steps = self._batch.step()
        except Exception as error:  # of all rows: none can go on
            log.exception("a step of %d answers failed", len(self._running))
            for ticket in list(self._running.values()):
                self._end(ticket, error)
            self._batch.clear()
            return
        for step in steps:
            ticket, row = self._running[step.key], step.row
            choices = tuple(row.choices[ticket.shown :])
            if step.piece or (row.finish and choices):
                ticket.shown = len(row.choices)
                ticket.emit(Piece(step.piece, choices))
            if row.finish is not None:
                self._keep(ticket)
                self._end(ticket, Ended(row.finish, row.tokens, row.stop))

    def _end(self, ticket: Ticket, event: Event) -> None:
        self._drop(ticket)
        ticket.emit(event)

    def _drop(self, ticket: Ticket) -> None:
        self._running.pop(ticket.number, None)
        self._batch.drop(ticket.number)

    def _keep(self, ticket: Ticket) -> None:
        if not (self._prefixes.limit and _shares(ticket.prompt)):
            return
        try:
            rows = self._batch.cache_of(ticket.number)
            if rows is not None:
                self._prefixes.keep(ticket.prompt.owner, rows)
        except Exception:  # no memory for a copy, say: the answer is there, and the thread must go on
            log.exception("the cache of a prompt isn't kept")

    def _context(self, keys: Sequence[int]) -> AbstractContextManager[None]:
        """Return the context in which the rows of these keys are steered, each by its own vectors."""
        prompts = [self._running[key].prompt for key in keys]
        # Behind the prompt every scope covers all tokens, so that rows of different scopes can run together.
        given = [one.intervention and replace(one.intervention, scope=AFTER_PROMPT) for one in prompts]
        return steered(self.loaded.model, stack(given), [len(one.tokens.ids) for one in prompts])


def _shares(prompt: Prompt) -> bool:
    """Whether a prompt is somebody's, and its cache what the same text gives without steering."""
    return bool(prompt.owner) and prompt.intervention is None
