"""When an instruction with an end has come to it."""

from datetime import UTC, datetime, timedelta

import pytest

from penchant.conversation.instructions.until import ended_until
from penchant.history.dialogue import Instruction, Turn

THURSDAY = datetime(2026, 11, 26, 15, tzinfo=UTC)


def given(until: str | None, turn: int | None = 0) -> Instruction:
    return Instruction("a", "x", turn=turn, scope="until", until=until, added=THURSDAY)


def says(*texts: str) -> list[Turn]:
    """The user's turns behind turn 0, each answered but for the last."""
    turns = [Turn(0, "user", "Talk like a pirate until I say stop."), Turn(1, "assistant", "Aye. Stop")]
    for text in texts:
        turns += [Turn(len(turns), "user", text), Turn(len(turns) + 1, "assistant", "Arr.")]
    return turns[:-1]


@pytest.mark.parametrize(
    ("until", "text", "over"),
    [
        ("until I say stop", "stop", True),
        ("until I say stop", "Okay, stop now please!", True),
        ("until I say stop", "Where does the bus stop?", False),
        ("until I say stop", "enough", True),
        ("until I tell you to stop", "Stop.", True),
        ("until I say 'pineapple'", "Pineapple!", True),
        ("until I say 'pineapple'", "stop", False),
        ("bis ich Stopp sage", "Stopp bitte", True),
        ("bis ich 'Ananas' sage", "Ananas", True),
        ("jusqu'à ce que je dise stop", "Stop, merci.", True),
        ("hasta que diga basta", "¡Basta!", True),
        ("finché non dico basta", "Basta, grazie", True),
        ("until I say otherwise", "What is a fjord?", False),
        ("until the cows come home", "stop", False),
    ],
)
def test_until_something_is_said(until: str, text: str, over: bool) -> None:
    assert ended_until(given(until), says(text), THURSDAY) is over


@pytest.mark.parametrize(
    "until",
    [
        "for the next two answers",
        "für die nächsten zwei Antworten",
        "pour les deux prochaines réponses",
        "en las próximas dos respuestas",
        "per le prossime 2 risposte",
    ],
)
def test_for_a_number_of_answers_the_first_is_the_one_to_its_own_turn(until: str) -> None:
    assert not ended_until(given(until), says("one"), THURSDAY)
    assert ended_until(given(until), says("one", "two"), THURSDAY)


@pytest.mark.parametrize(
    ("until", "hours"),
    [
        ("until tomorrow", 9),
        ("bis morgen", 9),
        ("until Friday", 9 + 24),
        ("bis Freitag", 9 + 24),
        ("jusqu'à vendredi", 9 + 24),
        ("hasta el viernes", 9 + 24),
        ("fino a venerdì", 9 + 24),
        ("until Thursday", 9 + 7 * 24),
        ("until 28 November", 9 + 48),
        ("bis zum 28. November", 9 + 48),
        ("until 2026-11-28", 9 + 48),
        ("for the next 3 hours", 3),
        ("pendant les prochaines 3 heures", 3),
        ("die nächsten drei Tage", 72),
    ],
)
def test_until_a_time(until: str, hours: int) -> None:
    end = THURSDAY + timedelta(hours=hours)
    assert not ended_until(given(until), (), end - timedelta(seconds=1))
    assert ended_until(given(until), (), end)


def test_what_cannot_be_known_stands() -> None:
    assert not ended_until(given(None), says("stop"), THURSDAY + timedelta(days=999))
    assert not ended_until(given("until Friday"), (), None)
    assert not ended_until(given("until 31 February"), (), THURSDAY + timedelta(days=999))
    assert not ended_until(given("for the next umpteen answers"), says(*"abcdefgh"), THURSDAY)
