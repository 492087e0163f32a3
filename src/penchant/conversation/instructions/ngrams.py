"""Finds standing instructions by character and word n-grams, in languages without a cue file (`classifier`).

A logistic regression over n-grams of the sentences of the other languages: related languages share stems ("antwoord",
"Antwort") and names of what an instruction regulates ("emojis"). `python -m penchant_lab.instructions.ngrams` fits it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import regex

from penchant.conversation.instructions.languages import tables
from penchant.errors import ModelError
from penchant.text.language import SURE, identify

FITTED = Path(__file__).parent / "ngrams.json"
CHARACTERS, WORDS = (2, 5), (1, 3)
"""Lengths of the n-grams of characters inside words, and of words: first and last."""
_WORD = regex.compile(r"\w+|[?!:]")


@dataclass(frozen=True)
class Classifier:
    """Weights by n-gram. A sentence is an instruction if its probability is at least `threshold`."""

    weights: Mapping[str, float]
    bias: float
    threshold: float

    def accepts(self, sentence: str) -> bool:
        """Whether a sentence, with quotations blanked out, is a standing instruction."""
        return self.probability(sentence) >= self.threshold

    def probability(self, sentence: str) -> float:
        """Return the probability that a sentence is a standing instruction."""
        found = sum(value * self.weights.get(gram, 0.0) for gram, value in features(sentence).items())
        return 1 / (1 + math.exp(-(found + self.bias)))


@cache
def classifier() -> Classifier:
    """Return the fitted classifier. Raises `ModelError` for a file that can't be read."""
    try:
        read: Mapping[str, Any] = json.loads(FITTED.read_text(encoding="utf-8"))
        return Classifier(read["weights"], float(read["bias"]), float(read["threshold"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{FITTED.name} isn't a fitted classifier ({error}); install Penchant again") from error


def is_foreign(plain: str) -> bool:
    """Whether a sentence is certainly in a language without a cue file."""
    language = identify(plain.replace("_", ""), SURE)
    return language is not None and language not in tables()


def features(sentence: str) -> dict[str, float]:
    """Return n-grams with their weights, log(1 + count); those of characters and those of words each of unit length."""
    words = _WORD.findall(sentence.lower())
    return {**_unit(Counter(_characters(words))), **_unit(Counter(_phrases(words)))}


def _characters(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        padded = f" {word} "
        for length in range(CHARACTERS[0], CHARACTERS[1] + 1):
            yield from (padded[at : at + length] for at in range(len(padded) - length + 1))


def _phrases(words: Sequence[str]) -> Iterator[str]:
    for length in range(WORDS[0], WORDS[1] + 1):
        yield from ("|" + " ".join(words[at : at + length]) for at in range(len(words) - length + 1))


def _unit(counts: Counter[str]) -> dict[str, float]:
    values = {gram: math.log1p(count) for gram, count in counts.items()}
    norm = math.sqrt(sum(value * value for value in values.values())) or 1.0
    return {gram: value / norm for gram, value in values.items()}
