"""The extractive compressor: the best-marked segments, verbatim, filled into the budget exactly."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import SkipValidation

from penchant.compression.budget import Tokenizer, count_each, count_tokens, fill, history_counter
from penchant.compression.factory import CompressorFactory
from penchant.compression.layout import check_segments, lay_out, superseded_in
from penchant.compression.profile import Compressor, Profile
from penchant.compression.truncation import longest_fit, word_boundary
from penchant.compression.updates import updates, updates_first, without_outdated
from penchant.errors import InputError
from penchant.history.records import History, Request, Segment
from penchant.marking.marks import Marks
from penchant.options import Options
from penchant.text.unicode import sanitize

if TYPE_CHECKING:
    from penchant.marking.resources import Resources

SPARE = 64  # candidates beyond those that fill the budget
ROUNDS = 6  # refills with a corrected target
TRIES = 12  # exact recounts to fill the last free tokens
MUCH_BETTER = 2.0  # standard deviations of the marks
WORTH_CUTTING = 16  # tokens; a shorter beginning of a segment replaces nothing
LONGEST_TOKEN = 32  # characters; limits how much of a huge segment is read when it is cut


def extractive(
    tokenizer: Tokenizer,
    *,
    dates: bool = True,
    updated: bool = True,
    history_tokens: Callable[[History], int] | None = None,
) -> Compressor:
    """Make a compressor whose profiles are verbatim text of the history, in time order, grouped by record (`lay_out`).

    tokenizer: of the model that will read the profile; `Profile.tokens` is counted on the final text with it, without
    special tokens, and never exceeds the budget. dates: show days. updated: take no segment without the
    later one that may say that it is no longer so (`updates`). history_tokens: counts the tokens of a history
    (default: `history_counter` with this tokenizer).

    Segments are chosen by `fill`. If a segment with a much better mark than the chosen ones doesn't fit, or no segment
    fits, the best one is cut at a word boundary. If everything fits, everything is taken; days are omitted if only they
    don't fit.

    Raises `InputError` for a budget below 1 and for marks of another history.
    """
    count_history = history_tokens or history_counter(tokenizer)

    def compress(history: History, request: Request, marks: Marks, budget: int) -> Profile:
        started = time.perf_counter()
        if budget < 1:
            raise InputError(f"budget {budget} is too small: expected at least 1 token")
        total = count_history(history)
        # joins make this an estimate; trying costs one count of little more than the budget
        fits = total <= budget + budget // 8 + len(history)
        draft = (_whole(tokenizer, history, marks, budget, dates) if fits else None) or _draft(
            tokenizer, history, marks, budget, dates, updated=updated
        )
        return Profile(
            text=draft.text,
            tokens=draft.tokens,
            budget=budget,
            history_tokens=total,
            segments=draft.segments,
            scores=tuple(float(marks.scores[i]) for i in draft.positions),
            marker=marks.marker,
            compressor="extractive",
            mass_kept=mass_kept(marks, draft.positions, draft.segments),
            seconds={**marks.seconds, "compress": time.perf_counter() - started},
        )

    return compress


def mass_kept(marks: Marks, positions: Sequence[int], segments: Sequence[Segment] | None = None) -> float:
    """Return the share of the positive marking mass, sum of max(score, 0), in the segments at `positions`: 0 to 1.

    segments: the part taken of each; a cut segment counts by its share of characters. If no mark is positive, the
    result is 1 if everything was taken, else 0.
    """
    mass = np.maximum(marks.scores.astype(np.float64), 0.0)
    total = float(mass.sum())
    if total <= 0.0:
        return 1.0 if len(set(positions)) == len(marks.segments) else 0.0
    taken = [marks.segments[i] for i in positions] if segments is None else segments
    kept = sum(
        mass[i] * len(s.text) / max(1, len(marks.segments[i].text)) for i, s in zip(positions, taken, strict=True)
    )
    return min(1.0, float(kept) / total)


@dataclass(frozen=True)
class _Draft:
    """positions: into the marks, ascending, one per segment."""

    text: str
    tokens: int
    positions: tuple[int, ...]
    segments: tuple[Segment, ...]


def _whole(tokenizer: Tokenizer, history: History, marks: Marks, budget: int, dates: bool) -> _Draft | None:
    """Return a draft of all segments, without days if only those don't fit; None if it doesn't fit."""
    check_segments(history, marks.segments)
    for days in (True, False) if dates else (False,):
        text = lay_out(history, marks.segments, dates=days)
        tokens = count_tokens(tokenizer, text)
        if tokens <= budget:
            return _Draft(text, tokens, tuple(range(len(marks.segments))), marks.segments)
    return None


def _draft(tokenizer: Tokenizer, history: History, marks: Marks, budget: int, dates: bool, *, updated: bool) -> _Draft:
    if not marks.segments:
        return _Draft("", 0, (), ())
    candidates, costs = _candidates(tokenizer, marks, budget)
    check_segments(history, [marks.segments[i] for i in candidates])
    newer = np.full(len(candidates), -1, dtype=np.intp)
    if updated:
        newer = updates([marks.segments[i] for i in candidates], superseded_in(history))
    order = updates_first(newer)
    rank = order.argsort()
    newer = np.where(newer[order] < 0, -1, rank[newer[order]])
    candidates, costs = candidates[order], costs[order]
    chosen = [marks.segments[i] for i in candidates]
    # An update is worth at least as much as what it updates, which it now precedes.
    scores = np.maximum.accumulate(marks.scores[candidates[::-1]].astype(np.float64))[::-1]
    scale = float(marks.scores.std())

    def draft(picked: Sequence[int], *, days: bool = dates, cut: Segment | None = None) -> _Draft:
        """Without segments whose update isn't picked. `picked`: positions among the candidates; `cut`, if any, stands
        for the first of them.
        """
        current = without_outdated(picked, newer)
        taken = sorted(
            (int(candidates[p]), chosen[p] if cut is None or n else cut) for n, p in enumerate(picked) if p in current
        )
        text = lay_out(history, [s for _, s in taken], dates=days)
        return _Draft(text, count_tokens(tokenizer, text), tuple(i for i, _ in taken), tuple(s for _, s in taken))

    best = _filled(draft, costs, scores, budget, scale)
    if best is None and dates:
        best = _filled(lambda picked: draft(picked, days=False), costs, scores, budget, scale)
    taken = set(best.positions) if best else set()
    left_out = next((p for p, i in enumerate(candidates) if int(i) not in taken), None)
    if left_out is None:
        return best or _Draft("", 0, (), ())
    # Segments much worse than the best one left out are replaced by the beginning of that one.
    bar = scores[left_out] - MUCH_BETTER * scale
    kept = [p for p, i in enumerate(candidates) if int(i) in taken and scores[p] >= bar]
    if best is None or (len(kept) < len(taken) and budget - int(costs[kept].sum()) >= WORTH_CUTTING):
        for p in (left_out,) if best else range(min(len(candidates), SPARE)):
            if p not in without_outdated([p, *kept], newer):  # its update stays out: so does it
                continue
            for days in (True, False) if dates and budget >= 2 * WORTH_CUTTING else (False,):

                def begun(cut: Segment, more: Sequence[int] = kept, p: int = p, days: bool = days) -> _Draft:
                    return draft([p, *(q for q in more if q != p)], days=days, cut=cut)

                made = _cut(begun, chosen[p], budget)
                if made is not None:
                    cut = made.segments[made.positions.index(int(candidates[p]))]
                    return _topped_up(partial(begun, cut), made, {p, *kept}, costs, budget)
    return best or _Draft("", 0, (), ())


def _candidates(tokenizer: Tokenizer, marks: Marks, budget: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Return the best segments, enough to fill the budget and `SPARE` more, best first, each with its cost on a
    separate line. Only these are tokenised, so that the time depends on the budget and not on the history.
    """
    order = marks.ranked()
    costs = np.zeros(0, dtype=np.int64)
    step = SPARE
    while len(costs) < len(order) and (len(costs) < SPARE or costs[:-SPARE].sum() < budget):
        batch = [sanitize(marks.segments[i].text.strip()) for i in order[len(costs) : len(costs) + step]]
        costs = np.concatenate([costs, count_each(tokenizer, batch) + 1])
        step = max(SPARE, len(costs) // 2)
    return order[: len(costs)], costs


def _filled(
    draft: Callable[[Sequence[int]], _Draft],
    costs: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float64],
    budget: int,
    scale: float,
) -> _Draft | None:
    """Return the fullest draft of whole segments within the budget; None if no segment fits.

    Joins and headers change the count, so the target of `fill` is corrected by the real size of the text.
    """
    best: _Draft | None = None
    picked: list[int] = []
    best_picked: list[int] = []
    target, tried = budget, set[int]()
    while target > 0 and target not in tried and len(tried) < ROUNDS:
        tried.add(target)
        picked = fill(costs.tolist(), scores.tolist(), target, scale=scale)
        if not picked:
            break
        made = draft(picked)
        if made.positions and made.tokens <= budget and (best is None or made.tokens > best.tokens):
            best, best_picked = made, picked
        if 0 <= budget - made.tokens <= _enough(budget):
            break
        target += budget - made.tokens
    while best is None and picked:
        # Drop the lowest-marked until it fits; positions among the candidates are ranks.
        picked = picked[: len(picked) - max(1, len(picked) // 8)]
        if picked and (made := draft(picked)).positions and made.tokens <= budget:
            best, best_picked = made, picked
    if best is None:
        small = np.flatnonzero(costs <= budget + 1)[:TRIES]
        made_alone = ((draft([int(p)]), int(p)) for p in small)
        best, best_picked = next(((d, [p]) for d, p in made_alone if d.positions and d.tokens <= budget), (None, []))
    return _topped_up(draft, best, set(best_picked), costs, budget) if best else None


def _topped_up(
    draft: Callable[[Sequence[int]], _Draft], best: _Draft, taken: set[int], costs: npt.NDArray[np.int64], budget: int
) -> _Draft:
    """Add segments that still fit by an exact recount, best first. Changes `taken`."""
    tries = 0
    for p in range(len(costs)):
        left = budget - best.tokens
        if left <= _enough(budget) or tries == TRIES:
            break
        if p in taken or costs[p] > left:
            continue
        tries += 1
        made = draft([*sorted(taken), p])
        if made.tokens <= budget:
            best = made
            taken.add(p)
    return best


def _enough(budget: int) -> int:
    """Return how many free tokens don't justify another recount."""
    return max(2, budget // 200)


def _cut(draft: Callable[[Segment], _Draft], segment: Segment, budget: int) -> _Draft | None:
    """Return the draft with the longest beginning of a segment that fits, cut between words if that costs at most half
    of it, and never inside a grapheme. None if not even one character fits.
    """
    lead = len(segment.text) - len(segment.text.lstrip())
    text = segment.text[: lead + budget * LONGEST_TOKEN]

    def upto(end: int) -> _Draft:
        return draft(replace(segment, end=segment.start + end, text=segment.text[:end]))

    # Token counts grow almost monotonically with length; the result is recounted below.
    low = longest_fit(lead, len(text), lambda end: upto(end).tokens <= budget)
    end = word_boundary(text, lead, low) if low < len(segment.text) else low
    for shorter in (end, low, low - 1, low - 2):
        if shorter > lead and text[lead:shorter].strip():
            made = upto(shorter)
            if 0 < made.tokens <= budget:
                return made
    return None


class ExtractiveOptions(Options):
    """Options of `extractive`. tokenizer: default the model's own."""

    tokenizer: SkipValidation[Tokenizer | None] = None
    dates: bool = True


def _make(resources: Resources, options: ExtractiveOptions) -> Compressor:
    if options.tokenizer is not None:
        return extractive(options.tokenizer, dates=options.dates)
    return extractive(resources.loaded.tokenizer, dates=options.dates, history_tokens=resources.history_tokens)


COMPRESSOR = CompressorFactory("Verbatim text of the history, in time order, by record", _make, ExtractiveOptions)
