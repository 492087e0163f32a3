"""Finds the dates in a request and resolves them to periods; the dates themselves are read by dateparser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, get_args

from dateutil.relativedelta import relativedelta

from penchant.text.dates.languages import NUMERIC, Language, languages
from penchant.text.language import identify, spoken

if TYPE_CHECKING:
    from dateparser.date import DateDataParser

Order = Literal["first", "last"]
"""The earliest or the latest of what is asked for."""

_PLAIN = str.maketrans({"’": "'", "‘": "'", "\u00a0": " ", "\u202f": " "})
_LONGEST = 2000  # characters; the dates of a longer request are a text's, not the request's
_LENGTHS = {
    "day": relativedelta(days=1),
    "weekend": relativedelta(days=2),
    "week": relativedelta(weeks=1),
    "month": relativedelta(months=1),
    "year": relativedelta(years=1),
}
_DAY = timedelta(days=1)
_Period = tuple[datetime, datetime]
_OF_TIME = ("asks", "dates", "bare", "seasons", "first", "last")
_FIRST_MONTH = {"spring": 3, "summer": 6, "autumn": 9, "winter": 12}


@dataclass(frozen=True, slots=True)
class TimeExpression:
    """A date or an order in a request. text: its words. start, end: the period, in UTC, without its end; None: open.
    order: "first" or "last" instead of a period.
    """

    text: str
    start: datetime | None = None
    end: datetime | None = None
    order: Order | None = None

    def __str__(self) -> str:
        """ "last week" (2026-05-11 to 2026-05-17), with the last day."""
        if self.order is not None:
            return f"“{self.text}” ({self.order})"
        start, end = (f"{when:%Y-%m-%d}" if when else "" for when in (self.start, self.end and self.end - _DAY))
        told = f"{start} to {end}" if start and end and start != end else start if start and end else ""
        return f"“{self.text}” ({told or (f'from {start}' if start else f'to {end}')})"


@dataclass(frozen=True, slots=True)
class _Found:
    at: int
    to: int
    time: TimeExpression


def time_expressions(text: str, now: datetime, *, language: str | None = None) -> tuple[TimeExpression, ...]:
    """Return the dates in a request that may speak of the past, in order.

    now: when it is asked; what lies after it is left out. language: ISO 639-1 code (None, or one without words: all
    are tried, and the one that explains most of the request is taken). A month, a weekday or a day without a year only
    counts where the request asks about the past; "may", "second" and "march on" are no dates. Seasons are those of the
    northern hemisphere. In a request of more than 2,000 characters nothing is found.
    """
    if len(text) > _LONGEST:
        return ()
    now = (now if now.tzinfo else now.replace(tzinfo=UTC)).astimezone(UTC).replace(tzinfo=None)
    plain = text.translate(_PLAIN)
    told = languages().get(language or "")
    best: list[_Found] = []
    for one in (told,) if told else languages().values():
        found = list(_in_language(plain, one, now))
        if sum(f.to - f.at for f in found) > sum(f.to - f.at for f in best):
            best = found
    return tuple(found.time for found in best)


def asks_for_time(text: str) -> bool:
    """Whether a request may ask when something was, or for what was at some time. True for a language without words:
    better a date too many than one too few.
    """
    plain = text.translate(_PLAIN)
    known = spoken(plain, languages())
    if len(known) > 1 and identify(plain) not in {*languages(), None}:
        return True
    return NUMERIC.search(plain) is not None or any(
        one.search(plain) for language in known for name in _OF_TIME for one in language.phrases(name)
    )


def _in_language(text: str, language: Language, now: datetime) -> Iterator[_Found]:
    """Yield the expressions, with "since", "before" and "from ... to" applied, without those after now."""
    dates = list(_dates(text, language, now))
    at = 0
    while at < len(dates):
        one, before = dates[at], text[: dates[at].at]
        follows = dates[at + 1] if at + 1 < len(dates) else None
        if follows and language.joins.fullmatch(text, one.to, follows.at) and language.ends("between").search(before):
            one, at = _joined(text, one, follows), at + 1
        elif shift := language.ends("shift").search(before):
            number = shift["number"]
            unit = language.key("units", shift["unit"]) or "day"
            back = int(digits) if (digits := language.in_digits(number)).isdigit() else 1
            start = one.time.start and one.time.start - back * _LENGTHS[unit]
            one = _Found(shift.start(), one.to, TimeExpression(text[shift.start() : one.to], start, one.time.end))
        elif operator := language.ends("before").search(before):
            one = _Found(
                operator.start(),
                one.to,
                replace(one.time, text=_trim(text, operator, one), start=None, end=one.time.start),
            )
        elif operator := language.ends("by").search(before):  # a state then: whatever had happened by its end
            one = _Found(operator.start(), one.to, replace(one.time, text=_trim(text, operator, one), start=None))
        elif operator := language.ends("after").search(before):
            one = _Found(operator.start(), one.to, replace(one.time, text=_trim(text, operator, one), end=None))
        at += 1
        if one.time.start is None or one.time.start <= now:
            yield _aware(one)
    for order in get_args(Order):
        for match in (found for phrase in language.phrases(order) for found in phrase.finditer(text)):
            yield _Found(match.start(), match.end(), TimeExpression(match.group(), order=order))


def _joined(text: str, one: _Found, other: _Found) -> _Found:
    """From one date to the other; the first may leave out the year."""
    start, end = one.time.start, other.time.end
    while start and end and start > end:
        start -= _LENGTHS["year"]
    return _Found(one.at, other.to, TimeExpression(text[one.at : other.to], start, end))


def _trim(text: str, operator: re.Match[str], one: _Found) -> str:
    return text[operator.start() : one.to].strip()


def _aware(one: _Found) -> _Found:
    start, end = (None if when is None else when.replace(tzinfo=UTC) for when in (one.time.start, one.time.end))
    return replace(one, time=replace(one.time, start=start, end=end))


def _dates(text: str, language: Language, now: datetime) -> Iterator[_Found]:
    """Yield the dates, each where the longest expression begins, without overlaps."""
    asked = any(one.search(text) for one in language.phrases("past"))
    patterns = [one for name in ("dates", "seasons", *(["bare"] if asked else [])) for one in language.phrases(name)]
    matches = [(_span(match), match) for one in (*patterns, NUMERIC) for match in one.finditer(text)]
    to = 0
    for (at, end), match in sorted(matches, key=lambda found: (found[0][0], -found[0][1])):
        if at < to:
            continue
        seasonal = "season" in match.re.groupindex
        periods = _seasons(match, language, now) if seasonal else _read(text[at:end], language, now)
        for period in periods:
            yield _Found(at, end, TimeExpression(text[at:end], *period))
            to = end


def _span(match: re.Match[str]) -> tuple[int, int]:
    return match.span("date") if match.groupdict().get("date") else match.span()


def _seasons(match: re.Match[str], language: Language, now: datetime) -> list[_Period]:
    """A season of the year that is named, which for winter are two, or the last one that has begun; that is over, if it
    is called "last".
    """
    key = language.key("season", match["season"])
    if key is None:
        return []
    year = int(match["year"]) if match["year"] else now.year
    start, length = datetime(year, _FIRST_MONTH[key], 1), relativedelta(months=3)
    over = any(one.search(match.group()) for one in language.phrases("previous"))
    if not match["year"] and (start + length if over else start) > now:
        start -= relativedelta(years=1)
    before = start - relativedelta(years=1)
    return [(one, one + length) for one in ((before, start) if match["year"] and key == "winter" else (start,))]


def _read(words: str, language: Language, now: datetime) -> list[_Period]:
    """The period that dateparser reads from the words of a date."""
    period = None
    for says, meaning, named in language.means:
        if says.fullmatch(words):
            words, period = meaning, named
            break
    found = _parser(language.code, now).get_date_data(language.in_digits(words))
    if found.date_obj is None:
        return []
    period = period or (found.period if found.period in _LENGTHS else "day")
    start = _beginning(found.date_obj.replace(tzinfo=None), period)
    return [(start, start + _LENGTHS[period])]


def _beginning(when: datetime, period: str) -> datetime:
    day = when.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "week":
        return day - timedelta(days=day.weekday())
    if period in ("month", "year"):
        return day.replace(day=1, month=1 if period == "year" else day.month)
    return day


def _parser(code: str, now: datetime) -> DateDataParser:
    from dateparser.date import DateDataParser  # takes 0.3 s, and most requests hold no date

    settings = {"RELATIVE_BASE": now, "PREFER_DATES_FROM": "past", "PREFER_DAY_OF_MONTH": "first"}
    return DateDataParser(languages=[code], settings=settings)
