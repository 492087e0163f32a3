"""A white-box model's own judgement of sentences (`Judge`): the odds of yes against no, and where attention goes.

A few-shot question is asked about each sentence. Three numbers are read from one forward pass: the log-odds of "Yes"
against "No", less those of sentences without content (contextual calibration, Zhao et al., arXiv 2102.09690); how much
the last token attends to the answers of the examples that were instructions, against the others'; and how much to the
sentence. A small logistic regression, fitted on the tuning half of `labelled.jsonl`, makes a probability of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from penchant.conversation.context import Detector
from penchant.conversation.instructions.patterns import detector
from penchant.errors import InputError, ModelError
from penchant.inference.attention_hooks import observing
from penchant.inference.batching import length_batches, pad_left
from penchant.inference.cached_rows import CachedRows
from penchant.lens.lens import Lens
from penchant.lens.rows import attention_rows
from penchant.marking.resources import Resources
from penchant.models.tokenization import opening_ids, text_ids
from penchant.text.unicode import replace_surrogates

ROWS = 8
LONGEST = 400  # most characters of a sentence shown to the model
FITTED = Path(__file__).parent / "judge.json"
NEUTRAL = ("N/A", "...", "[sentence]")
"""Sentences without content: the model's answers to them show its bias."""

QUESTION = "Does the user say how answers have to be from now on, and not only this once?\n\n"
EXAMPLES = (
    ("Please sign every message to me with a haiku.", True),
    ("Sign the letter with a haiku.", False),
    ("Rede mich ab jetzt nur noch mit Käpt'n an.", True),
    ("Warum redest du mich mit Käpt'n an?", False),
    ("Ne me donne jamais plus de trois exemples.", True),
    ("Je n'ai jamais vu plus de trois exemples.", False),
    ("De aquí en adelante, todo en tablas.", True),
    ("Hazme una tabla con los datos de arriba.", False),
)


@dataclass(frozen=True)
class Fitted:
    """Weights of the three features, standardised by `mean` and `scale`; a sentence is an instruction from the
    probability `threshold` on."""

    weights: tuple[float, ...]
    bias: float
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    threshold: float

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float [sentences, 3] -> [sentences]."""
        scaled = (features - np.array(self.mean)) / np.array(self.scale)
        return np.asarray(1 / (1 + np.exp(-(scaled @ np.array(self.weights) + self.bias))), dtype=np.float64)


#: For a model without a fit: its own odds, after calibration.
ODDS = Fitted((1.0, 0.0, 0.0), 0.0, (0.0,) * 3, (1.0,) * 3, 0.5)


def fitted_for(fingerprint: str) -> Fitted:
    """Return the weights fitted on a model, or its own odds. Raises `ModelError` for a file that can't be read."""
    try:
        entry = json.loads(FITTED.read_text(encoding="utf-8"))["models"].get(fingerprint)
        if entry is None:
            return ODDS
        triples = {name: tuple(float(x) for x in entry[name]) for name in ("weights", "mean", "scale")}
        return Fitted(bias=float(entry["bias"]), threshold=float(entry["threshold"]), **triples)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{FITTED.name} isn't a fit of the judge ({error}); install Penchant again") from error


class Judge:
    """Judges sentences with one model. The question and its examples are read once. rows: sentences in a batch."""

    def __init__(self, lens: Lens, fitted: Fitted | None = None, rows: int = ROWS) -> None:
        self.lens, self.loaded, self.rows = lens, lens.loaded, rows
        self.fitted = fitted or fitted_for(self.loaded.fingerprint)

    def __call__(self, sentences: Sequence[str]) -> list[bool]:
        """Say for each sentence whether it is a standing instruction."""
        return [bool(p >= self.fitted.threshold) for p in self.probabilities(sentences)]

    def probabilities(self, sentences: Sequence[str]) -> NDArray[np.float64]:
        """float [sentences]."""
        return self.fitted.probability(self.features(sentences))

    def features(self, sentences: Sequence[str]) -> NDArray[np.float64]:
        """float [sentences, 3]: calibrated log-odds of yes; log of attention to the answers yes over that to no; log of
        attention to the sentence. All less the mean of sentences without content."""
        return self._read(sentences) - self._leaning

    @cached_property
    def _leaning(self) -> NDArray[np.float64]:
        return np.asarray(self._read(NEUTRAL).mean(0), dtype=np.float64)

    @cached_property
    def _answers(self) -> tuple[int, int]:
        """The first tokens of yes and no."""
        yes, no = (self._ids(answer)[0] for answer in (" Yes", " No"))
        if yes == no:
            raise ModelError(f'{self.loaded.name} begins " Yes" and " No" with one token; use the detector "patterns"')
        return yes, no

    @cached_property
    def _prefix(self) -> tuple[list[int], list[int], list[int]]:
        """Tokens of the question with its examples; positions of the answers yes, and no."""
        ids = opening_ids(self.loaded, QUESTION)
        positions: dict[bool, list[int]] = {True: [], False: []}
        for sentence, yes in EXAMPLES:
            ids += self._ids(f"Sentence: {sentence}\nAnswer:")
            positions[yes].append(len(ids))
            ids += self._ids((" Yes" if yes else " No") + "\n\n")
        if len(ids) + 2 * LONGEST > self.loaded.window:
            raise InputError(
                f"the window of {self.loaded.name} is {self.loaded.window} tokens: expected at least "
                f'{len(ids) + 2 * LONGEST} for the judge of instructions; use the detector "patterns"'
            )
        return ids, positions[True], positions[False]

    @cached_property
    def _read_prefix(self) -> CachedRows:
        rows = CachedRows.empty(self.loaded, 1)
        with torch.inference_mode():
            rows.read(pad_left([self._prefix[0]]), last=0)
        return rows

    def _ids(self, text: str) -> list[int]:
        return text_ids(self.loaded, replace_surrogates(text))

    def _read(self, sentences: Sequence[str]) -> NDArray[np.float64]:
        found = np.zeros((len(sentences), 3))
        before, after = self._ids("Sentence:"), self._ids("\nAnswer:")
        asked = [[*before, *self._ids(" " + " ".join(text[:LONGEST].split())), *after] for text in sentences]
        for batch in length_batches([len(tokens) for tokens in asked], rows=self.rows):
            found[batch] = self._batch([asked[i] for i in batch], len(before), len(after))
        return found

    @torch.inference_mode()
    def _batch(self, asked: Sequence[list[int]], before: int, after: int) -> NDArray[np.float64]:
        rows, new = self._read_prefix.branch(len(asked)), pad_left(asked)
        sentence = torch.cat([torch.zeros_like(rows.seen), new.there], 1)
        sentence[:, -after:] = False
        for row, tokens in enumerate(asked):
            at = sentence.shape[1] - len(tokens)
            sentence[row, at : at + before] = False
        watcher = _Watcher(self._prefix[1], self._prefix[2], sentence)
        with observing(watcher):
            last = rows.read(new)[:, -1].float()
        yes, no = self._answers
        return np.stack([(last[:, yes] - last[:, no]).cpu().numpy(), watcher.lean(), watcher.looks()], axis=1)


class _Watcher:
    """Adds up where the last token of each row attends to, over all heads of all layers."""

    def __init__(self, yes: Sequence[int], no: Sequence[int], sentence: Tensor) -> None:
        self.yes, self.no, self.sentence = list(yes), list(no), sentence
        self.sums = torch.zeros(3, sentence.shape[0])
        self.count = 0

    def see(self, layer: int, query: Tensor, key: Tensor, mask: Tensor | None, scaling: float) -> None:
        rows = attention_rows(query, key, mask, scaling, (-1,))[:, :, 0].mean(1).cpu()
        self.sums[0] += rows[:, self.yes].sum(1)
        self.sums[1] += rows[:, self.no].sum(1)
        self.sums[2] += (rows * self.sentence).sum(1)
        self.count += 1

    def lean(self) -> NDArray[np.float64]:
        return np.log(self.sums[0].numpy() + _TINY) - np.log(self.sums[1].numpy() + _TINY)

    def looks(self) -> NDArray[np.float64]:
        return np.log(self.sums[2].numpy() / max(self.count, 1) + _TINY)


_TINY = math.exp(-20)


def make(resources: Resources) -> Detector:
    """Patterns; for doubtful sentences, a question to the model."""
    return detector(Judge(resources.lens))
