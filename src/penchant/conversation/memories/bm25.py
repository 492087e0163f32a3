"""Baseline: the exchanges that BM25 finds, verbatim."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from penchant.conversation.context import Context, Dialogue, Memory
from penchant.conversation.episodes import turns
from penchant.conversation.prompt_assembly import Candidate, assemble
from penchant.conversation.prompt_rendering import TokenCounter, dropped, raw
from penchant.errors import InputError
from penchant.marking.resources import Resources
from penchant.text.bm25 import TextIndex


def bm25_top(resources: Resources, *, count: int = 5) -> Memory:
    """The exchanges most similar to the question by BM25, five by default (Robertson and Zaragoza, 2009).

    Exchanges that share no word with the question are left out. Raises `InputError` for a count below 1.
    """
    if count < 1:
        raise InputError(f"count {count}: expected at least 1 exchange")
    return _Lexical(TokenCounter(resources.loaded), count)


@dataclass
class _Lexical:
    counter: TokenCounter
    count: int

    def context(self, dialogue: Dialogue, question: str, budget: int) -> Context:
        began = time.perf_counter()
        past = dialogue.past
        index = TextIndex(["\n".join(turn.text for turn in turns(one)) for one in past], None)
        scores = index.scores(question) if past else np.zeros(0, np.float32)
        ranked = [int(at) for at in np.argsort(-scores, kind="stable")[: self.count] if scores[at] > 0]

        def candidate(position: int) -> Candidate:
            return Candidate(position, lambda: (raw(past[position], "retrieved", float(scores[position])),))

        return assemble(
            self.counter,
            dialogue,
            question,
            budget,
            candidates=map(candidate, ranked),
            rest=lambda position: dropped(past[position].number, "unlike", float(scores[position])),
            seconds={"mark": time.perf_counter() - began},
        )

    def forget(self, key: str) -> None:
        """Nothing to do: no state is held."""
