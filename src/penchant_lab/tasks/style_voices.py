"""Six unmistakable styles: how users made in code word their replies to a message."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Channel = Literal["mail", "chat"]
_CHANNEL_WORDS: dict[Channel, str] = {"mail": "Email", "chat": "Chat"}


@dataclass(frozen=True)
class Message:
    """A message, and what its reply has to say: clauses, in which bracketed parts may be dropped."""

    sender: str
    channel: Channel
    words: str
    clauses: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"{_CHANNEL_WORDS[self.channel]} from {self.sender}: {self.words}"


Voice = Callable[[Message, random.Random], str]
"""How one user puts a reply to a message."""


def _full(clause: str) -> str:
    return re.sub(r"[\[\]]", "", clause)


def _short(clause: str) -> str:
    return " ".join(re.sub(r"\[[^]]*\]", " ", clause).split())


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _some(draw: random.Random, phrases: str, count: int = 3) -> list[str]:
    """Draw a user's own phrases."""
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
