"""Penchant's memory: standing instructions first, and past exchanges that the model's own attention retrieves."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from penchant.conversation.context import Context, Dialogue, How, Inclusion, Memory, Spans, Why
from penchant.conversation.episodes import EpisodeCache, Episodes
from penchant.conversation.prompt_assembly import Candidate, assemble
from penchant.conversation.prompt_rendering import TokenCounter, dropped, raw, user_only, whole_span
from penchant.conversation.retrieval import (
    COMPRESSED_THRESHOLD,
    RAW_THRESHOLD,
    PlattScaling,
    best_spans,
    exchange_scores,
    scaling_for,
    shortened_question,
)
from penchant.errors import InputError
from penchant.history.dialogue import Exchange
from penchant.history.records import Request
from penchant.marking.fusion import fused
from penchant.marking.marks import Marker
from penchant.marking.resources import Resources

RECENT = 2
"""How many of the last exchanges are always in the prompt."""

Side = Literal["assistant", "user"]
Rule = Literal["filled", "thresholds"]
FloatArray = npt.NDArray[np.float32]


def penchant(
    resources: Resources,
    *,
    instructions: bool = True,
    episodes: bool = True,
    compress: Side = "assistant",
    rule: Rule = "thresholds",
    recent: int = RECENT,
) -> Memory:
    """Instructions, the newest exchanges, and older ones that the default marker finds (after Rhea, arXiv 2512.06869).

    The turns form a history with its own attention index, which grows with the conversation. Marking it for the
    question shows how similar each exchange is, and which sentences of its answer matter.

    instructions: False leaves them in the turns that gave them. episodes: False includes only the first and last
    exchanges. compress: the side that is compressed. rule: "thresholds" includes only what passes Rhea's thresholds,
    "filled" fills the whole budget in the order of similarity. recent: how many of the last exchanges are always
    included.

    Raises `InputError` for an unknown side or rule.
    """
    if compress not in get_args(Side) or rule not in get_args(Rule) or recent < 0:
        raise InputError(
            f"compress {compress!r}, rule {rule!r}, recent {recent}: expected one of {', '.join(get_args(Side))}, one "
            f"of {', '.join(get_args(Rule))}, and 0 or more"
        )
    return _Penchant(resources, instructions, episodes, compress, rule, recent)


@dataclass
class _Penchant:
    resources: Resources
    instructions: bool
    episodes: bool
    compress: Side
    rule: Rule
    recent: int
    counter: TokenCounter = field(init=False)
    marker: Marker = field(init=False)
    scaling: PlattScaling = field(init=False)
    opened: EpisodeCache = field(init=False, default_factory=EpisodeCache)

    def __post_init__(self) -> None:
        self.counter = TokenCounter(self.resources.loaded)
        self.marker = fused(self.resources)
        self.scaling = scaling_for(self.resources.calibration)

    def context(self, dialogue: Dialogue, question: str, budget: int) -> Context:
        if not self.instructions:
            dialogue = replace(dialogue, instructions=())
        episodes = self.opened.of(dialogue)
        with episodes.lock:
            scored = self._score(episodes, dialogue, question)
            count = len(dialogue.past)
            always = sorted({*range(max(0, count - self.recent), count), *range(min(1, count))}, reverse=True)
            unlike: Why = "unlike" if self.episodes else "method"
            return assemble(
                self.counter,
                dialogue,
                question,
                budget,
                always=[scored.candidate(at, "first" if at < count - self.recent else "recent") for at in always],
                candidates=scored.retrieved(always, self.rule) if self.episodes else (),
                rest=lambda at: dropped(dialogue.past[at].number, unlike, scored.similarity(at)),
                tokens_fed=scored.tokens_fed,
                seconds=scored.seconds,
            )

    def forget(self, key: str) -> None:
        self.opened.forget(key)
        self.resources.close(key)

    def _score(self, episodes: Episodes, dialogue: Dialogue, question: str) -> _ScoredPast:
        began = time.perf_counter()
        episodes.update(dialogue.past)
        grown = time.perf_counter() - began
        scores, fed, seconds = np.zeros(0, np.float32), 0, {"encode": grown}
        if len(episodes.segments) and question.strip():
            request = Request(shortened_question(self.resources.loaded, question))
            marks = self.marker(episodes.history, request, episodes.segments)
            scores, fed = marks.scores, marks.tokens_fed
            seconds = {**marks.seconds, "encode": grown + marks.seconds.get("encode", 0.0)}
        first = episodes.first_segments if len(scores) else episodes.first_segments[:0]
        similarities = self.scaling(exchange_scores(scores, first))
        return _ScoredPast(
            self.counter, episodes, dialogue.past, scores, similarities, self.compress, _since(dialogue), fed, seconds
        )


@dataclass(frozen=True)
class _ScoredPast:
    """The past, scored for one question. scores: float32 [segments]. similarities: float32 [exchanges]. since: position
    of the first exchange whose answer can follow all instructions in force.
    """

    counter: TokenCounter
    episodes: Episodes
    past: tuple[Exchange, ...]
    scores: FloatArray
    similarities: FloatArray
    side: Side
    since: int
    tokens_fed: int
    seconds: dict[str, float]

    def similarity(self, position: int) -> float | None:
        return float(self.similarities[position]) if position < len(self.similarities) else None

    def candidate(self, position: int, why: Why, *, best: How = "raw") -> Candidate:
        return Candidate(position, lambda: list(self._forms(position, why, best)))

    def retrieved(self, taken: Sequence[int], rule: Rule) -> Iterator[Candidate]:
        """Yield candidates in the order of similarity."""
        out = set(taken)
        for at in np.argsort(-self.similarities, kind="stable"):
            position, similarity = int(at), float(self.similarities[at])
            if similarity < COMPRESSED_THRESHOLD and rule == "thresholds":
                return
            if position not in out:
                best: How = "raw" if similarity >= RAW_THRESHOLD else "compressed"
                yield self.candidate(position, "retrieved", best=best)

    def _forms(self, position: int, why: Why, best: How) -> Iterator[Inclusion]:
        exchange, similarity = self.past[position], self.similarity(position)
        if best == "raw" or exchange.assistant is None:
            yield raw(exchange, why, similarity)
        if exchange.assistant is not None:
            user, answer = whole_span(exchange.user.text), whole_span(exchange.assistant.text)
            if self.side == "assistant":
                answer = self._spans(position, answer=True)
            else:
                user = self._spans(position, answer=False)
            yield Inclusion(exchange.number, "compressed", why, similarity, user, answer)
        yield user_only(exchange, why, similarity)

    def _spans(self, position: int, *, answer: bool) -> Spans:
        found = self.episodes.segments_of(position, answer)
        part = slice(found.start, found.stop)
        return best_spans(
            self.counter, self.episodes.segments[part], self.scores[part], edges=answer and position >= self.since
        )


def _since(dialogue: Dialogue) -> int:
    """Return the position of the exchange that gave the newest instruction; 0 if none was given in this
    conversation.
    """
    given: dict[int | None, list[str]] = {}
    for one in dialogue.instructions:  # includes other conversations, whose turns have the same numbers
        given.setdefault(one.turn, []).append(one.text)
    said = enumerate(one.user for one in dialogue.past)
    return max((at for at, turn in said if any(text in turn.text for text in given.get(turn.number, ()))), default=0)
