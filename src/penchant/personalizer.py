"""The main job on one page: a history goes in, a request is marked, compressed and answered."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Self, Unpack

from penchant import arguments
from penchant.answers import Answer, Prepared, answer_batch, answers_from
from penchant.asked import Knowledge, Steer, Who, as_pairs, as_request, as_who
from penchant.compression.budget import resolve_budget
from penchant.compression.profile import Compressor, Profile
from penchant.compression.prompt import answer_messages, answer_notes, newest_records
from penchant.compression.registry import DEFAULT_BUDGET, DEFAULT_COMPRESSOR, make_compressor
from penchant.conversation.factory import ConversationFactory, ConversationOptions
from penchant.conversation.session import Conversation
from penchant.errors import InputError
from penchant.histories import Histories
from penchant.history.records import History, Request, Segment
from penchant.history.segmentation import Unit
from penchant.index.pool import DEFAULT_LIMIT, Directory, in_memory
from penchant.index.table import Storage
from penchant.inference.endpoint import Endpoint, is_loopback
from penchant.inference.intervention import Intervention
from penchant.inference.sampling import own_sampling
from penchant.lens.calibration import Calibration
from penchant.marking.dated import dated
from penchant.marking.marks import Marker, Marks
from penchant.marking.registry import DEFAULT_MARKER, make_marker
from penchant.marking.resources import Resources
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.options import Options
from penchant.progress import Progress, no_progress
from penchant.sharing import EVERYTHING, Sharing, Views, with_views
from penchant.steering.apply.context import Steering, steer_request
from penchant.steering.fit.report import FitReport
from penchant.steering.fit.trainer import FitOptions, fit_user
from penchant.steering.methods.registry import DEFAULT_METHOD, EMPHASIS
from penchant.steering.storage.fitted_state import SteeringPaths, load_fitted, paths_in_folder, paths_in_store
from penchant.store import Store
from penchant.text.courtesies import is_courtesy


@arguments.checked
class Personalizer:
    """Marks, compresses and answers for many users with one model.

    model: a loaded model, or anything that `load_model` takes. store: holds the users' records, or where it is (then it
    is closed with the personalizer); without one, pass histories. marker, compressor: names from MARKERS and
    COMPRESSORS. dates: whether dates in a request ("last week") bring records of their time up, see `dated`. unit: what
    is marked, see `segment`. directory: where the indexes of users are kept (default: in the store, else in memory).
    storage, index_limit: how keys are stored, and how many bytes of them stay in memory. steering_directory: where the
    steering of users is kept (default: in the store). progress: see `Progress`; called while histories are encoded.
    options: those of the compressor, as its options class (`RemoteOptions`, ...) or by name. endpoint: answers in the
    model's place (it is closed with the personalizer); the model marks, compresses and remembers, and its tokenizer
    counts every budget. To an endpoint on another machine, that of a compressor too, goes nothing of a private record
    (`penchant.sharing`): such records are left out before anything is marked.

    Raises `InputError` for an unknown name or an option that the compressor doesn't have, and `ModelError` for a model
    that can't be used; every call, `InputError` for an argument of a wrong type.
    """

    def __init__(
        self,
        model: LoadedModel | str | Path = "smollm2",
        *,
        store: Store | str | Path | None = None,
        marker: str = DEFAULT_MARKER,
        compressor: str = DEFAULT_COMPRESSOR,
        dates: bool = True,
        unit: Unit = "auto",
        calibration: Calibration | None = None,
        directory: Directory | None = None,
        steering_directory: Directory | None = None,
        storage: Storage = "native",
        index_limit: int = DEFAULT_LIMIT,
        progress: Progress = no_progress,
        options: Options | Mapping[str, object] | None = None,
        endpoint: Endpoint | None = None,
    ) -> None:
        self._opened = Store(store) if isinstance(store, str | Path) else None
        store = self._opened if isinstance(store, str | Path) else store
        self.store, self.unit, self._steering_directory = store, unit, steering_directory
        self.endpoint = endpoint
        self.resources = Resources(
            model,
            calibration=calibration,
            directory=with_views(directory or (store.index_dir if store is not None else in_memory)),
            storage=storage,
            limit=index_limit,
            progress=progress,
        )
        made = make_marker(marker, self.resources)
        self.marker: Marker = dated(made) if dates else made
        self._histories = Histories(self.loaded, store, unit, self.resources.close)
        self.resources.history_tokens = self._histories.tokens
        self._views, self._sharing = Views(), Sharing() if _leaves(endpoint, options) else EVERYTHING
        self.compressor: Compressor = make_compressor(compressor, self.resources, options or {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store, if it was given by its place, and connections to the endpoint."""
        if self.endpoint is not None:
            self.endpoint.close()
        if self._opened is not None:
            self._opened.close()

    @property
    def loaded(self) -> LoadedModel:
        return self.resources.loaded

    def mark(self, who: Who, request: Request | str) -> Marks:
        """Score every segment of a history (or of a stored user's) for a request.

        Raises `UnknownUserError`, or `InputError` for an empty history.
        """
        history = self.history(who)
        marks = self.marker(history, as_request(request), self.segments(history))
        # A marker that runs no model counts no tokens.
        return marks if marks.history_tokens else replace(marks, history_tokens=self._histories.tokens(history))

    def compress(self, who: Who, request: Request | str, budget: int | str = DEFAULT_BUDGET) -> Profile:
        """Mark and compress: a profile of at most `budget` tokens (see `resolve_budget`).

        A request that asks nothing ("Hi!", `is_courtesy`) gets an empty one, with the reason. `Profile.seconds` holds
        "encode" (indexing, only what is new), "mark" and "compress". Raises as `mark`, and `InputError` for a budget
        below one token.
        """
        history, request = self.history(who), as_request(request)
        size = self._histories.tokens(history)
        tokens = resolve_budget(budget, size)
        if is_courtesy(request.query) and not request.task:
            return Profile.nothing(tokens, size, "the request asks nothing: it is a greeting, thanks or a goodbye")
        marks = self.mark(history, request)
        return replace(self.compressor(history, request, marks, tokens), heads=marks.heads)

    def compress_many(
        self,
        asked: Iterable[tuple[Who, Request | str]],
        budget: int | str = DEFAULT_BUDGET,
        *,
        progress: Progress = no_progress,
    ) -> list[Profile]:
        """Compress for many (user or history, request) pairs; the requests are read in shared forward passes. Results
        and errors as those of `compress`; the first error ends it.
        """
        pairs = as_pairs(asked)
        profiles: list[Profile] = []
        with self.resources.reading([request.query for _, request in pairs]):
            for who, request in pairs:
                profiles.append(self.compress(who, request, budget))
                progress("compressing", len(profiles), len(pairs))
        return profiles

    def ask(
        self,
        who: Who,
        request: Request | str,
        *,
        knowledge: Knowledge = "profile",
        steer: Steer | None = None,
        budget: int | str = DEFAULT_BUDGET,
        max_tokens: int = 256,
        temperature: float | None = None,
        seed: int | None = None,
    ) -> Answer:
        """Answer a request from the user's profile, the full history, or nothing.

        steer: a method that `fit_steering` was run with, "emphasis" (more attention to the segments of the profile), or
        an intervention. max_tokens: longest answer. temperature: None samples as the model's own settings say
        (`own_sampling`), or the endpoint's; 0 takes the likeliest token. Raises as `compress`, `InputError` for
        steering that wasn't fitted, doesn't fit, or is asked of an endpoint, and `EndpointError` (see `Endpoint`).
        """
        *_, answer = self.stream(
            who,
            request,
            knowledge=knowledge,
            steer=steer,
            budget=budget,
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
        )
        assert isinstance(answer, Answer)  # every stream ends with an Answer
        return answer

    def stream(
        self,
        who: Who,
        request: Request | str,
        *,
        knowledge: Knowledge = "profile",
        steer: Steer | None = None,
        budget: int | str = DEFAULT_BUDGET,
        max_tokens: int = 256,
        temperature: float | None = None,
        seed: int | None = None,
    ) -> Iterator[str | Answer]:
        """Like `ask`, but yields pieces of text as they are generated, reasoning included, and the whole `Answer` at
        the end. Between pieces, other calls to the model aren't steered.
        """
        prepared = self._prepared(who, as_request(request), knowledge, steer, budget, max_tokens)
        sampling = own_sampling(self.loaded, temperature=temperature, seed=seed)
        if self.endpoint is not None:
            yield from prepared.stream_from(
                self.endpoint, self.loaded, max_tokens=max_tokens, temperature=temperature, seed=seed
            )
            return
        yield from prepared.stream(
            self.loaded, max_tokens=max_tokens, sampling=sampling, calibration=self._calibration(steer)
        )

    def ask_many(
        self,
        asked: Iterable[tuple[Who, Request | str]],
        *,
        knowledge: Knowledge = "profile",
        steer: Steer | None = None,
        budget: int | str = DEFAULT_BUDGET,
        max_tokens: int = 256,
        temperature: float | None = None,
        seed: int | None = None,
        progress: Progress = no_progress,
    ) -> list[Answer]:
        """Answer many (user or history, request) pairs in shared forward passes, each with its own profile and its own
        steering; an endpoint is asked for several at the same time. Results and errors as those of `ask` (up to
        rounding); the first error ends it.
        """
        pairs = as_pairs(asked)
        prepared: list[Prepared] = []
        queries = [request.query for _, request in pairs] if knowledge == "profile" else []
        with self.resources.reading(queries):
            for who, request in pairs:
                prepared.append(self._prepared(who, request, knowledge, steer, budget, max_tokens))
                progress("preparing", len(prepared), len(pairs))
        sampling = own_sampling(self.loaded, temperature=temperature, seed=seed)
        if self.endpoint is not None:
            return answers_from(
                self.endpoint,
                self.loaded,
                prepared,
                max_tokens=max_tokens,
                temperature=temperature,
                seed=seed,
                progress=progress,
            )
        return answer_batch(
            self.loaded,
            prepared,
            max_tokens=max_tokens,
            sampling=sampling,
            calibration=self._calibration(steer),
            progress=progress,
        )

    def _prepared(  # noqa: PLR0917  # those of its public callers
        self, who: Who, request: Request, knowledge: Knowledge, steer: Steer | None, budget: int | str, max_tokens: int
    ) -> Prepared:
        """Return everything before the first token of an answer."""
        if self.endpoint is not None and steer is not None:
            raise InputError(
                f"an answer of {self.endpoint.model} at {self.endpoint.base_url} can't be steered, as only the local "
                "model's activations and attention can be changed: leave out the steering, or the endpoint"
            )
        if max_tokens < 1:
            raise InputError(f"an answer of at most {max_tokens} tokens: expected at least 1")
        who = as_who(who)
        profile, notes, dropped = None, None, 0
        if knowledge == "profile":
            history = self.history(who)
            profile = self.compress(history, request, budget)
            notes = answer_notes(history, profile, request) if profile.segments else profile.text
        elif knowledge == "full":
            notes, dropped = newest_records(self.loaded, self.history(who), request, max_tokens)
        messages = answer_messages(notes, request)
        prepared = Prepared(messages, render_chat(self.loaded, messages), profile, dropped)
        if steer == EMPHASIS:
            return prepared.emphasised(self.loaded, self.resources.calibration, request)
        if steer is None:
            return prepared
        began = time.perf_counter()
        steering = Steering.given(steer) if isinstance(steer, Intervention) else self.steered(who, request, steer)
        return replace(prepared, steering=steering, seconds={"steer": time.perf_counter() - began})

    def _calibration(self, steer: Steer | None) -> Calibration | None:
        """Return the calibration whose heads emphasis writes to; None for any other steering."""
        return self.resources.calibration if steer == EMPHASIS else None

    # Steering

    def fit_steering(self, who: Who, method: str = DEFAULT_METHOD, **options: Unpack[FitOptions]) -> FitReport:
        """Fit and store steering for a user, for `ask(..., steer=method)`; see `steering.fit.trainer.fit_user` for
        options and errors.
        """
        history = self.history(who)
        return fit_user(self.steering_paths(history), history, self.loaded, self.render_prompt, method, **options)

    def steered(self, who: Who, request: Request | str, method: str = DEFAULT_METHOD) -> Steering:
        """Return the intervention for a request, and why it was chosen. Raises `InputError` if nothing was fitted."""
        fitted = load_fitted(self.steering_paths(who), self.loaded, method, lambda: self.history(who))
        return steer_request(self.loaded, fitted, as_request(request).query)

    def steering_paths(self, who: Who) -> SteeringPaths:
        """Return where a user's steering is kept. Raises `InputError` if there is no such place."""
        who = as_who(who)
        user = who if isinstance(who, str) else who.user
        folder = self._steering_directory(user) if self._steering_directory else None
        if folder is not None:
            return paths_in_folder(folder, user)
        if self.store is None or not user:
            raise InputError("nowhere to keep steering: pass Personalizer(store=...) or steering_directory")
        return paths_in_store(self.store, user)

    def render_prompt(self, notes: str | None, request: Request) -> str:
        """Return the prompt of a request."""
        return render_chat(self.loaded, answer_messages(notes, request))

    # Conversations

    def conversation(self, user: str = "", name: str = "", **options: Unpack[ConversationOptions]) -> Conversation:
        """Open a conversation with a user: a new one, or an earlier one by its name. `Conversation.say` answers. See
        `ConversationFactory.open` for options and errors.
        """
        return self._conversations.open(user, name, **options)

    @cached_property
    def _conversations(self) -> ConversationFactory:
        def mark(history: History, request: Request) -> Marks:
            return self.marker(history, request, self.segments(history))

        return ConversationFactory(self.resources, self.store, self.history, mark, self.compressor, self.endpoint)

    # Histories

    def history(self, who: Who) -> History:
        """Return a history, or that of a stored user. Raises `InputError` if it is empty or there is no store."""
        who = as_who(who)
        if isinstance(who, str):
            if self.store is None:
                raise InputError(f"no store to look up user {who!r}: pass Personalizer(store=...) or a History")
            who = self._histories.stored(self.store, who)
        who = self._views.of(who, self._sharing)
        if not len(who):
            raise InputError("the history is empty: expected at least one record; import some first")
        return who

    def release(self, who: History | str) -> None:
        """Drop what is in memory of a user, or of a history that was passed in. It is read again when it is needed."""
        self._histories.release(who)
        self.resources.close(who)

    def segments(self, history: History) -> tuple[Segment, ...]:
        """Return the segments of a history; a second request doesn't segment it again."""
        return self._histories.segments(history)


def _leaves(endpoint: Endpoint | None, options: Options | Mapping[str, object] | None) -> bool:
    """Whether what is known about a user is sent to another machine, to be answered or to be rewritten."""
    url = options.get("base_url") if isinstance(options, Mapping) else getattr(options, "base_url", None)
    return (endpoint is not None and not endpoint.loopback) or (isinstance(url, str) and not is_loopback(url))
