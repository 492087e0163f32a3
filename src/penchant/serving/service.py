"""What all routes share: a personalizer, its engine, and the rules of the operator."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from penchant.compression.budget import count_tokens
from penchant.compression.profile import Profile
from penchant.compression.registry import DEFAULT_BUDGET
from penchant.conversation.about_user import about_user
from penchant.errors import InputError, UnknownUserError
from penchant.history.records import Request
from penchant.personalizer import Personalizer
from penchant.serving.engine import ROWS, WAITING, BusyError, Ended, Engine, Event, Prompt, user_owner
from penchant.serving.errors import ApiError
from penchant.serving.identity import Identity, IdentityRules
from penchant.serving.observation import observed
from penchant.serving.prompt import newest_user_turn, with_profile
from penchant.serving.schemas import Message, PenchantOptions
from penchant.serving.upstreams import Upstream, Upstreams
from penchant.serving.warming import Warming
from penchant.sharing import EVERYTHING, Sharing
from penchant.steering.apply.context import Steering
from penchant.steering.methods.registry import EMPHASIS

R = TypeVar("R")
Outcome = Literal["used", "empty", "no-user", "unknown-user", "off", "deadline"]
"""What became of the profile: it was put in; the turn asks nothing, or nothing in the history mattered; the request
names nobody; nothing is known about the user; the request wants none; marking took longer than the deadline.
"""


@dataclass(frozen=True)
class ServerSettings:
    """The operator's choices. model: the name under which the local model is offered (None: its own). budget: of a
    profile, unless a request says otherwise. deadline: seconds after which a request is answered without a profile
    (None: never). max_tokens: longest answer, unless a request says otherwise. body_bytes: largest body. rows, waiting:
    see `Engine`. rules: where users are named. upstreams: other engines that answer.
    hosts: further names of the server, see `Edge`.
    """

    model: str | None = None
    budget: int | str = DEFAULT_BUDGET
    deadline: float | None = None
    max_tokens: int = 512
    body_bytes: int = 8 << 20
    rows: int = ROWS
    waiting: int = WAITING
    rules: IdentityRules = field(default_factory=IdentityRules)
    upstreams: tuple[Upstream, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class PersonalPrompt:
    """A client's messages with what Penchant added. profile: what was put in (None: nothing). steering: how the answer
    is steered (None: not at all). seconds: what marking and compressing took.
    """

    messages: list[dict[str, Any]]
    identity: Identity | None
    outcome: Outcome
    profile: Profile | None = None
    steering: Steering | None = None
    seconds: float = 0.0


Marked = tuple[Outcome, Profile | None, Steering | None]


class Answering:
    """An answer that was asked for. Raises `BusyError` if too many wait. Made and read in one event loop."""

    def __init__(self, engine: Engine, prompt: Prompt) -> None:
        self._events, self._loop = asyncio.Queue[Event](), asyncio.get_running_loop()
        self._ticket = engine.answer(prompt, self._emit)

    def _emit(self, event: Event) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def cancel(self) -> None:
        """Give the answer up; nobody listens to it any more."""
        self._ticket.cancel()

    async def events(self) -> AsyncIterator[Event]:
        """Yield what happens to the answer; an error is raised. If the reader stops before the end, it is given up."""
        try:
            while True:
                event = await self._events.get()
                if isinstance(event, Exception):
                    raise event
                yield event
                if isinstance(event, Ended):
                    return
        finally:
            self.cancel()


class Service:
    """Answers for many users with one personalizer, which must have a store. Used from one event loop.

    Raises `InputError` for a personalizer without a store.
    """

    def __init__(self, personalizer: Personalizer, settings: ServerSettings | None = None) -> None:
        if personalizer.store is None:
            raise InputError("a server needs a store of users: expected Personalizer(store=...)")
        self.personalizer, self.store = personalizer, personalizer.store
        self.loaded = personalizer.loaded
        self.settings = settings or ServerSettings()
        self.model = self.settings.model or self.loaded.name
        self.upstreams = Upstreams(self.settings.upstreams)
        self.fingerprint = f"penchant-{self.loaded.fingerprint[:12]}"
        self.rules = replace(
            self.settings.rules, models={self.model, *self.upstreams.names, *self.settings.rules.models}
        )
        self.engine = Engine(
            self.loaded,
            rows=self.settings.rows,
            waiting=self.settings.waiting,
        )
        self.warming = Warming(personalizer, self.engine)
        self._erasing: Counter[str] = Counter()

    def close(self, timeout: float | None = None) -> None:
        """Finish what was taken, and end the engine; see `Engine.close`."""
        self.engine.close(timeout)

    async def run(self, function: Callable[[], R]) -> R:
        """Run a function that uses the model in the engine's thread. Raises `BusyError`."""
        return await asyncio.wrap_future(self.engine.run(function))

    def check_model(self, name: str | None) -> None:
        """Raise `ApiError` for a model that isn't here; no name is the local model."""
        model, _ = self.rules.split_model(name)
        if model is not None and model not in {self.model, "default"}:
            raise ApiError(
                404,
                f"the model {model!r:.80} does not exist: use {self.model!r}",
                param="model",
                code="model_not_found",
            )

    async def personal(
        self, messages: Sequence[Message], identity: Identity | None, options: PenchantOptions | None
    ) -> PersonalPrompt:
        """Put a profile for the newest user turn into a client's messages, and steer as the request asks. Raises
        `InputError` for a bad budget, and for steering that wasn't fitted or of nobody.
        """
        made = await self._personal(messages, identity, options)
        note(made)
        return made

    async def _personal(
        self, messages: Sequence[Message], identity: Identity | None, options: PenchantOptions | None
    ) -> PersonalPrompt:
        raw, options = [one.model_dump(exclude_unset=True) for one in messages], options or PenchantOptions()
        at = newest_user_turn(raw)
        query = messages[at].text.strip() if at is not None else ""
        if options.conversation is not None:
            raise ApiError(
                400,
                "only /v1/responses goes on with a stored conversation: leave penchant.conversation out",
                param="penchant.conversation",
                code="unsupported",
            )
        if options.steer is not None:
            _check_steering(options.steer, identity)
        if identity is None or not query or (options.knowledge == "none" and options.steer is None):
            return PersonalPrompt(raw, identity, "no-user" if identity is None else "off")
        began = time.perf_counter()
        found = await self.in_time(self.marked(identity.user, query, options))
        seconds = time.perf_counter() - began
        if found is None:
            return PersonalPrompt(raw, identity, "deadline", seconds=seconds)
        outcome, profile, steering = found
        if outcome != "used" or profile is None:
            return PersonalPrompt(raw, identity, outcome, None, steering, seconds)
        return PersonalPrompt(with_profile(raw, profile.text), identity, outcome, profile, steering, seconds)

    def ask(self, prompts: Sequence[Prompt]) -> list[Answering]:
        """Ask for the answers to prompts, all or none of them. Raises `BusyError`."""
        asked: list[Answering] = []
        try:
            for prompt in prompts:
                asked.append(Answering(self.engine, prompt))
        except BusyError:
            for one in asked:
                one.cancel()
            raise
        return asked

    @asynccontextmanager
    async def erasing(self, user: str) -> AsyncIterator[None]:
        """Let records of a user be erased in this context: what is in memory of the user is dropped before, and nothing
        is marked for the user meanwhile, which might write what is being erased again.
        """
        self._erasing.update([user])
        try:
            await asyncio.wrap_future(self.engine.forget(user_owner(user)))
            await self.run(partial(self.personalizer.release, user))
            yield
        finally:
            self._erasing -= Counter([user])  # without zeros: no trace of who was erased

    async def in_time(self, work: Coroutine[Any, Any, R]) -> R | None:
        """Return a result; None if it takes longer than the operator's deadline."""
        try:
            return await asyncio.wait_for(work, self.settings.deadline)
        except TimeoutError:
            return None

    async def marked(self, user: str, query: str, options: PenchantOptions, sharing: Sharing = EVERYTHING) -> Marked:
        """Mark and compress what may leave of a history. A long one that is new is read in slices before, so that
        answers go on meanwhile.
        """
        while True:
            self.check_erasing(user)
            found = await self.run(partial(self._profile, user, query, options, sharing))
            if found is not None:
                return found
            await self.warming.finish(user, sharing)

    def check_erasing(self, user: str) -> None:
        """Raise `ApiError` while records of a user are being erased."""
        if self._erasing[user] > 0:
            raise ApiError(409, "records of the user are being erased: ask again", code="erasing")

    def _profile(self, user: str, query: str, options: PenchantOptions, sharing: Sharing) -> Marked | None:
        """Mark, compress and write the notes, in the engine's thread; None: the history has to be read first."""
        steering = self.personalizer.steered(user, query, options.steer) if options.steer is not None else None
        if options.knowledge == "none":
            return "off", None, steering
        try:
            history = self.warming.history(user, sharing)
        except (UnknownUserError, InputError):  # nobody of this name, or nothing known yet
            return "unknown-user", None, steering
        if self.warming.unread(history):
            return None
        profile = self.personalizer.compress(
            history, query, self.settings.budget if options.budget is None else options.budget
        )
        profile = about_user(history, profile, Request(query), partial(count_tokens, self.loaded.tokenizer))
        return ("used" if profile.text.strip() else "empty"), profile, steering


def note(personal: PersonalPrompt) -> None:
    """Let the operator see what became of a profile."""
    seen = observed()
    seen.outcome, seen.marking = personal.outcome, personal.seconds or None
    if personal.profile is not None:
        seen.saved_tokens = max(0, personal.profile.history_tokens - personal.profile.tokens)


def _check_steering(method: str, identity: Identity | None) -> None:
    if method == EMPHASIS:
        raise ApiError(
            400,
            "emphasis isn't offered by the server, whose profiles aren't the words of the history: name a method that "
            "was fitted for the user",
            param="penchant.steer",
            code="unsupported",
        )
    if identity is None:
        raise ApiError(400, "steering needs a user: say who is asking", param="penchant.steer", code="no_user")


def owner_of(identity: Identity | None) -> str:
    """Return whose cached prompts a request may go on from: its user's, or nobody's."""
    return "" if identity is None else user_owner(identity.user)


def headers_of(personal: PersonalPrompt) -> Mapping[str, str]:
    """Return the response headers that say who was taken for the user, and what was added to the prompt."""
    headers: dict[str, str] = {"X-Penchant-Profile": personal.outcome}
    if personal.identity is not None:
        headers |= {
            "X-Penchant-User": quote(personal.identity.shown, safe=""),
            "X-Penchant-User-From": personal.identity.source,
        }
    if personal.profile is not None:
        headers |= {
            "X-Penchant-Profile-Tokens": str(personal.profile.tokens),
            "X-Penchant-History-Tokens": str(personal.profile.history_tokens),
        }
    return headers
