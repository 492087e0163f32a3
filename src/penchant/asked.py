"""What is asked, and about whom, in any form that a caller may give."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from penchant.errors import InputError
from penchant.history.records import History, RecordLike, Request
from penchant.inference.intervention import Intervention

Knowledge = Literal["profile", "full", "none"]
"""What an answer may be based on: the profile, as much of the history as fits the window, or nothing."""
Steer = str | Intervention
"""The name of a method, or an intervention."""
Who = History | str | Iterable[RecordLike]
"""A history, the id of a stored user, or records, texts or a table of them (`as_records`)."""


def as_who(who: Who) -> History | str:
    return who if isinstance(who, History | str) else History(who)


def as_request(request: Request | str) -> Request:
    return request if isinstance(request, Request) else Request(request)


def as_pairs(asked: Iterable[tuple[Who, Request | str]]) -> list[tuple[History | str, Request]]:
    pairs = []
    for number, one in enumerate(asked, 1):
        if not isinstance(one, tuple) or len(one) != 2:
            raise InputError(f"item {number} ({one!r:.60}) is no pair: expected (user or history, request)")
        pairs.append((as_who(one[0]), as_request(one[1])))
    return pairs
