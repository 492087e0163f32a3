"""Assembles a memory's candidates into the messages of a prompt, under a hard budget of tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from penchant.compression.profile import Profile
from penchant.conversation.context import Context, Dialogue, Inclusion
from penchant.conversation.prompt_rendering import (
    INSTRUCTIONS_HEADING,
    NOTES_HEADING,
    SUMMARY_HEADING,
    TokenCounter,
    build_messages,
    dropped,
    included_text,
    system_message,
    turn_layout,
)
from penchant.errors import InputError
from penchant.history.dialogue import Instruction
from penchant.text.unicode import sanitize

MAX_MISSES = 32
"""The search ends after this many candidates in a row don't fit, so that a question's cost doesn't grow with
the past.
"""

ALWAYS_SHARE = 0.5
"""Share of the room that instructions leave which exchanges that are always included may fill with more than their
shortest form."""

Forms = Sequence[Inclusion]
"""How one exchange may be included in the prompt, the best form first."""


@dataclass(frozen=True)
class Candidate:
    """One past exchange that may be included. position: in `Dialogue.past`. forms: called only when needed, so that
    exchanges that can't fit aren't compressed and counted.
    """

    position: int
    forms: Callable[[], Forms]


@dataclass
class _Draft:
    """The prompt so far. limit: most tokens; used: their estimated number. included: by position in the past.
    without_room: positions of candidates that didn't fit. undo: functions that remove each addition, in the order made.
    """

    counter: TokenCounter
    dialogue: Dialogue
    question: str
    limit: int
    used: int = 0
    instructions: tuple[Instruction, ...] = ()
    summary: str = ""
    notes: Profile | None = None
    included: dict[int, Inclusion] = field(default_factory=dict)
    without_room: set[int] = field(default_factory=set)
    undo: list[Callable[[], None]] = field(default_factory=list)

    def messages(self) -> list[dict[str, str]]:
        dialogue, question = self.dialogue, sanitize(self.question)
        if dialogue.layout == "turn":
            system, question = turn_layout(dialogue.system, self.instructions, self.summary, self.notes, question)
        else:
            system = system_message(dialogue.system, self.instructions, self.summary, self.notes)
        return build_messages(system, dialogue.past, self.included, question)

    def tokens(self) -> int:
        return self.counter.prompt(self.messages())

    def add_instructions(self) -> None:
        """Add the instructions that fit, the newest first."""
        given = self.dialogue.instructions
        frame = self.counter.text(INSTRUCTIONS_HEADING) + self.counter.message_overhead + 2
        number_cost = self.counter.text(f"\n{len(given)}. ")
        chosen: list[Instruction] = []
        misses = 0
        for one in reversed(given):
            cost = self.counter.text(sanitize(one.text)) + number_cost + (0 if chosen else frame)
            if self.used + cost <= self.limit:
                chosen.append(one)
                self.used, misses = self.used + cost, 0
                self.undo.append(self._drop_instruction)
            elif (misses := misses + 1) > MAX_MISSES:
                break
        self.instructions = tuple(reversed(chosen))

    def add_summary(self, summary: str) -> None:
        """Add the summary if all of it fits."""
        if summary.strip() and self._afford(summary, SUMMARY_HEADING):
            self.summary = summary
            self.undo.append(partial(setattr, self, "summary", ""))

    def add_notes(self) -> None:
        """Add the notes if all of them fit."""
        notes = self.dialogue.notes
        if notes is not None and notes.text.strip() and self._afford(notes.text, NOTES_HEADING):
            self.notes = notes
            self.undo.append(partial(setattr, self, "notes", None))

    def add_exchanges(self, candidates: Iterable[Candidate], *, patience: int = MAX_MISSES, share: float = 1.0) -> None:
        """Include each candidate in the first of its forms that fits this share of the room, until `patience`
        candidates in a row don't fit. A candidate that is already included may get a better form.
        """
        misses, limit = 0, self.used + int(share * (self.limit - self.used))
        for candidate in candidates:
            before = self.included.get(candidate.position)
            paid = 0 if before is None else self._cost(candidate.position, before)
            for included in candidate.forms():
                if included == before:
                    break
                cost = self._cost(candidate.position, included) - paid
                if self.used + cost <= limit:
                    self.included[candidate.position] = included
                    self.used, misses = self.used + cost, 0
                    self.undo.append(partial(self._restore, candidate.position, before))
                    break
            else:
                self.without_room.add(candidate.position)
                if (misses := misses + 1) >= patience:
                    break

    def inclusions(self, rest: Callable[[int], Inclusion]) -> Iterator[Inclusion]:
        for position in range(len(self.dialogue.past)):
            included = self.included.get(position)
            if included is None:
                included = rest(position)
                if position in self.without_room:
                    included = dropped(included.exchange, "budget", included.similarity)
            yield included

    def _drop_instruction(self) -> None:
        self.instructions = self.instructions[1:]

    def _afford(self, text: str, heading: str) -> bool:
        cost = self.counter.text(sanitize(text)) + self.counter.text(heading) + self.counter.message_overhead
        fits = self.used + cost <= self.limit
        self.used += cost if fits else 0
        return fits

    def _restore(self, position: int, before: Inclusion | None) -> None:
        if before is None:
            del self.included[position]
            self.without_room.add(position)
        else:
            self.included[position] = before

    def _cost(self, position: int, included: Inclusion) -> int:
        user, assistant = included_text(self.dialogue.past[position], included)
        return self.counter.message(user) + self.counter.message(assistant)


def assemble(
    counter: TokenCounter,
    dialogue: Dialogue,
    question: str,
    budget: int,
    *,
    always: Sequence[Candidate] = (),
    candidates: Iterable[Candidate] = (),
    rest: Callable[[int], Inclusion],
    contiguous: bool = False,
    summary: str = "",
    tokens_fed: int = 0,
    seconds: Mapping[str, float] | None = None,
) -> Context:
    """Assemble the context of a question: at most `budget` tokens, counted on the rendered prompt.

    Priority: the question and the system prompt; the instructions, the newest first if they don't all fit (they are
    numbered in the order they were given); the summary; exchanges that are always included (see `ALWAYS_SHARE`); the
    notes; `candidates`. Each candidate gets the first of its forms that fits, or is dropped with the reason "budget";
    summary and notes are included whole or not at all. contiguous: stop at the first candidate that doesn't fit. rest:
    returns the inclusion of an exchange that isn't a candidate.

    Each piece is counted once, and the counts are added; the whole prompt is counted at the end, and the last additions
    are removed until it fits.

    Raises `InputError` for an empty question, and if question and system prompt alone exceed the budget or the model's
    window.
    """
    began = time.perf_counter()
    if not question.strip():
        raise InputError("the question is empty: expected some text")
    draft = _Draft(counter, dialogue, question, min(budget, counter.loaded.window - 1))
    draft.used = _minimum(draft, budget)
    draft.add_instructions()
    draft.add_summary(summary)
    draft.used = draft.tokens()  # a template that adds its own system message makes the estimate wrong
    draft.add_exchanges(always, share=ALWAYS_SHARE)
    missing = (one for one in always if one.position not in draft.included)
    draft.add_exchanges(Candidate(one.position, partial(_shortest_form, one)) for one in missing)
    draft.add_notes()
    draft.used = draft.tokens()
    seen = {one.position for one in always}
    others = (one for one in candidates if one.position not in seen)
    draft.add_exchanges(others, patience=1 if contiguous else MAX_MISSES)
    draft.add_exchanges(always)  # they may use what room is left
    while (tokens := draft.tokens()) > draft.limit:
        draft.undo.pop()()
    stand = set(draft.instructions)
    return Context(
        tuple(draft.messages()),
        tokens,
        budget,
        instructions=draft.instructions,
        left_out=tuple(one for one in dialogue.instructions if one not in stand),
        inclusions=tuple(draft.inclusions(rest)),
        notes=draft.notes,
        tokens_fed=tokens_fed,
        seconds={**(seconds or {}), "assemble": time.perf_counter() - began},
    )


def _shortest_form(candidate: Candidate) -> Forms:
    return candidate.forms()[-1:]


def _minimum(draft: _Draft, budget: int) -> int:
    """Count the question with the system prompt. Raises `InputError` if they exceed budget or window."""
    used = draft.tokens()
    if used <= draft.limit:
        return used
    window = draft.counter.loaded.window
    room = f"the budget is {budget}" if budget < window else f"the window of {draft.counter.loaded.name} is {window}"
    alone = replace(draft, dialogue=replace(draft.dialogue, system="")).tokens()
    if alone > draft.limit:
        raise InputError(f"the question takes {alone} tokens, but {room}: shorten it or raise the budget")
    raise InputError(
        f"the system prompt and the question take {used} tokens, but {room}: shorten one or raise the budget"
    )
