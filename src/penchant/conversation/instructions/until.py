"""Decides whether an instruction with scope "until" has ended (`ended_until`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import regex

from penchant.conversation.instructions.languages import Table, tables
from penchant.conversation.instructions.sentences import plain_text, sentences
from penchant.history.dialogue import Instruction, Turn
from penchant.text.terms import split_words

_DAY = timedelta(days=1)
_ISO = regex.compile(r"\b(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})\b")
_DOTTED = regex.compile(r"\b(?P<d>\d{1,2})[./](?P<m>\d{1,2})(?:[./](?P<y>\d{4}))?")
_SPANS = {"minutes": timedelta(minutes=1), "hours": timedelta(hours=1), "days": _DAY, "weeks": 7 * _DAY}
_SPANS["months"] = timedelta(days=30)


def ended_until(instruction: Instruction, turns: Sequence[Turn], now: datetime | None = None) -> bool:
    """Whether the event that `instruction.until` names has happened.

    turns: of its conversation (those up to the instruction's own turn are skipped). now: UTC; None: unknown. "Until I
    say X": a sentence of a later user turn is X, apart from polite words around it. "For the next N answers": the
    assistant has answered N times, including the answer to the instruction's own turn. "Until tomorrow": the next day
    has begun, counted from when the instruction was added (UTC); a weekday or a date: that day is over. "For the next N
    days" and similar: that much time since it was added. Anything else: never.
    """
    if instruction.until is None:
        return False
    after = -1 if instruction.turn is None else instruction.turn
    later = [turn for turn in turns if turn.number > after]
    plain = plain_text(instruction.until)
    for table in tables().values():
        if match := table.find("counted", plain):
            count = _number(match.groupdict(), table)
            return count is not None and sum(turn.role == "assistant" for turn in later) >= count
        if match := table.find("said", plain):
            groups = match.groupdict()
            name = "x" if groups.get("x") else "y"
            wanted = split_words(instruction.until[match.start(name) : match.end(name)])
            return any(_says(turn.text, wanted, table) for turn in later if turn.role == "user")
    if instruction.added is None or now is None:
        return False
    return any((end := _end(plain, table, _utc(instruction.added))) and _utc(now) >= end for table in tables().values())


def _number(groups: Mapping[str, str | None], table: Table) -> int | None:
    word = (groups.get("n") or groups.get("m") or "").lower()
    return table.number(word)


def _says(text: str, wanted: Sequence[str], table: Table) -> bool:
    polite, stops = table.listed("polite"), table.listed("stops")
    core = [word for word in wanted if word not in polite] or list(wanted)
    # "Until I tell you to stop" is met by any word for stopping, "until I say pineapple" only by that word.
    choices = stops if any(word in stops for word in core) else None
    for sentence in sentences(text):
        words = [word for word in split_words(sentence.text) if word not in polite]
        if words == core or (choices is not None and words and all(word in choices for word in words)):
            return True
    return False


def _end(plain: str, table: Table, added: datetime) -> datetime | None:
    """Return when a named time has passed."""
    midnight = added.replace(hour=0, minute=0, second=0, microsecond=0)
    if match := table.find("spanned", plain):
        count = _number(match.groupdict(), table)
        unit = table.unit(match["unit"].lower())
        return None if count is None or unit is None else added + count * _SPANS[unit]
    if (date := _date(plain, table, midnight)) is not None:
        return date + _DAY
    if table.find("tomorrow", plain):
        return midnight + _DAY
    for weekday, name in enumerate(table.listed("weekdays")):
        if regex.search(rf"\b(?:{name})\b", plain, regex.I):
            ahead = (weekday - midnight.weekday()) % 7 or 7
            return midnight + (ahead + 1) * _DAY
    return None


def _date(plain: str, table: Table, midnight: datetime) -> datetime | None:
    """Parse a date; without a year, the next such day."""
    months = table.listed("months")
    month = rf"(?P<m>{'|'.join(months) or '(?!)'})\b"
    named = regex.search(
        rf"\b(?P<d>\d{{1,2}})(?:\.|st|nd|rd|th|er|º|°)? (?:of |de )?{month}(?: (?:de )?(?P<y>\d{{4}}))?"
        rf"|\b{month} (?P<d>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (?P<y>\d{{4}}))?",
        plain,
        regex.I,
    )
    match = _ISO.search(plain) or named or _DOTTED.search(plain)
    if match is None:
        return None
    written = match["m"].lower()
    number = months.index(written) + 1 if written in months else int(written)
    try:
        if match["y"]:
            return datetime(int(match["y"]), number, int(match["d"]), tzinfo=UTC)
        date = midnight.replace(month=number, day=int(match["d"]))
        return date if date >= midnight else date.replace(year=date.year + 1)
    except ValueError:  # no such day
        return None


def _utc(when: datetime) -> datetime:
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
