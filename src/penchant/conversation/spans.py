"""Verbatim spans of a turn: its best-marked sentences, within a cap of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from penchant.conversation.context import Spans
from penchant.conversation.token_counts import TokenCounter
from penchant.history.records import Segment
from penchant.text.unicode import sanitize

MAX_TOKENS = 64
"""Tokens of a compressed turn."""
ALPHA = 0.3
"""Sentences marked below this share of the turn's best one are left out (Attn-GS's alpha: 0.2 to 0.4)."""

MAX_FIRST_TOKENS, MAX_LAST_TOKENS = 24, 12
"""Tokens of an answer's first and last sentence that stay where the rest is compressed: how answers begin and end is
how they comply with an instruction, and a model goes by what it sees itself do."""


def best_spans(
    counter: TokenCounter,
    segments: Sequence[Segment],
    scores: npt.NDArray[np.float32],
    *,
    cap: int = MAX_TOKENS,
    share: float = ALPHA,
    edges: bool = False,
) -> Spans:
    """Characters [start, end) of the sentences that are taken, in time order, neighbours as one; at least a piece of
    the best one, cut between words where it alone is over the cap.

    edges: the last and the first sentence are taken too, where they have at most `MAX_LAST_TOKENS` and
    `MAX_FIRST_TOKENS` tokens and leave room for the best one.
    """
    if not len(segments):
        return ()
    costs = {at: counter.text(sanitize(segment.text)) for at, segment in enumerate(segments)}
    ranked = [int(at) for at in np.argsort(-scores, kind="stable")]
    best, last = ranked[0], len(segments) - 1
    if costs[best] > cap:
        start = segments[best].start
        return ((start, start + _longest_prefix(counter, segments[best].text, cap)),)
    taken, left = {best}, cap - costs[best]
    for at, most in ((last, MAX_LAST_TOKENS), (0, MAX_FIRST_TOKENS)) if edges else ():
        if at not in taken and costs[at] <= min(most, left):
            taken.add(at)
            left -= costs[at]
    floor = share * float(scores[best]) if scores[best] > 0 else float(scores[best])
    for at in ranked[1:]:
        if scores[at] < floor:
            break
        if at not in taken and costs[at] <= left:
            taken.add(at)
            left -= costs[at]
    return _merged([(segments[at].start, segments[at].end) for at in sorted(taken)], segments)


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


def truncate(counter: TokenCounter, text: str, cap: int) -> str:
    """The longest beginning of at most `cap` tokens, without characters that no prompt may have."""
    return (
        sanitize(text) if counter.text(sanitize(text)) <= cap else sanitize(text[: _longest_prefix(counter, text, cap)])
    )


def _longest_prefix(counter: TokenCounter, text: str, cap: int) -> int:
    """Characters of the longest beginning of at most `cap` tokens, between words where there is white space."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if counter.text(sanitize(text[:middle])) <= cap else (low, middle - 1)
    blank = max((at for at in range(low // 2, low + 1) if at < len(text) and text[at].isspace()), default=0)
    return low if low == len(text) else blank or low
