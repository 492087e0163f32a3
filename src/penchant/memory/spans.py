"""Verbatim spans of a turn: its best-marked sentences, within a cap of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from penchant.compression.budget import harmless
from penchant.history.records import Segment
from penchant.memory.context import Spans
from penchant.memory.counting import Counter

CAP = 48
"""Tokens of a compressed turn."""
SHARE = 0.3
"""Sentences marked below this share of the turn's best one are left out (Attn-GS's alpha: 0.2 to 0.4)."""


def best_spans(
    counter: Counter,
    segments: Sequence[Segment],
    scores: npt.NDArray[np.float32],
    *,
    cap: int = CAP,
    share: float = SHARE,
) -> Spans:
    """Characters [start, end) of the sentences that are taken, in time order, neighbours as one; at least a piece of
    the best one, cut between words where it alone is over the cap."""
    if not len(segments):
        return ()
    top = float(scores.max())
    taken: list[Segment] = []
    left = cap
    for at in np.argsort(-scores, kind="stable"):
        segment = segments[int(at)]
        if taken and scores[at] < (share * top if top > 0 else top):
            break
        cost = counter.text(harmless(segment.text))
        if cost <= left:
            taken.append(segment)
            left -= cost
        elif not taken:
            return ((segment.start, segment.start + _fitting(counter, segment.text, cap)),)
    return _merged(sorted((one.start, one.end) for one in taken), segments)


def _merged(spans: Sequence[tuple[int, int]], segments: Sequence[Segment]) -> Spans:
    """Spans of segments that follow each other become one."""
    follows = {a.end: b.start for a, b in pairwise(segments)}
    out: list[tuple[int, int]] = []
    for start, end in spans:
        if out and follows.get(out[-1][1]) == start:
            out[-1] = out[-1][0], end
        else:
            out.append((start, end))
    return tuple(out)


def beginning(counter: Counter, text: str, cap: int) -> str:
    """The longest beginning of at most `cap` tokens, without characters that no prompt may have."""
    return harmless(text) if counter.text(harmless(text)) <= cap else harmless(text[: _fitting(counter, text, cap)])


def _fitting(counter: Counter, text: str, cap: int) -> int:
    """Characters of the longest beginning of at most `cap` tokens, between words where there is white space."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if counter.text(harmless(text[:middle])) <= cap else (low, middle - 1)
    blank = max((at for at in range(low // 2, low + 1) if at < len(text) and text[at].isspace()), default=0)
    return low if low == len(text) else blank or low
