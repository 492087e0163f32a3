"""The main job on one page: a history goes in, a request is marked, compressed and answered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from penchant.compression.budget import count_tokens, resolve_budget
from penchant.compression.layout import lay_out
from penchant.compression.profile import Compressor, Profile
from penchant.compression.prompt import answer_messages
from penchant.compression.registry import DEFAULT_BUDGET, DEFAULT_COMPRESSOR, make_compressor
from penchant.conversation.factory import ConversationFactory
from penchant.conversation.session import Conversation
from penchant.errors import InputError
from penchant.histories import Histories
from penchant.history.records import History, Request, Segment
from penchant.history.segmentation import Unit, segment
from penchant.index.pool import DEFAULT_LIMIT, Directory, in_memory
from penchant.index.table import Storage
from penchant.inference.generation import generate_stream
from penchant.inference.intervention import Intervention
from penchant.lens.calibration import Calibration
from penchant.marking.marks import Marker, Marks
from penchant.marking.registry import DEFAULT_MARKER, make_marker
from penchant.marking.resources import Resources
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import prompt_ids
from penchant.options import check_options
from penchant.progress import Progress, no_progress
from penchant.steering.apply.context import (
    Steering,
    StepContext,
    attention_bias_context,
    steer_request,
    steering_context,
    wrapped_stream,
)
from penchant.steering.fit.report import FitReport
from penchant.steering.fit.trainer import fit_user
from penchant.steering.methods.registry import DEFAULT_METHOD, EMPHASIS
from penchant.steering.storage.fitted_state import SteeringPaths, load_fitted, paths_in_folder, paths_in_store
from penchant.store import Store

Knowledge = Literal["profile", "full", "none"]
"""What an answer may be based on: the profile, as much of the history as fits the window, or nothing."""
Steer = str | Intervention
"""The name of a method, or an intervention."""


@dataclass(frozen=True)
class Answer:
    """An answer. text: what the model wrote. profile: what it was based on (None: no profile). prompt_tokens: size of
    the prompt.

    dropped_records: how many of the oldest records didn't fit the window (knowledge "full" only). seconds: wall time by
    phase. steering: the intervention that was applied, and why (None: no steering was asked for).
    """

    text: str
    profile: Profile | None
    prompt_tokens: int
    dropped_records: int
    seconds: dict[str, float]
    steering: Steering | None = None


class Personalizer:
    """Marks, compresses and answers for many users with one model.

    model: a loaded model, or anything that `load_model` takes. store: holds the users' records; without one, pass
    histories. marker, compressor: names from MARKERS and COMPRESSORS. unit: what is marked, see `segment`. directory:
    where the indexes of users are kept (default: in the store, else in memory). storage, index_limit: how keys are
    stored, and how many bytes of them stay in memory. steering_directory: where the steering of users is kept (default:
    in the store). options: those of the compressor, see its options class (`RemoteOptions`, ...).

    Raises `InputError` for an unknown name or an option that the compressor doesn't have, and `ModelError` for a model
    that can't be used.
    """

    def __init__(
        self,
        model: LoadedModel | str | Path = "smollm2",
        *,
        store: Store | None = None,
        marker: str = DEFAULT_MARKER,
        compressor: str = DEFAULT_COMPRESSOR,
        unit: Unit = "auto",
        calibration: Calibration | None = None,
        directory: Directory | None = None,
        steering_directory: Directory | None = None,
        storage: Storage = "native",
        index_limit: int = DEFAULT_LIMIT,
        progress: Progress = no_progress,
        **options: Any,
    ) -> None:
        self.store, self.unit, self._steering_directory = store, unit, steering_directory
        self.resources = Resources(
            model,
            calibration=calibration,
            directory=directory or (store.index_dir if store is not None else in_memory),
            storage=storage,
            limit=index_limit,
            progress=progress,
        )
        self.marker: Marker = make_marker(marker, self.resources)
        self._histories = Histories(self.loaded, store, unit, self.resources.close)
        self.resources.history_tokens = self._histories.tokens
        self.compressor: Compressor = make_compressor(compressor, self.resources, options)

    @property
    def loaded(self) -> LoadedModel:
        return self.resources.loaded

    def mark(self, who: History | str, request: Request | str) -> Marks:
        """Score every segment of a history (or of a stored user's) for a request.

        Raises `UnknownUserError`, or `InputError` for an empty history.
        """
        history = self.history(who)
        marks = self.marker(history, _request(request), self.segments(history))
        # A marker that runs no model counts no tokens.
        return marks if marks.history_tokens else replace(marks, history_tokens=self._histories.tokens(history))

    def compress(self, who: History | str, request: Request | str, budget: int | str = DEFAULT_BUDGET) -> Profile:
        """Mark and compress: a profile of at most `budget` tokens, see `resolve_budget`.

        `Profile.seconds` holds "encode" (indexing, only what is new), "mark" and "compress". Raises as `mark`, and
        `InputError` for a budget below one token.
        """
        history, request = self.history(who), _request(request)
        tokens = resolve_budget(budget, self._histories.tokens(history))
        return self.compressor(history, request, self.mark(history, request), tokens)

    def ask(
        self,
        who: History | str,
        request: Request | str,
        *,
        knowledge: Knowledge = "profile",
        steer: Steer | None = None,
        budget: int | str = DEFAULT_BUDGET,
        max_new_tokens: int = 256,
    ) -> Answer:
        """Answer a request from the user's profile, the full history, or nothing; greedy decoding.

        steer: a method that `fit_steering` was run with, "emphasis" (more attention to the segments of the profile), or
        an intervention. Raises as `compress`, and `InputError` for steering that wasn't fitted or doesn't fit.
        """
        options: dict[str, Any] = {"knowledge": knowledge, "steer": steer, "budget": budget}
        *_, answer = self.stream(who, request, max_new_tokens=max_new_tokens, **options)
        assert isinstance(answer, Answer)  # every stream ends with an Answer
        return answer

    def stream(
        self,
        who: History | str,
        request: Request | str,
        *,
        knowledge: Knowledge = "profile",
        steer: Steer | None = None,
        budget: int | str = DEFAULT_BUDGET,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> Iterator[str | Answer]:
        """Like `ask`, but yields pieces of text as they are generated, and the whole `Answer` at the end. Between
        pieces, other calls to the model aren't steered.
        """
        if knowledge not in get_args(Knowledge):
            raise InputError(f"knowledge {knowledge!r}: expected one of {', '.join(get_args(Knowledge))}")
        request = _request(request)
        profile, notes, dropped = None, None, 0
        if knowledge == "profile":
            profile = self.compress(who, request, budget)
            notes = profile.text
        elif knowledge == "full":
            notes, dropped = self._full(self.history(who), request, max_new_tokens)
        prompt = self.render_prompt(notes, request)
        began = time.perf_counter()
        with self._steering_context(steer, who, request, prompt, profile) as (step, steering):
            started = time.perf_counter()
            made = generate_stream(
                self.loaded, prompt, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed
            )
            pieces = []
            for piece in wrapped_stream(made, step):
                pieces.append(piece)
                yield piece
        seconds = {**(profile.seconds if profile else {}), "answer": time.perf_counter() - started}
        if steering is not None:
            seconds["steer"] = started - began
        tokens = len(prompt_ids(self.loaded, prompt))
        yield Answer("".join(pieces).strip(), profile, tokens, dropped, seconds, steering)

    # Steering

    def fit_steering(self, who: History | str, method: str = DEFAULT_METHOD, **options: Any) -> FitReport:
        """Fit and store steering for a user, for `ask(..., steer=method)`; see `steering.fit.trainer.fit_user` for
        options and errors.
        """
        check_options(fit_user, options, "fit_steering")
        history = self.history(who)
        return fit_user(self.steering_paths(history), history, self.loaded, self.render_prompt, method, **options)

    def steered(self, who: History | str, request: Request | str, method: str = DEFAULT_METHOD) -> Steering:
        """Return the intervention for a request, and why it was chosen. Raises `InputError` if nothing was fitted."""
        fitted = load_fitted(self.steering_paths(who), self.loaded, method, lambda: self.history(who))
        return steer_request(self.loaded, fitted, _request(request).query)

    def steering_paths(self, who: History | str) -> SteeringPaths:
        """Return where a user's steering is kept. Raises `InputError` if there is no such place."""
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

    @contextmanager
    def _steering_context(
        self, steer: Steer | None, who: History | str, request: Request, prompt: str, profile: Profile | None
    ) -> Iterator[tuple[StepContext, Steering | None]]:
        """Return the context in which each piece is generated, and the intervention applied there."""
        if steer is None:
            yield nullcontext, None
        elif steer == EMPHASIS:
            if profile is None:
                raise InputError("emphasis needs a profile to emphasise: expected knowledge 'profile'")
            pairs = zip(profile.segments, profile.scores, strict=True)
            marked = [(segment.record_id, segment.text, score) for segment, score in pairs]
            yield attention_bias_context(self.loaded, self.resources.calibration, prompt, marked, request)
        else:
            steering = Steering.given(steer) if isinstance(steer, Intervention) else self.steered(who, request, steer)
            with steering_context(self.loaded, steering.intervention, prompt) as step:
                yield step, steering

    # Conversations

    def conversation(self, user: str = "", name: str = "", **options: Any) -> Conversation:
        """Open a conversation with a user: a new one, or an earlier one by its name. `Conversation.say` answers. See
        `ConversationFactory.open` for options and errors.
        """
        check_options(ConversationFactory.open, options, "conversation")
        return self._conversations.open(user, name, **options)

    @cached_property
    def _conversations(self) -> ConversationFactory:
        def mark(history: History, request: Request) -> Marks:
            return self.marker(history, request, self.segments(history))

        return ConversationFactory(self.resources, self.store, self.history, mark, self.compressor)

    # Histories

    def history(self, who: History | str) -> History:
        """Return a history, or that of a stored user. Raises `InputError` if it is empty or there is no store."""
        if isinstance(who, str):
            if self.store is None:
                raise InputError(f"no store to look up user {who!r}: pass Personalizer(store=...) or a History")
            who = self._histories.stored(self.store, who)
        if not len(who):
            raise InputError("the history is empty: expected at least one record; import some first")
        return who

    def segments(self, history: History) -> tuple[Segment, ...]:
        """Return the segments of a history; a second request doesn't segment it again."""
        return self._histories.segments(history)

    def _full(self, history: History, request: Request, answer_tokens: int) -> tuple[str, int]:
        # The newest records that fit: bisection on how many of the oldest to leave out.
        segments = segment(history, "record")
        low, high = 0, len(history)
        while low < high:
            middle = (low + high) // 2
            text = lay_out(history, [one for one in segments if one.record >= middle])
            prompt = render_chat(self.loaded, answer_messages(text, request))
            size = 1 + count_tokens(self.loaded.tokenizer, prompt)  # 1: a begin-of-text token may be added
            low, high = (low, middle) if size + answer_tokens <= self.loaded.window else (middle + 1, high)
        return lay_out(history, [one for one in segments if one.record >= low]), low


def _request(request: Request | str) -> Request:
    return request if isinstance(request, Request) else Request(request)
