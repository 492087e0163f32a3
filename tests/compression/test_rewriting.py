from collections.abc import Callable

import pytest

from penchant.compression.budget import count_tokens
from penchant.compression.extractive import extractive
from penchant.compression.profile import Compressor
from penchant.compression.rewriting import Messages, RewriteError, rewrite_with, rewriting, shorten, tidy
from penchant.history.records import History, Request
from tests.compression.cases import history_of, marks_of, tokenizer_of, whole_records
from tests.families import tiny

TOKENIZER = tokenizer_of("bytes")
REQUEST = Request("What should I cook?")
HISTORY = history_of(
    "Caroline is allergic to peanuts.", "The film was too long.", "I cooked rice for 12 guests.", "We met at the sea."
)
MARKS = marks_of(whole_records(HISTORY), [5.0, 0.0, 4.0, 0.1])


def scripted(answer: str | Callable[[Messages, int], str], window: int = 4000) -> Compressor:
    return rewrite_with(
        answer if callable(answer) else lambda messages, most: answer,
        name="rewriting",
        tokenizer=TOKENIZER,
        reader=TOKENIZER,
        window=window,
        measure=lambda messages: sum(count_tokens(TOKENIZER, m["content"]) for m in messages),
        alpha=0.3,
        min_coverage=0.3,
        dates=True,
        context_tokens=None,
    )


def test_a_faithful_rewriting_is_kept() -> None:
    text = "Caroline is allergic to peanuts. The user cooked rice for 12 guests."
    profile = scripted(f"- {text}\n\n")(HISTORY, REQUEST, MARKS, 60)
    assert profile.text == text
    assert not profile.fallback
    assert profile.reason is None
    assert profile.tokens == count_tokens(TOKENIZER, text) <= 60
    assert profile.compressor == "rewriting"
    assert [s.record for s in profile.segments] == [0, 2]
    assert profile.scores == (5.0, 4.0)
    assert 0.8 < profile.mass_kept <= 1.0
    assert set(profile.seconds) == {"mark", "compress"}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Caroline is allergic to walnuts. I cooked rice for 12 guests.", "words that are not in the history: walnuts"),
        ("Caroline is allergic to peanuts. I cooked rice for 13 guests.", "numbers that are not in the history: 13"),
        ("Caroline and Paul cooked rice for 12 guests.", "names that are not in the history: Paul"),
        ("Caroline is not allergic to peanuts.", "denied or affirmed"),
        ("The film was too long.", "of the marked content is kept"),
        ("", "empty"),
        ("peanuts " * 200, "no sentence within 60 tokens"),
    ],
)
def test_anything_else_falls_back_with_the_reason(answer: str, reason: str) -> None:
    profile = scripted(answer)(HISTORY, REQUEST, MARKS, 60)
    plain = extractive(TOKENIZER)(HISTORY, REQUEST, MARKS, 60)
    assert profile.fallback
    assert reason in (profile.reason or "")
    assert (profile.text, profile.tokens, profile.segments) == (plain.text, plain.tokens, plain.segments)
    assert profile.compressor == "rewriting"


def test_an_answer_over_budget_ends_with_a_sentence() -> None:
    answer = "Caroline is allergic to peanuts. I cooked rice for 12 guests. We met at the sea. The film was too long."
    budget = count_tokens(TOKENIZER, "Caroline is allergic to peanuts. I cooked rice for 12 guests.") + 3
    profile = scripted(answer)(HISTORY, REQUEST, MARKS, budget)
    assert profile.text == "Caroline is allergic to peanuts. I cooked rice for 12 guests."
    assert not profile.fallback


def test_the_model_is_asked_within_its_window() -> None:
    asked: list[tuple[Messages, int]] = []

    def ask(messages: Messages, most: int) -> str:
        asked.append((messages, most))
        raise RewriteError("no answer today")

    history = history_of(*(f"record {i} by the sea" for i in range(200)))
    marks = marks_of(whole_records(history), [float(i == 150) for i in range(200)])
    profile = scripted(ask, window=1700)(history, REQUEST, marks, 40)
    ((messages, most),) = asked
    assert profile.reason == "no answer today"
    assert most >= 40
    assert sum(count_tokens(TOKENIZER, m["content"]) for m in messages) + most <= 1700
    assert "<start_important>record 150 by the sea<end_important>" in messages[1]["content"]
    assert "relevant parts" in messages[1]["content"]
    small = scripted(ask, window=300)(history, REQUEST, marks, 40)
    assert "no marked segment fits" in (small.reason or "")


def test_an_empty_history_falls_back() -> None:
    profile = scripted("x")(History([]), REQUEST, marks_of((), []), 10)
    assert profile.fallback
    assert profile.reason == "there is nothing to rewrite"


@pytest.mark.parametrize("chat", [True, False])
def test_a_real_model_that_writes_noise_falls_back(chat: bool) -> None:
    loaded = tiny("llama", chat=chat)
    history = history_of("I like tea.", dated=False)
    marks = marks_of(whole_records(history), [1.0])
    profile = rewriting(loaded)(history, REQUEST, marks, 5)
    assert profile.fallback
    assert "not in the history" in (profile.reason or "") or "no sentence" in (profile.reason or "")
    assert 0 < profile.tokens <= 5


def test_shorten_and_tidy() -> None:
    assert shorten("One. Two! Three", 100, TOKENIZER) == "One. Two! Three"
    four = count_tokens(TOKENIZER, "Version 1.5 is out. Yes")
    assert shorten("Version 1.5 is out. Yes. No.", four, TOKENIZER) == "Version 1.5 is out."
    assert shorten("Version 1.5 of it", 5, TOKENIZER) == ""
    assert shorten("first line\nsecond line", count_tokens(TOKENIZER, "first line") + 2, TOKENIZER) == "first line"
    assert tidy("1. <start_important>One<end_important>\n\n * two\x00\n10 three") == "One\ntwo\n10 three"
