"""A profile as notes about the user: what somebody else may read, in the third person."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from penchant.compression.layout import format_day, lay_out
from penchant.compression.profile import Profile
from penchant.compression.prompt import needs_days
from penchant.conversation.facts.third_person import third_person
from penchant.history.records import History, Request, Segment
from penchant.history.supersession import STATEMENT

OTHER_HEADING = "From the user's history:"
_TIMED = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|now|recently|soon|ago|(?:last|next|this) \w+)\b", re.IGNORECASE
)


def about_user(history: History, profile: Profile, request: Request, count: Callable[[str], int]) -> Profile:
    """Return the profile with its statements in the third person, one a line, and other records below them as `lay_out`
    writes them, with their days where the request needs them (`needs_days`). In the first person, small models take
    the user's statements for their own (docs/methods/facts.md).

    count: tokens of a text. The best segments that fit the profile's budget stay. A profile that isn't verbatim text of
    the history is returned as it is.
    """
    dated, undated = (lay_out(history, profile.segments, dates=days) for days in (True, False))
    if not profile.segments or profile.text not in {dated, undated}:  # days that don't fit are left out
        return profile
    days = profile.text == dated and needs_days(profile, request)
    chosen = list(zip(profile.segments, profile.scores, strict=True))
    while chosen:
        text = notes_text(history, [segment for segment, _ in chosen], dates=days)
        if (tokens := count(text)) <= profile.budget:
            segments, scores = zip(*chosen, strict=True)
            return replace(profile, text=text, tokens=tokens, segments=segments, scores=scores)
        chosen.remove(min(chosen, key=lambda pair: pair[1]))
    return replace(profile, text="", tokens=0, segments=(), scores=())


def notes_text(history: History, segments: Sequence[Segment], *, dates: bool = True) -> str:
    """Return segments of a history as notes about its user. dates: show the days of what wasn't said to the model."""
    said = [one for one in segments if history[one.record].kind == STATEMENT]
    other = [one for one in segments if history[one.record].kind != STATEMENT]
    lines = [_line(history, one) for one in sorted(said, key=lambda one: (one.record, one.start))]
    if other:
        lines += [OTHER_HEADING] if lines else []
        lines.append(lay_out(history, other, dates=dates))
    return "\n".join(lines)


def _line(history: History, segment: Segment) -> str:
    when = history[segment.record].when
    # A date on every line costs a small model answers (penchant_lab.first_hour); "last week" needs one.
    dated = f" (said on {format_day(when.date())})" if when is not None and _TIMED.search(segment.text) else ""
    return f"{third_person(segment.text)}{dated}"
