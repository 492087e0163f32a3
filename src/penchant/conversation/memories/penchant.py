"""Penchant's memory: instructions first, and what the model's own attention finds again in past exchanges."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

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
from penchant.marking.bm25 import incremental_bm25, incremental_indexes
from penchant.marking.dense import incremental_dense, incremental_rows
from penchant.marking.fusion import fused
from penchant.marking.incremental import IncrementalCache
from penchant.marking.marks import Marker
from penchant.marking.resources import Resources

RECENT = 2
"""Last exchanges that always stand in the prompt."""

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

    The turns are a history with an attention index of its own, which grows with the conversation; one mark of it for
    the question says how alike each exchange is and which sentences of its answer matter.

    instructions: False leaves them where they were said. episodes: False keeps the first and the last exchanges only.
    compress: the side that is compressed. rule: "thresholds" keeps what Rhea's thresholds say and no more, "filled"
    gives all of the budget's room in the order of similarity. recent: last exchanges that are always there.

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
    grown: list[IncrementalCache[Any]] = field(init=False, default_factory=list)
    marker: Marker = field(init=False)
    scaling: PlattScaling = field(init=False)
    opened: EpisodeCache = field(init=False, default_factory=EpisodeCache)

    def __post_init__(self) -> None:
        self.counter = TokenCounter(self.resources.loaded)
        words = incremental_indexes()
        self.grown.append(words)
        self.marker = fused(self.resources, lambda: incremental_bm25(words), self._dense)
        self.scaling = scaling_for(self.resources.calibration)

    def _dense(self) -> Marker:
        rows = incremental_rows(self.resources.embeddings)
        self.grown.append(rows)
        return incremental_dense(self.resources.embeddings, rows)

    def context(self, dialogue: Dialogue, question: str, budget: int) -> Context:
        if not self.instructions:
            dialogue = replace(dialogue, instructions=())
        episodes = self.opened.of(dialogue)
        with episodes.lock:
            looked = self._look(episodes, dialogue, question)
            count = len(dialogue.past)
            always = sorted({*range(max(0, count - self.recent), count), *range(min(1, count))}, reverse=True)
            unlike: Why = "unlike" if self.episodes else "method"
            return assemble(
                self.counter,
                dialogue,
                question,
                budget,
                always=[looked.offer(at, "first" if at < count - self.recent else "recent") for at in always],
                offers=looked.retrieved(always, self.rule) if self.episodes else (),
                rest=lambda at: dropped(dialogue.past[at].number, unlike, looked.similarity(at)),
                tokens_fed=looked.tokens_fed,
                seconds=looked.seconds,
            )

    def forget(self, key: str) -> None:
        self.opened.forget(key)
        for kept in self.grown:
            kept.forget(key)
        self.resources.close(key)

    def _look(self, episodes: Episodes, dialogue: Dialogue, question: str) -> _Looked:
        began = time.perf_counter()
        episodes.grow(dialogue.past)
        grown = time.perf_counter() - began
        scores, fed, seconds = np.zeros(0, np.float32), 0, {"encode": grown}
        if len(episodes.segments) and question.strip():
            request = Request(shortened_question(self.resources.loaded, question))
            marks = self.marker(episodes.history, request, episodes.segments)
            scores, fed = marks.scores, marks.tokens_fed
            seconds = {**marks.seconds, "encode": grown + marks.seconds.get("encode", 0.0)}
        similarities = self.scaling(exchange_scores(scores, episodes.first if len(scores) else episodes.first[:0]))
        return _Looked(
            self.counter, episodes, dialogue.past, scores, similarities, self.compress, _since(dialogue), fed, seconds
        )


@dataclass(frozen=True)
class _Looked:
    """What the mark of one question says about the past. scores: of each segment; similarities: of each exchange.
    since: the first exchange whose answer can comply with all instructions that stand."""

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

    def offer(self, position: int, why: Why, *, at_most: How = "raw") -> Candidate:
        return Candidate(position, lambda: list(self._ways(position, why, at_most)))

    def retrieved(self, taken: Sequence[int], rule: Rule) -> Iterator[Candidate]:
        """Offers in the order of similarity."""
        out = set(taken)
        for at in np.argsort(-self.similarities, kind="stable"):
            position, similarity = int(at), float(self.similarities[at])
            if similarity < COMPRESSED_THRESHOLD and rule == "thresholds":
                return
            if position not in out:
                yield self.offer(position, "retrieved", at_most="raw" if similarity >= RAW_THRESHOLD else "compressed")

    def _ways(self, position: int, why: Why, at_most: How) -> Iterator[Inclusion]:
        exchange, similarity = self.past[position], self.similarity(position)
        if at_most == "raw" or exchange.assistant is None:
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
        found = self.episodes.of_turn(position, answer)
        part = slice(found.start, found.stop)
        return best_spans(
            self.counter, self.episodes.segments[part], self.scores[part], edges=answer and position >= self.since
        )


def _since(dialogue: Dialogue) -> int:
    """Where the newest instruction that stands was given; 0 where none of them was in this conversation."""
    given: dict[int | None, list[str]] = {}
    for one in dialogue.instructions:  # of other conversations too, whose turns have the same numbers
        given.setdefault(one.turn, []).append(one.text)
    said = enumerate(one.user for one in dialogue.past)
    return max((at for at, turn in said if any(text in turn.text for text in given.get(turn.number, ()))), default=0)
