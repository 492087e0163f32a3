"""Turns that ask nothing."""

import pytest

from penchant.text.courtesies import is_courtesy


@pytest.mark.parametrize(
    "text",
    [
        "Hi",
        "Hello!",
        "Hi again!",
        "Thanks, bye!",
        "good morning 🙂",
        "OK, thank you so much.",
        "Hallo!",
        "Vielen Dank, tschüss!",
        "Merci beaucoup, à bientôt !",
        "¡Hola! Buenos días.",
        "Grazie mille, ciao!",
        "You’re welcome",
    ],
)
def test_nothing_but_courtesies(text: str) -> None:
    assert is_courtesy(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "🙂",
        "Hello, who is my dentist",
        "Thanks, and dinner?",
        "Suggest dinner",
        "How are you today?",
        "Thanks for the recipe, I'm allergic to nuts",
        "Hi Anna",
        "ok 4711",
        "Danke, wann ist der Termin",
        "hi " * 40,
    ],
)
def test_what_says_or_asks_something(text: str) -> None:
    assert not is_courtesy(text)
