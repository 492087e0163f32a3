"""Opens conversations, with the parts that those of all users share: memories, detectors, profiles of histories."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TypedDict

from penchant.compression.budget import count_tokens
from penchant.compression.profile import Compressor, Profile
from penchant.conversation.about_user import about_user
from penchant.conversation.context import Detector, Memory
from penchant.conversation.defaults import BUDGET, NOTES
from penchant.conversation.instructions.registry import DEFAULT_DETECTOR, make_detector
from penchant.conversation.registry import DEFAULT_MEMORY, make_memory
from penchant.conversation.retention.unkept import Unkept
from penchant.conversation.session import Conversation, check_priority
from penchant.errors import InputError
from penchant.history.records import History, Request
from penchant.history.supersession import superseded
from penchant.inference.endpoint import Endpoint
from penchant.marking.marks import Marks
from penchant.marking.resources import Resources
from penchant.store import Store
from penchant.text.courtesies import is_courtesy


class ConversationOptions(TypedDict, total=False):
    """The options of `ConversationFactory.open`."""

    memory: str
    detector: str
    budget: int | None
    notes: float
    priority: float
    system: str | None
    memory_options: Mapping[str, object] | None
    detector_options: Mapping[str, object] | None


@dataclass
class ConversationFactory:
    """Opens conversations with one model. resources: the model, its calibration, and how indexes are kept. history,
    mark, compress: make a profile of a stored user's history (`Personalizer`'s). endpoint: see `Conversation`."""

    resources: Resources
    store: Store | None
    history: Callable[[str], History]
    mark: Callable[[History, Request], Marks]
    compress: Compressor
    endpoint: Endpoint | None = None
    _memories: dict[tuple[object, ...], Memory] = field(default_factory=dict)
    _detectors: dict[tuple[object, ...], Detector] = field(default_factory=dict)
    _unkept: dict[tuple[str, str], Unkept] = field(default_factory=dict)

    def open(
        self,
        user: str = "",
        name: str = "",
        *,
        memory: str = DEFAULT_MEMORY,
        detector: str = DEFAULT_DETECTOR,
        budget: int | None = None,
        notes: float = NOTES,
        priority: float = 0.0,
        system: str | None = None,
        memory_options: Mapping[str, object] | None = None,
        detector_options: Mapping[str, object] | None = None,
    ) -> Conversation:
        """Open a conversation with a user: a new one, or an earlier one by its name. Without a user or a store, nothing
        is kept.

        memory, detector: names, see MEMORIES and DETECTORS. budget: most tokens of a whole prompt (default: a quarter
        of the model's window, at most `BUDGET`). notes: share of it for the profile of the user's history (0: none).
        priority: nats added to the attention on standing instructions. system: the system prompt; None: the previous
        one. memory_options, detector_options: options of the memory and the detector (`recent=4`).

        Raises `InputError` for an unknown name or option, or a share out of range, and as `Conversation`.
        """
        if not 0 <= notes < 1:
            raise InputError(f"notes {notes}: expected a share of the prompt from 0 to below 1")
        check_priority(priority, self.endpoint)
        loaded = self.resources.loaded
        tokens = min(loaded.window // 4, BUDGET) if budget is None else budget
        store = self.store if user else None
        named = (name or new_name()) if store is not None else name
        room = int(tokens * notes)
        return Conversation(
            loaded,
            self._memory(memory, memory_options or {}),
            self._detector(detector, detector_options or {}),
            budget=tokens,
            user=user,
            name=named,
            store=store,
            system=system,
            notes=partial(self._notes, user, room) if store is not None and room else None,
            priority=priority,
            calibration=self.resources.calibration if priority else None,
            # A conversation that is opened again in this process is still off the record.
            unkept=self._unkept.setdefault((user, named), Unkept()) if store is not None else None,
            endpoint=self.endpoint,
        )

    def _notes(self, user: str, budget: int, text: str) -> Profile | None:
        """Return a profile of the user's history for a turn; None for one that asks and says nothing."""
        if is_courtesy(text):
            return None
        try:
            history = self.history(user)
        except InputError:  # nothing is known about the user yet
            return None
        request = Request(text)
        marks = current_marks(self.mark(history, request), history)
        if not marks.segments:
            return None
        profile = self.compress(history, request, marks, budget)
        return about_user(history, profile, request, partial(count_tokens, self.resources.loaded.tokenizer))

    def _memory(self, name: str, options: Mapping[str, object]) -> Memory:
        key = (name, *sorted(options.items()))
        if key not in self._memories:
            self._memories[key] = make_memory(name, self._turns, options)
        return self._memories[key]

    def _detector(self, name: str, options: Mapping[str, object]) -> Detector:
        key = (name, *sorted(options.items()))
        if key not in self._detectors:
            self._detectors[key] = make_detector(name, self._turns, options)
        return self._detectors[key]

    @cached_property
    def _turns(self) -> Resources:
        """Return resources for indexes of conversations, each in a separate folder."""
        return self.resources.beside(self._folder)

    def _folder(self, key: str) -> Path | None:
        user, _, name = key.partition("\n")
        return self.store.conversation_dir(user, name) if self.store is not None and name else None


def current_marks(marks: Marks, history: History) -> Marks:
    """Drop the marks of superseded records: given two addresses, a small model uses either, even if one is labelled as
    outdated (docs/methods/facts.md).
    """
    outdated = superseded(history)
    kept = [at for at, one in enumerate(marks.segments) if one.record_id not in outdated]
    return replace(marks, segments=tuple(marks.segments[at] for at in kept), scores=marks.scores[kept])


def new_name() -> str:
    """Return a name for a new conversation: the time, and four digits that distinguish two of the same second."""
    return f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}-{secrets.token_hex(2)}"
