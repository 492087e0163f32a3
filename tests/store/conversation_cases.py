"""What is said in conversations of the store."""

from datetime import UTC, datetime, timedelta

from penchant.history.dialogue import Turn

START = datetime(2025, 3, 1, 9, tzinfo=UTC)


def at(minute):
    return START + timedelta(minutes=minute)


def said(*texts, first=0):
    return [
        Turn(number, ("user", "assistant")[number % 2], text, at(number)) for number, text in enumerate(texts, first)
    ]


def talk(talks, user, name, *texts, system=None):
    talks.open(user, name, system=system, when=START)
    for turn in said(*texts):
        talks.add(user, name, turn)
