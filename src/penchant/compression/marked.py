"""The marked history that a rewriting model reads: important passages between tags, in context and in order.

Attn-GS (arXiv 2602.07778): segments above alpha x the highest mark are put between <start_important> and
<end_important>.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penchant.compression.budget import Tokenizer, count_each
from penchant.compression.layout import GAP, check_segments, record_headings
from penchant.errors import InputError
from penchant.history.records import History, Request, Segment
from penchant.marking.marks import Marks
from penchant.text.unicode import sanitize

START, END = "<start_important>", "<end_important>"
NEIGHBOURS = 1  # segments included on either side of a marked one if not everything fits

SYSTEM = (
    "You shorten a user's history to notes that help with one request. Use only what stands in the history. "
    "Keep names, numbers and dates exactly as they are written. Add nothing."
)


@dataclass(frozen=True)
class MarkedHistory:
    """A history with tags. text: the tagged text. shown: positions (in the marks) of its segments, ascending.
    important: those between tags. complete: whether nothing was left out.
    """

    text: str
    shown: tuple[int, ...]
    important: tuple[int, ...]
    complete: bool


def important_segments(marks: Marks, alpha: float) -> npt.NDArray[np.bool_]:
    """Return which segments are above alpha x the highest mark, bool [segments]; marks are shifted so that the lowest
    is 0.

    Raises `InputError` unless 0 <= alpha < 1.
    """
    if not 0 <= alpha < 1:
        raise InputError(f"alpha is {alpha}: expected a share of the highest mark, at least 0 and below 1 (0.2 to 0.4)")
    scores = marks.scores.astype(np.float64)
    if not scores.size:
        return np.zeros(0, dtype=bool)
    shifted = scores - scores.min()
    return np.asarray(shifted > alpha * shifted.max(), dtype=bool)


def marked_history(
    history: History, marks: Marks, *, alpha: float, room: int, count: Callable[[str], int], tokenizer: Tokenizer
) -> MarkedHistory:
    """Return the history with its tags in at most `room` tokens (counted by `count`).

    If it doesn't fit completely, it contains the best-marked segments with `NEIGHBOURS` on either side of each, in
    order. Raises `InputError` if not even one segment fits.
    """
    if room < 1 or not marks.segments:
        raise InputError(f"no marked segment fits into the {max(room, 0)} tokens left for the history in the prompt")
    important = important_segments(marks, alpha)
    # Tokenise only segments that could fit: the best ones, at a few tokens each, and their neighbours.
    near = np.zeros(len(marks.segments), dtype=bool)
    best = marks.ranked()[: max(1, room // 4)]
    for step in range(-NEIGHBOURS, NEIGHBOURS + 1):
        near[np.clip(best + step, 0, len(near) - 1)] = True
    check_segments(history, [marks.segments[i] for i in np.flatnonzero(near)])
    costs = np.full(len(near), room + 1, dtype=np.int64)
    costs[near] = count_each(tokenizer, [sanitize(marks.segments[i].text) for i in np.flatnonzero(near)])
    everything = np.ones(len(costs), dtype=bool)
    if costs.sum() <= room:
        text = _tagged(history, marks.segments, everything, important)
        if count(text) <= room:
            return MarkedHistory(text, tuple(range(len(costs))), _positions(important), True)
    target = room
    while target > 0:
        shown = _neighbourhoods(marks.ranked(), costs, target)
        if not shown.any():
            break
        text = _tagged(history, marks.segments, shown, important)
        used = count(text)
        if used <= room:
            return MarkedHistory(text, _positions(shown), _positions(shown & important), bool(shown.all()))
        target -= max(1, used - room)
    raise InputError(f"no marked segment fits into the {max(room, 0)} tokens left for the history in the prompt")


def rewrite_messages(marked: MarkedHistory, request: Request, budget: int) -> list[dict[str, str]]:
    """Return chat messages that ask for a rewriting of a marked history in at most `budget` tokens."""
    whole = "This is my history" if marked.complete else "These are the most relevant parts of my longer history"
    task = f"Task: {request.task.strip()}\n" if request.task else ""
    user = (
        f"{whole}. What stands between {START} and {END} matters most.\n\n{marked.text}\n\n"
        f"{task}Request: {request.query}\n\n"
        f"Write the notes that help with this request, in at most {budget} tokens (about {max(1, budget * 2 // 3)} "
        "words), in plain sentences taken from the history. Write only the notes."
    )
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}]


def _positions(flags: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.flatnonzero(flags))


def _neighbourhoods(ranked: npt.NDArray[np.intp], costs: npt.NDArray[np.int64], target: int) -> npt.NDArray[np.bool_]:
    """Take segments with their neighbours, best first, until `target` tokens are used; bool [segments]."""
    shown = np.zeros(len(costs), dtype=bool)
    used = 0
    for i in ranked:
        for around in (NEIGHBOURS, 0):  # alone, if the neighbours are too long
            near = np.arange(max(0, i - around), min(len(costs), i + around + 1))
            new = near[~shown[near]]
            # each new segment may bring a line break, a gap or a pair of tags
            if len(new) and used + int((costs[new] + 2).sum()) <= target:
                shown[new] = True
                used += int((costs[new] + 2).sum())
                break
        if used >= target - 8:
            break
    return shown


def _tagged(
    history: History, segments: tuple[Segment, ...], shown: npt.NDArray[np.bool_], important: npt.NDArray[np.bool_]
) -> str:
    heading = record_headings(history)
    lines: list[str] = []
    record = -1
    end, tagged = 0, False
    for position in np.flatnonzero(shown):
        segment, tag = segments[position], bool(important[position])
        body = history[segment.record].body
        if segment.record != record:
            _close(lines, tagged)
            record, end, tagged = segment.record, segment.start, False
            lines += heading(history[record])
        between = body[end : segment.start]
        gap = GAP if between.strip() else between
        if tagged and not tag:
            lines[-1] += END
        lines[-1] += gap + (START if tag and not tagged else "") + body[max(end, segment.start) : segment.end]
        end, tagged = max(end, segment.end), tag
    _close(lines, tagged)
    return sanitize("\n".join(lines))


def _close(lines: list[str], tagged: bool) -> None:
    if tagged:
        lines[-1] += END
