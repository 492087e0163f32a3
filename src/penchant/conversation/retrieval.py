"""Episodic retrieval: how similar a past exchange is to the question, and which of its sentences represent it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from penchant.compression.truncation import longest_fit, word_boundary
from penchant.conversation.context import Spans
from penchant.conversation.prompt_rendering import TokenCounter
from penchant.history.records import Segment
from penchant.lens.calibration import Calibration
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import text_ids
from penchant.text.unicode import sanitize

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

RAW_THRESHOLD, COMPRESSED_THRESHOLD = 0.7, 0.5
"""Rhea's thresholds (arXiv 2512.06869). From the first similarity on, both sides of an exchange are included verbatim;
from the second on, the user's turn verbatim and the answer compressed; below it, neither.
"""

MAX_QUESTION_TOKENS = 512
"""Most tokens of a question used to mark the past; of a longer one (a pasted document), half are from the beginning and
half from the end.
"""

MAX_TOKENS = 64
"""Most tokens of a compressed turn."""

ALPHA = 0.3
"""Sentences marked below this share of the turn's best one are left out (Attn-GS's alpha: 0.2 to 0.4)."""

MAX_FIRST_TOKENS, MAX_LAST_TOKENS = 24, 12
"""The first and last sentence of a compressed answer are kept if they have at most this many tokens: the beginning and
end show how it follows an instruction, and a model imitates its own answers.
"""


@dataclass(frozen=True)
class PlattScaling:
    """The logistic function that turns a score into a similarity: 1 / (1 + exp(-(slope x score + offset)))."""

    slope: float
    offset: float

    def __call__(self, scores: FloatArray) -> FloatArray:
        exact = self.slope * scores.astype(np.float64) + self.offset
        return (1.0 / (1.0 + np.exp(-np.clip(exact, -60.0, 60.0)))).astype(np.float32)


# Fitted on LoCoMo, conversations 0 to 2, pairs of turns as exchanges, every second question (192): labelled evidence
# against all other exchanges, both classes of equal weight, score = best sentence of "fusion" with the dense encoder.
# Fitted on two conversations and tested on the third: expected calibration error 0.04 to 0.07; 74 to 84 % of the
# evidence is at 0.7 or more, and 3 to 5 % of the rest.
FITTED = {"smollm2": PlattScaling(1.33, -3.72)}
DEFAULT_SCALING = PlattScaling(1.33, -3.72)
"""For models without a fitted scaling: the scores of all models are standardised and weighted similarly."""


def scaling_for(calibration: Calibration) -> PlattScaling:
    """Return the scaling fitted on a model, or the default."""
    return FITTED.get(calibration.model_name, DEFAULT_SCALING)


def exchange_scores(scores: FloatArray, first: IntArray) -> FloatArray:
    """Return the best score among each exchange's segments, float32 [exchanges]. first: as
    `Episodes.first_segments`.
    """
    return np.maximum.reduceat(scores, first) if len(first) else np.zeros(0, np.float32)


def shortened_question(loaded: LoadedModel, question: str) -> str:
    """Return the question; if it has more than `MAX_QUESTION_TOKENS`, only its beginning and end."""
    room = min(MAX_QUESTION_TOKENS, loaded.window // 2)
    if len(question) <= room:  # a token is at least a character
        return question
    ids = text_ids(loaded, question)
    if len(ids) <= room:
        return question
    ends = (ids[: room // 2], ids[-(room // 2) :])
    return " ".join(str(loaded.tokenizer.decode(part, skip_special_tokens=True)) for part in ends)


def best_spans(
    counter: TokenCounter,
    segments: Sequence[Segment],
    scores: npt.NDArray[np.float32],
    *,
    max_tokens: int = MAX_TOKENS,
    alpha: float = ALPHA,
    edges: bool = False,
) -> Spans:
    """Choose the best sentences of a turn in at most `max_tokens` tokens: characters [start, end), in time order,
    neighbours merged; at least the beginning of the best sentence, cut between words.

    scores: float32 [segments]. edges: take the last and the first sentence too, if they have at most `MAX_LAST_TOKENS`
    and `MAX_FIRST_TOKENS` tokens and leave room for the best one.
    """
    if not len(segments):
        return ()
    costs = {at: counter.text(sanitize(segment.text)) for at, segment in enumerate(segments)}
    ranked = [int(at) for at in np.argsort(-scores, kind="stable")]
    best, last = ranked[0], len(segments) - 1
    if costs[best] > max_tokens:
        start = segments[best].start
        return ((start, start + _prefix(counter, segments[best].text, max_tokens)),)
    taken, left = {best}, max_tokens - costs[best]
    for at, most in ((last, MAX_LAST_TOKENS), (0, MAX_FIRST_TOKENS)) if edges else ():
        if at not in taken and costs[at] <= min(most, left):
            taken.add(at)
            left -= costs[at]
    floor = alpha * float(scores[best]) if scores[best] > 0 else float(scores[best])
    for at in ranked[1:]:
        if scores[at] < floor:
            break
        if at not in taken and costs[at] <= left:
            taken.add(at)
            left -= costs[at]
    return _merged([(segments[at].start, segments[at].end) for at in sorted(taken)], segments)


def _merged(spans: Sequence[tuple[int, int]], segments: Sequence[Segment]) -> Spans:
    """Merge spans of adjacent segments."""
    follows = {a.end: b.start for a, b in pairwise(segments)}
    out: list[tuple[int, int]] = []
    for start, end in spans:
        if out and follows.get(out[-1][1]) == start:
            out[-1] = out[-1][0], end
        else:
            out.append((start, end))
    return tuple(out)


def truncate(counter: TokenCounter, text: str, max_tokens: int) -> str:
    """Return the longest beginning of at most `max_tokens` tokens, sanitized."""
    whole = sanitize(text)
    return whole if counter.text(whole) <= max_tokens else whole[: _prefix(counter, whole, max_tokens)]


def _prefix(counter: TokenCounter, text: str, max_tokens: int) -> int:
    """Return the length in characters, at least 1, of the longest beginning of at most `max_tokens` tokens."""
    end = longest_fit(1, len(text), lambda end: counter.text(sanitize(text[:end])) <= max_tokens)
    return end if end == len(text) else word_boundary(text, 0, end)
