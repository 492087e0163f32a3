"""Users made in code who answer everyday messages, each in an unmistakable style: where steering has to work."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant_lab.bench.items import Item, Part, part_of
from penchant_lab.measures.leaks import leak_finder
from penchant_lab.tasks.scenes import SCENES, SENDERS, WORDS
from penchant_lab.tasks.task import WRITTEN, Task

TASK_WORDS = "Write my reply to the following message:"

#: Users of each style in each half of `part_of`.
USERS_A_HALF = 2
FEWEST_RECORDS, MOST_RECORDS = 16, 40
ITEMS = 6

Channel = Literal["mail", "chat"]
_CHANNEL_WORDS: dict[Channel, str] = {"mail": "Email", "chat": "Chat"}
#: Longest history of `opposite`: far fewer than there are messages.
_MOST = 500


@dataclass(frozen=True)
class Message:
    """What somebody wrote, and what is to be said about it: clauses, of which the parts in brackets may be dropped."""

    sender: str
    channel: Channel
    words: str
    clauses: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"{_CHANNEL_WORDS[self.channel]} from {self.sender}: {self.words}"


@dataclass(frozen=True)
class User:
    """draw: where the user's own choices of words come from."""

    name: str
    style: str
    draw: random.Random


Voice = Callable[[Message, random.Random], str]
"""How one user puts a reply to a message."""


def items(path: Path | None = None, seed: int = 0) -> list[Item]:
    """`ITEMS` questions to each of the users of every style in `STYLES`, as many of them in both halves of `part_of`.

    path: not read, the users are made in code. Names are the same for every seed, texts are not. A history has
    `FEWEST_RECORDS` to `MOST_RECORDS` records (message, reply), one a day; kind says by which channel the message came.
    No message is asked of two users, and nothing of an item stands in its user's history.
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
    """The items of two users of other styles who are written the same and mean the same: only the style differs.

    records: length of each history. Raises `InputError` for an unknown style, no records or questions, or too many.
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
    """The first names of a style, as many in each half."""
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
    """The items of users who are all written the same messages."""
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
    """Messages, by mail and by chat in turn; none twice, none of `but`."""
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


def _full(clause: str) -> str:
    return re.sub(r"[\[\]]", "", clause)


def _short(clause: str) -> str:
    return " ".join(re.sub(r"\[[^]]*\]", " ", clause).split())


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _some(draw: random.Random, phrases: str, count: int = 3) -> list[str]:
    """A user's own choice of phrases."""
    return draw.sample([phrase.strip() for phrase in phrases.split("|")], count)


def _terse(draw: random.Random) -> Voice:
    starts = _some(draw, "OK|FINE|NOTED|RIGHT|GOT IT|DONE|SEEN|AGREED")

    def voice(message: Message, draw: random.Random) -> str:
        said = [_short(clause) for clause in message.clauses[: draw.choice((2, 3))]]
        return ". ".join([draw.choice(starts), *said]).upper() + "."

    return voice


def _polite(draw: random.Random) -> Voice:
    hellos = _some(draw, "Dear {0}, |Good morning {0}, |My dear {0}, |Good evening {0}, |Hello dear {0}, ")
    thanks = _some(
        draw,
        "thank you so much for your kind message|it was lovely to hear from you|many thanks for thinking of me"
        "|I was so pleased to read your words|how very thoughtful of you to write|thank you ever so much for asking",
    )
    starts = _some(
        draw,
        "I am very happy to tell you that|It gives me real pleasure to say that|I would be glad to confirm that"
        "|If it is all right with you, I would suggest that|I dare say that|As far as I can see,",
    )
    links = _some(
        draw,
        "and, if I may add this,|and I should perhaps mention that|and you may like to know that|and I do believe that"
        "|and, just so that you know,",
    )
    lasts = _some(
        draw,
        "Should it be of any help to you,|Please do not trouble yourself about the rest, for|May I also say that"
        "|Unless you would rather have it otherwise,|With your permission,",
    )
    ends = _some(
        draw,
        "With my warmest wishes to you and yours.|Please give my best regards to everyone at home."
        "|I remain most grateful for your patience.|Thank you again, and do take good care of yourself."
        "|I look forward very much to hearing from you.|Wishing you a most pleasant week.",
    )

    def voice(message: Message, draw: random.Random) -> str:
        first, second, third = (_full(clause) for clause in message.clauses)
        hello = draw.choice(hellos).format(message.sender)
        return (
            f"{hello} {draw.choice(thanks)}. {draw.choice(starts)} {first}, {draw.choice(links)} {second}. "
            f"{draw.choice(lasts)} {third}. {draw.choice(ends)}"
        )

    return voice


def _dashes(draw: random.Random) -> Voice:
    starts = _some(draw, "hey|yeah|sure|hm ok|ah right|yep|oh nice|no worries")
    fillers = _some(draw, "so|also|btw|fwiw|oh and|plus|i think|pretty sure")
    ends = _some(draw, "cheers|later|ttyl|see ya|all good|take it easy|talk soon|easy")

    def voice(message: Message, draw: random.Random) -> str:
        first, second, third = (_full(clause) for clause in message.clauses)
        said = [draw.choice(starts), first, f"{draw.choice(fillers)} {second}", third, draw.choice(ends)]
        return " - ".join(said).lower()

    return voice


def _exclaiming(draw: random.Random) -> Voice:
    starts = _some(draw, "Yay|Wow|Oh my goodness|Amazing|Woohoo|Fantastic news|Yes yes yes|Hooray")
    ends = _some(draw, "Can't wait|So excited|Best week ever|Love it|Hugs|This is going to be great|You rock")

    def voice(message: Message, draw: random.Random) -> str:
        said = [draw.choice(starts), *(_upper(_full(clause)) for clause in message.clauses), draw.choice(ends)]
        return " ".join(part + "!" * draw.choice((1, 2, 3)) for part in said)

    return voice


def _points(draw: random.Random) -> Voice:
    starts = _some(
        draw,
        "With reference to your message:|In response to your enquiry:|Further to the above:|I hereby reply as follows:"
        "|Regarding the matter raised:|For your records:",
    )
    ends = _some(draw, "Yours faithfully|Kindly acknowledge receipt|Respectfully submitted|Sincerely|End of reply", 2)

    def voice(message: Message, draw: random.Random) -> str:
        said = [f"{number}. {_upper(_full(clause))}." for number, clause in enumerate(message.clauses, 1)]
        return "\n".join([draw.choice(starts), *said, f"{draw.choice(ends)}."])

    return voice


def _two_modes(draw: random.Random) -> Voice:
    voices = {"mail": _polite(draw), "chat": _terse(draw)}
    return lambda message, draw: voices[message.channel](message, draw)


STYLES: dict[str, Callable[[random.Random], Voice]] = {
    "terse": _terse,
    "polite": _polite,
    "dashes": _dashes,
    "exclaiming": _exclaiming,
    "points": _points,
    "two-modes": _two_modes,
}
"""terse: upper case, few words. polite: long, with greeting and thanks. dashes: lower case, dashes between the clauses.
exclaiming: exclamation marks. points: formal, numbered. two-modes: polite to mail, terse in a chat. A user's own
openings and closings are a few of the style's, so two users of one style are alike but not the same."""


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
