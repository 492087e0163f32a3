"""From what a memory offers to the messages of a prompt, under a hard budget of tokens."""

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
)
from penchant.errors import InputError
from penchant.history.dialogue import Instruction
from penchant.text.unicode import sanitize

MAX_MISSES = 32
"""Offers in a row that find no room before no more are looked at: what a question costs doesn't grow with the past."""

ALWAYS_SHARE = 0.5
"""Of the room that instructions leave, what exchanges that are always there may fill with more than their shortest
way."""

Forms = Sequence[Inclusion]
"""The ways in which one exchange may stand in the prompt, the best first."""


@dataclass(frozen=True)
class Candidate:
    """One past exchange that wants to stand in the prompt. position: in `Dialogue.past`. ways: called when its turn
    comes, so that only exchanges that still have a chance are compressed and counted."""

    position: int
    ways: Callable[[], Forms]


@dataclass
class _Draft:
    """The prompt so far. limit: tokens that it may have; used: about those it has. kept: by position in the past.
    claims: how to take back what was granted, in the order in which it was."""

    counter: TokenCounter
    dialogue: Dialogue
    question: str
    limit: int
    used: int = 0
    instructions: tuple[Instruction, ...] = ()
    summary: str = ""
    notes: Profile | None = None
    kept: dict[int, Inclusion] = field(default_factory=dict)
    unmet: set[int] = field(default_factory=set)
    claims: list[Callable[[], None]] = field(default_factory=list)

    def messages(self) -> list[dict[str, str]]:
        system = system_message(self.dialogue.system, self.instructions, self.summary, self.notes)
        return build_messages(system, self.dialogue.past, self.kept, self.question)

    def tokens(self) -> int:
        return self.counter.prompt(self.messages())

    def instruct(self) -> None:
        """Grant the instructions room, the newest first."""
        given = self.dialogue.instructions
        frame = self.counter.text(INSTRUCTIONS_HEADING) + self.counter.turn + 2
        number_cost = self.counter.text(f"\n{len(given)}. ")
        chosen: list[Instruction] = []
        misses = 0
        for one in reversed(given):
            cost = self.counter.text(sanitize(one.text)) + number_cost + (0 if chosen else frame)
            if self.used + cost <= self.limit:
                chosen.append(one)
                self.used, misses = self.used + cost, 0
                self.claims.append(self._uninstruct)
            elif (misses := misses + 1) > MAX_MISSES:
                break
        self.instructions = tuple(reversed(chosen))

    def summarise(self, summary: str) -> None:
        """Grant a summary room, whole or not at all."""
        if summary.strip() and self._afford(summary, SUMMARY_HEADING):
            self.summary = summary
            self.claims.append(partial(setattr, self, "summary", ""))

    def note(self) -> None:
        """Grant the notes room, whole or not at all."""
        notes = self.dialogue.notes
        if notes is not None and notes.text.strip() and self._afford(notes.text, NOTES_HEADING):
            self.notes = notes
            self.claims.append(partial(setattr, self, "notes", None))

    def grant(self, offers: Iterable[Candidate], *, patience: int = MAX_MISSES, share: float = 1.0) -> None:
        """Give each offer the first of its ways that fits into this share of the room, until `patience` of them in a
        row found none. One that stands already may get a better way."""
        misses, limit = 0, self.used + int(share * (self.limit - self.used))
        for offer in offers:
            before = self.kept.get(offer.position)
            paid = 0 if before is None else self._cost(offer.position, before)
            for kept in offer.ways():
                if kept == before:
                    break
                cost = self._cost(offer.position, kept) - paid
                if self.used + cost <= limit:
                    self.kept[offer.position] = kept
                    self.used, misses = self.used + cost, 0
                    self.claims.append(partial(self._restore, offer.position, before))
                    break
            else:
                self.unmet.add(offer.position)
                if (misses := misses + 1) >= patience:
                    break

    def outcomes(self, rest: Callable[[int], Inclusion]) -> Iterator[Inclusion]:
        for position in range(len(self.dialogue.past)):
            kept = self.kept.get(position)
            if kept is None:
                kept = rest(position)
                if position in self.unmet:
                    kept = dropped(kept.exchange, "budget", kept.similarity)
            yield kept

    def _uninstruct(self) -> None:
        self.instructions = self.instructions[1:]

    def _afford(self, text: str, heading: str) -> bool:
        cost = self.counter.text(sanitize(text)) + self.counter.text(heading) + self.counter.turn
        fits = self.used + cost <= self.limit
        self.used += cost if fits else 0
        return fits

    def _restore(self, position: int, before: Inclusion | None) -> None:
        if before is None:
            del self.kept[position]
            self.unmet.add(position)
        else:
            self.kept[position] = before

    def _cost(self, position: int, kept: Inclusion) -> int:
        user, assistant = included_text(self.dialogue.past[position], kept)
        return self.counter.message(user) + self.counter.message(assistant)


def assemble(
    counter: TokenCounter,
    dialogue: Dialogue,
    question: str,
    budget: int,
    *,
    always: Sequence[Candidate] = (),
    offers: Iterable[Candidate] = (),
    rest: Callable[[int], Inclusion],
    contiguous: bool = False,
    summary: str = "",
    tokens_fed: int = 0,
    seconds: Mapping[str, float] | None = None,
) -> Context:
    """The context of a question: at most `budget` tokens of the rendered prompt, counted on it.

    Room is given in this order: the question and the system prompt; the instructions, the newest first where they
    don't all fit (they are numbered in the order in which they were given); a summary of what isn't there; `always`
    (see `ALWAYS_SHARE`); the notes; `offers`. Each offer gets the first of its ways that fits, or is dropped with why
    "budget"; summary and notes stand whole or not at all. contiguous: the first offer without room ends it. rest: what
    becomes of an exchange that isn't offered.

    A piece's tokens are counted once and added up; the whole prompt is counted at the end, and what came last goes
    until it fits.

    Raises `InputError` for an empty question, and where question and system prompt alone are over the budget or the
    model's window.
    """
    began = time.perf_counter()
    if not question.strip():
        raise InputError("the question is empty: expected some text; say something")
    draft = _Draft(counter, dialogue, question, min(budget, counter.loaded.window - 1))
    draft.used = _smallest(draft, budget)
    draft.instruct()
    draft.summarise(summary)
    draft.used = draft.tokens()  # templates that fill in a system message of their own make the estimate a poor one
    draft.grant(always, share=ALWAYS_SHARE)
    draft.grant(Candidate(one.position, partial(_shortest, one)) for one in always if one.position not in draft.kept)
    draft.note()
    draft.used = draft.tokens()
    there = {one.position for one in always}
    draft.grant((one for one in offers if one.position not in there), patience=1 if contiguous else MAX_MISSES)
    draft.grant(always)  # what room is left, they may use after all
    while (tokens := draft.tokens()) > draft.limit:
        draft.claims.pop()()
    stand = set(draft.instructions)
    return Context(
        tuple(draft.messages()),
        tokens,
        budget,
        instructions=draft.instructions,
        left_out=tuple(one for one in dialogue.instructions if one not in stand),
        inclusions=tuple(draft.outcomes(rest)),
        notes=draft.notes,
        tokens_fed=tokens_fed,
        seconds={**(seconds or {}), "assemble": time.perf_counter() - began},
    )


def _shortest(offer: Candidate) -> Forms:
    return offer.ways()[-1:]


def _smallest(draft: _Draft, budget: int) -> int:
    """Tokens of the question with the system prompt. Raises `InputError` where they are over budget or window."""
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
