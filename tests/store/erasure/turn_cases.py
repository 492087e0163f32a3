"""Users and what they said, for tests of erasing it."""

import random
from datetime import UTC, datetime, timedelta

from penchant.history.dialogue import Instruction, Turn
from penchant.history.records import Record

VOCABULARY = [f"{a}{b}" for a in ("mar", "tok", "süß", "quen", "lid") for b in ("o", "ith", "ava", "éne", "u", "orn")]
START = datetime(2025, 3, 1, 9, tzinfo=UTC)


def words(seed, count=20):
    return " ".join(random.Random(seed).choices(VOCABULARY, k=count))


def turn(user, name, number):
    text = words(f"{user} {name} {number}", 1_500 if number == 5 else 20)
    return Turn(number, ("user", "assistant")[number % 2], text, START + timedelta(minutes=number))


def instruction(user, name, number, scope="conversation"):
    """What the whole turn says."""
    kept = turn(user, name, number)
    return Instruction(f"{name}-{number}", kept.text, name, number, scope, added=kept.when)


def record(user, name, number):
    meta = {"conversation": name, "turn": number}
    return Record(turn(user, name, number).text[:60], id=f"{name}-{number}", meta=meta)


def fill(store, user, name, *, numbers=range(12), given=(0, 4, 6), facts=(2, 4)):
    store.conversations.open(user, name, system=words(f"{user} {name} system"), when=START)
    for number in numbers:
        store.conversations.add(user, name, turn(user, name, number))
    system = Instruction(f"{name}-s", words(f"{user} {name} system"), name)
    store.conversations.put(user, system, *(instruction(user, name, number) for number in given))
    store.add(user, [record(user, name, number) for number in facts])


def kept(store, user):
    talks = store.conversations
    return (list(talks.export(user)), talks.list(user), list(store.export(user)))


def filled(opened):
    """A new store, now of two users with two conversations each; bob has records from elsewhere, too."""
    for user in ("ann", "bob"):
        for name in ("a", "b"):
            fill(opened, user, name)
    opened.add("bob", [Record("from a file", id="file"), Record("other", id="x", meta={"conversation": "a"})])
    return opened
