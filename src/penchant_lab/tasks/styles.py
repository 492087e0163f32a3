"""Users made in code who answer everyday messages, each in an unmistakable style: data for tests of steering."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant_lab.bench.items import Item, Part, part_of
from penchant_lab.measures.leaks import leak_finder
from penchant_lab.tasks.scenes import SCENES, SENDERS, WORDS
from penchant_lab.tasks.style_voices import STYLES, Channel, Message
from penchant_lab.tasks.task import WRITTEN, Task

TASK_WORDS = "Write my reply to the following message:"

#: Users of each style in each half of `part_of`.
USERS_A_HALF = 2
FEWEST_RECORDS, MOST_RECORDS = 16, 40
ITEMS = 6

#: Longest history of `opposite`: far fewer than there are messages.
_MOST = 500


@dataclass(frozen=True)
class User:
    """draw: makes the user's own choices of words."""

    name: str
    style: str
    draw: random.Random


def items(path: Path | None = None, seed: int = 0) -> list[Item]:
    """Return `ITEMS` questions to each user of every style in `STYLES`, as many users in one half of `part_of` as in
    the other.

    path: not read, since the users are made in code. Names are the same for every seed; texts differ. A history has
    `FEWEST_RECORDS` to `MOST_RECORDS` records (message, reply), one a day; kind is the channel of the message. No two
    users are asked the same message, and nothing of an item is in its user's history.
    """
    made: list[Item] = []
    asked: set[str] = set()
    for style in STYLES:
        for user in _names(style):
            draw = random.Random(f"{seed}/{user}")
            count = draw.randint(FEWEST_RECORDS, MOST_RECORDS)
            (mine,) = _users([User(user, style, draw)], _messages(draw, asked), records=count, questions=ITEMS)
            asked |= {item.request.query for item in mine}
            made += mine
    return made


def opposite(
    first: str = "terse", second: str = "polite", *, records: int = 16, questions: int = ITEMS, seed: int = 0
) -> tuple[list[Item], list[Item]]:
    """Return the items of two users of different styles who receive the same messages and mean the same: only the style
    differs.

    records: length of each history. Raises `InputError` for an unknown style, and for no records or questions or too
    many.
    """
    for style in (first, second):
        if style not in STYLES:
            raise InputError(f"style {style!r}: expected one of {', '.join(STYLES)}")
    if not (1 <= records <= _MOST and 1 <= questions <= _MOST):
        raise InputError(f"{records} records and {questions} questions: expected 1 to {_MOST} of each")
    users = [User(style, style, random.Random(f"{seed}/own/{style}")) for style in (first, second)]
    one, other = _users(users, _messages(random.Random(seed), ()), records=records, questions=questions)
    return one, other


def _names(style: str) -> list[str]:
    """Return the first names of a style, equally many in each half."""
    left: dict[Part, int] = {"tune": USERS_A_HALF, "test": USERS_A_HALF}
    names = []
    number = 0
    while any(left.values()):
        name = f"{style}-{number}"
        if left[part_of(name)]:
            left[part_of(name)] -= 1
            names.append(name)
        number += 1
    return names


def _users(users: Sequence[User], messages: Iterator[Message], *, records: int, questions: int) -> list[list[Item]]:
    """Return the items of users who all receive the same messages."""
    voices = [STYLES[user.style](user.draw) for user in users]

    def replies(message: Message) -> tuple[str, ...]:
        return tuple(voice(message, user.draw) for voice, user in zip(voices, users, strict=True))

    asked: dict[tuple[str, ...], Message] = {}
    for message in messages:
        asked.setdefault(replies(message), message)
        if len(asked) == questions:
            break
    traces = [text for said, message in asked.items() for text in (message.text, message.words, *said)]
    reason = leak_finder(texts=traces)
    kept: list[list[Record]] = [[] for _ in users]
    for message in messages:
        if len(kept[0]) == records:
            break
        number = len(kept[0])
        when = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=number)
        made = [
            Record(message.text, id=f"{user.name}-{number:02}", reply=reply, when=when, kind=message.channel)
            for user, reply in zip(users, replies(message), strict=True)
        ]
        if not any(map(reason, made)):
            for known, record in zip(kept, made, strict=True):
                known.append(record)
    histories = [History(known, user.name) for known, user in zip(kept, users, strict=True)]
    return [
        [
            Item(
                f"{user.name}/{number}", history, Request(message.text, TASK_WORDS), said[position], category=user.style
            )
            for number, (said, message) in enumerate(asked.items())
        ]
        for position, (user, history) in enumerate(zip(users, histories, strict=True))
    ]


def _messages(draw: random.Random, but: Sequence[str] | set[str]) -> Iterator[Message]:
    """Yield messages, by mail and by chat alternately; none twice, and none of `but`."""
    seen = set(but)
    channels: tuple[Channel, Channel] = ("mail", "chat")
    number = 0
    while True:
        wordings, *clauses = draw.choice(SCENES)
        filled = {name: draw.choice(words) for name, words in WORDS.items()}
        filled["other"] = draw.choice([day for day in WORDS["day"] if day != filled["day"]])
        message = Message(
            draw.choice(SENDERS),
            channels[number % 2],
            draw.choice(wordings).format(**filled),
            tuple(draw.choice(wording).format(**filled) for wording in clauses),
        )
        if message.text not in seen:
            seen.add(message.text)
            number += 1
            yield message


TASK = Task(
    "styles",
    WRITTEN,
    items,
    ("rouge1", "rougeL", "meteor"),
    "replies of made-up users to everyday messages, each in a style of its own; no --data",
    max_new_tokens=96,
    seeded=True,
    in_code=True,
)
