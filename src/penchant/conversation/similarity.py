"""How alike a question and a past exchange are, from 0 to 1: the fused marks of its sentences, calibrated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penchant.lens.calibration import Calibration
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import text_ids

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

RAW_THRESHOLD, COMPRESSED_THRESHOLD = 0.7, 0.5
"""Rhea's thresholds (arXiv 2512.06869): from RAW on both sides stand word for word; from COMPRESSED on the user's turn
does, and the answer compressed; below, neither."""


MAX_QUESTION_TOKENS = 512
"""Tokens of a question that are marked with; of a longer one (a pasted document), as many of beginning and end."""


@dataclass(frozen=True)
class PlattScaling:
    """The logistic function that makes a similarity of a score: 1 / (1 + exp(-(slope x score + offset)))."""

    slope: float
    offset: float

    def __call__(self, scores: FloatArray) -> FloatArray:
        exact = self.slope * scores.astype(np.float64) + self.offset
        return (1.0 / (1.0 + np.exp(-np.clip(exact, -60.0, 60.0)))).astype(np.float32)


# Fitted on LoCoMo, conversations 0 to 2, pairs of turns as exchanges, every second question (192): labelled evidence
# against all other exchanges, both classes of equal weight, score = best sentence of "fusion" with the dense encoder.
# Fitted on two conversations and asked on the third: expected calibration error 0.04 to 0.07; of the evidence 74 to
# 84 % is at 0.7 or more, of the rest 3 to 5 %.
FITTED = {"smollm2": PlattScaling(1.33, -3.72)}
DEFAULT_SCALING = PlattScaling(1.33, -3.72)
"""For a model that none was fitted for: scores of all models are standardised, and weighted much the same."""


def scaling_for(calibration: Calibration) -> PlattScaling:
    """The fitted one of a model, or that of models that none was fitted for."""
    return FITTED.get(calibration.model_name, DEFAULT_SCALING)


def exchange_scores(scores: FloatArray, first: IntArray) -> FloatArray:
    """The best score among each exchange's segments, float32 [exchanges]. first: as `Episodes.first`."""
    return np.maximum.reduceat(scores, first) if len(first) else np.zeros(0, np.float32)


def shortened_question(loaded: LoadedModel, question: str) -> str:
    """The question, or where it is longer than `MAX_QUESTION_TOKENS` tokens its beginning and its end."""
    room = min(MAX_QUESTION_TOKENS, loaded.window // 2)
    if len(question) <= room:  # a token is at least a character
        return question
    ids = text_ids(loaded, question)
    if len(ids) <= room:
        return question
    ends = (ids[: room // 2], ids[-(room // 2) :])
    return " ".join(str(loaded.tokenizer.decode(part, skip_special_tokens=True)) for part in ends)
