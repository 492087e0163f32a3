"""Rhea as published (arXiv 2512.06869, revised as REA, 2610.00958), with substitutes for its trained parts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from penchant.conversation.context import Context, Dialogue, Inclusion, Memory, Spans, Why
from penchant.conversation.episodes import sentences, turns
from penchant.conversation.prompt_assembly import Candidate, assemble
from penchant.conversation.prompt_rendering import TokenCounter, dropped, raw, whole_span
from penchant.conversation.retrieval import COMPRESSED_THRESHOLD, RAW_THRESHOLD, best_spans
from penchant.history.dialogue import Exchange
from penchant.inference.forward import hidden_states
from penchant.lens.calibration import NEUTRAL
from penchant.marking.lru import LRU, digest
from penchant.marking.resources import Resources
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import opening_ids
from penchant.text.unicode import sanitize

VECTORS = 8
"""Memory vectors per text."""
LONGEST = 512
"""Most tokens read of a text."""
_KEPT = 20_000

FloatArray = npt.NDArray[np.float32]


def rhea(resources: Resources) -> Memory:
    """Rhea as published: exchanges above a similarity of 0.7 in full, above 0.5 with their answer compressed.

    Others are dropped, except the first exchange. The newest ones get no special treatment.

    The similarity is the largest cosine between the 8 memory vectors of the question and the 8 of the exchange. The
    trained compressor (a LoRA of a 7B model) isn't available, so there are substitutes: a memory vector is the mean of
    the model's own last hidden states over an eighth of the text, minus their mean over neutral requests; an answer is
    compressed to its sentences that are most similar to the question by the same vectors. The published prompt has no
    budget; here the most similar exchanges come first, compressed if there is no room for all of them.
    """
    return _Rhea(TokenCounter(resources.loaded), States(resources.loaded))


class States:
    """Computes memory vectors of texts; the most recent ones are cached under a digest."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self._known: LRU[FloatArray] = LRU(_KEPT)
        self._centre: FloatArray | None = None

    def vectors(self, text: str) -> tuple[FloatArray, int]:
        """Return float32 [at most VECTORS, width], of unit length, and how many tokens had to be run."""
        key = digest(text)
        known = self._known.get(key)
        if known is not None:
            return known, 0
        states = self._states(text)
        parts = np.array_split(states, min(VECTORS, len(states)))
        found = _unit(np.stack([part.mean(axis=0) for part in parts]) - self._neutral())
        self._known.put([(key, found)])
        return found, len(states)

    def clear(self) -> None:
        self._known = LRU(_KEPT)

    def _neutral(self) -> FloatArray:
        if self._centre is None:
            self._centre = np.concatenate([self._states(text) for text in NEUTRAL]).mean(axis=0)
        return self._centre

    @torch.no_grad()
    def _states(self, text: str) -> FloatArray:
        ids = opening_ids(self.loaded, sanitize(text))[: min(LONGEST, self.loaded.window)] or [0]
        states: Float[Tensor, "tokens width"] = hidden_states(self.loaded, torch.tensor([ids]))[0]
        return states.float().cpu().numpy()


@dataclass
class _Rhea:
    counter: TokenCounter
    states: States

    def context(self, dialogue: Dialogue, question: str, budget: int) -> Context:
        began = time.perf_counter()
        past, fed = dialogue.past, 0
        similarities = np.zeros(0, np.float32)
        asked = None
        if past and question.strip():
            asked, fed = self.states.vectors(question)
            found = [self.states.vectors("\n".join(turn.text for turn in turns(one))) for one in past]
            fed += sum(tokens for _, tokens in found)
            # A short text has fewer than VECTORS: the first ones are repeated.
            stacked = np.stack([np.resize(vectors, (VECTORS, vectors.shape[1])) for vectors, _ in found])
            similarities = (stacked @ asked.T).max(axis=(1, 2))
        seconds = {"mark": time.perf_counter() - began}

        def forms(at: int, *, first: bool) -> Iterator[Inclusion]:
            similarity = float(similarities[at])
            why: Why = "first" if first else "retrieved"
            exchange = past[at]
            if first or similarity >= RAW_THRESHOLD or exchange.assistant is None:
                yield raw(exchange, why, similarity)
            if exchange.assistant is not None and asked is not None:
                spans = self._spans(exchange, asked)
                user = whole_span(exchange.user.text)
                yield Inclusion(exchange.number, "compressed", why, similarity, user, spans)

        def candidate(at: int, *, first: bool = False) -> Candidate:
            return Candidate(at, lambda: list(forms(at, first=first)))

        ranked = [int(at) for at in np.argsort(-similarities, kind="stable")]
        return assemble(
            self.counter,
            dialogue,
            question,
            budget,
            always=[candidate(at, first=True) for at in range(min(1, len(past)))],
            candidates=(candidate(at) for at in ranked if similarities[at] >= COMPRESSED_THRESHOLD),
            rest=lambda at: dropped(past[at].number, "unlike", float(similarities[at])),
            tokens_fed=fed,
            seconds=seconds,
        )

    def forget(self, key: str) -> None:
        """Nothing to do: vectors are cached by a digest of their text, for all conversations."""
        self.states.clear()

    def _spans(self, exchange: Exchange, asked: FloatArray) -> Spans:
        segments = sentences(exchange.assistant) if exchange.assistant else ()
        scores = [float((self.states.vectors(one.text)[0] @ asked.T).max()) for one in segments]
        return best_spans(self.counter, segments, np.asarray(scores, dtype=np.float32))


def _unit(rows: FloatArray) -> FloatArray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-6), dtype=np.float32)
