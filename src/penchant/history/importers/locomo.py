"""LoCoMo (Maharana et al. 2024, https://github.com/snap-research/locomo): very long conversations of two people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from penchant.errors import InputError
from penchant.history.importers.importer import Importer
from penchant.history.importers.reading import Pair, json_items
from penchant.history.records import Record

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_SESSION = re.compile(r"session_(\d+)")
_TIME = re.compile(r"(\d+):(\d+)\s*([ap])m on (\d+) ([a-z]+),? (\d+)", re.IGNORECASE)


def read(path: str | Path, *, user: str | None = None) -> Iterator[Pair]:
    """Yield one record per turn. Each conversation is a user, named by its `sample_id`; `user` picks one.

    text: "Speaker: what was said", with " [shares a photo: caption]" for a turn with an image; id: the turn's `dia_id`;
    when: the session's time plus one second per turn; kind "turn"; meta: session, speaker, caption. Sessions with only
    a date have no turns. Raises `InputError` for any other file.
    """
    file = Path(path) / "locomo.json" if Path(path).is_dir() else Path(path)
    for number, sample in enumerate(json_items(file)):
        conversation = sample.get("conversation") if isinstance(sample, dict) else None
        if not isinstance(conversation, dict):
            raise InputError(f"{file.name} item {number + 1}: no 'conversation'; expected a LoCoMo file")
        owner = str(sample.get("sample_id", f"conversation-{number}"))
        if user is None or owner == user:
            for session in sorted(int(match[1]) for key in conversation if (match := _SESSION.fullmatch(key))):
                for record in _turns(conversation, session, f"{file.name} {owner} session {session}"):
                    yield owner, record


def _turns(conversation: Mapping[str, Any], session: int, where: str) -> Iterator[Record]:
    start = parse_session_time(str(conversation.get(f"session_{session}_date_time", "")))
    for position, turn in enumerate(conversation[f"session_{session}"]):
        try:
            text = f"{turn['speaker']}: {turn['text']}"
            meta = {"session": session, "speaker": turn["speaker"]}
            name = turn["dia_id"]
        except (KeyError, TypeError) as error:
            raise InputError(f"{where} turn {position + 1}: no {error}; expected speaker, dia_id and text") from None
        if caption := turn.get("blip_caption"):
            text += f" [shares a photo: {caption}]"
            meta["caption"] = caption
        when = start + timedelta(seconds=position) if start else None
        yield Record(text, id=name, when=when, kind="turn", meta=meta)


def parse_session_time(text: str) -> datetime | None:
    """Parse "1:56 pm on 8 May, 2023" as UTC, in any locale; None if there is no time."""
    match = _TIME.search(text)
    if not match or match[5].lower() not in _MONTHS:
        return None
    hour, minute, half, day, month, year = match.groups()
    hours = int(hour) % 12 + (12 if half.lower() == "p" else 0)
    try:
        return datetime(int(year), _MONTHS.index(month.lower()) + 1, int(day), hours, int(minute), tzinfo=UTC)
    except ValueError:
        return None


IMPORTER = Importer(read, "LoCoMo conversations, one user per conversation", several_users=True)
