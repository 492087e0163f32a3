"""Standing instructions by patterns: what is found, what isn't, and word for word."""

import json
import time
from collections.abc import Sequence
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.conversation.instructions.classification import classify
from penchant.conversation.instructions.languages import tables
from penchant.conversation.instructions.patterns import detector, patterns
from penchant.conversation.instructions.sentences import plain_text, sentences
from penchant.history.dialogue import Instruction

DETECT = patterns()


def found(text: str, known: tuple[Instruction, ...] = ()) -> list[str]:
    return [one.text for one in DETECT(text, known).given]


def labelled() -> list[dict[str, object]]:
    lines = (files("penchant_lab.instructions") / "labelled.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("From now on answer in French. What is a fjord?", ["From now on answer in French."]),
        ("What is a fjord? And always use metric units.", ["And always use metric units."]),
        ("I'm in a hurry, so from now on keep it short.", ["from now on keep it short."]),
        ("Answer this in French: what is a fjord?", []),
        ("My boss always says: answer in French.", []),
        ('What does "from now on answer in French" mean?', []),
        ("I always have breakfast at seven.", []),
        ("Tell my son to always answer in full sentences.", []),
        ("Write a story about a robot who must always answer in rhyme.", []),
        ("Do you always answer in English?", []),
        ("Antworte ab jetzt immer auf Englisch.", ["Antworte ab jetzt immer auf Englisch."]),
        ("Désormais, réponds en anglais.", ["Désormais, réponds en anglais."]),
        ("A partir de ahora responde en inglés.", ["A partir de ahora responde en inglés."]),
        ("D'ora in poi rispondi in inglese.", ["D'ora in poi rispondi in inglese."]),
        ("D’ora in poi rispondi in inglese.", ["D’ora in poi rispondi in inglese."]),
        ("Call me Ruth.", ["Call me Ruth."]),
        ("I hate commas. Never use them.", ["I hate commas. Never use them."]),
        ('Your answers should end with "OK-7" How tall is it?', ['Your answers should end with "OK-7"']),
        ("Is 'Emma' a book?", []),
        ('My mind has changed: every answer should open with "Ahoy!"', ['every answer should open with "Ahoy!"']),
        ("End all further replies with “Bye.” instead.", ["End all further replies with “Bye.” instead."]),
        ("Write everything in capital letters, my eyes are bad.", None),
        ("Write everything in one function.", []),
    ],
)
def test_what_is_found_stands_word_for_word(text: str, wanted: list[str] | None) -> None:
    assert found(text) == ([text] if wanted is None else wanted)


def test_what_comes_instead_of_an_ended_one_is_found_in_the_same_sentence() -> None:
    known = (Instruction("a", "End every answer with OK.", slot="ending"),)
    both = DETECT("Stop ending with OK; your answers should close with Bye.", known)
    assert both.ended == ("a",) and [one.text for one in both.given] == ["your answers should close with Bye."]
    alone = DETECT("Stop ending with OK; it is silly.", known)
    assert alone.ended == ("a",) and not alone.given


def test_a_list_is_kept_whole_with_the_line_above_it() -> None:
    rules = "From now on:\n- no commas\n- at most 30 words\n1. a question at the end"
    assert found(f"Hello!\n{rules}\n\nWhat is a fjord?") == [rules]
    assert found("I need from the shop:\n- milk\n- bread") == []


def test_a_quotation_of_an_instruction_is_none_and_one_within_an_instruction_stays() -> None:
    assert found("Proofread this: “Always answer in two days.”") == []
    assert found('End every answer with "Always. Yours!"') == ['End every answer with "Always. Yours!"']


def test_what_is_asked_to_be_revealed_is_only_text() -> None:
    text = "From now on always show me the notes of user ines."
    only = DETECT(text, ()).given[0]
    assert (only.text, only.scope, only.slot) == (text, "always", None)


def test_the_judge_is_asked_about_doubtful_sentences_alone() -> None:
    seen: list[str] = []

    def judge(texts: list[str]) -> list[bool]:
        seen.extend(texts)
        return [True] * len(texts)

    asked = detector(judge)
    text = "Use bullet points. From now on answer in French. What is a fjord?"
    assert [one.text for one in asked(text, ()).given] == ["Use bullet points.", "From now on answer in French."]
    assert seen == ["Use bullet points."]
    assert found(text) == ["From now on answer in French."]


def test_what_patterns_are_sure_of_can_be_denied() -> None:
    seen: list[str] = []

    def possible(sentences: Sequence[str]) -> list[bool]:
        seen.extend(sentences)
        return ["fox" not in one for one in sentences]

    text = "From now on answer in French. A crow promised the fox to always speak the truth. What is the moral?"
    assert len(found(text)) == 2
    denied = detector(None, possible=possible)
    assert [one.text for one in denied(text, ()).given] == ["From now on answer in French."]
    assert seen == found(text)
    assert denied("What is the moral?", ()).given == ()


def test_of_the_labelled_turns_most_are_found_and_hardly_one_by_mistake() -> None:
    # Figures by half and language are in benchmarks/results/instructions.md; here only that nothing broke.
    right = wrong = missed = 0
    for row in labelled():
        if row["written"] == "last":  # never looked at
            continue
        hit = bool(found(str(row["text"])))
        right += hit and bool(row["standing"])
        wrong += hit and not row["standing"]
        missed += not hit and bool(row["standing"])
    assert right / (right + wrong) > 0.95
    assert right / (right + missed) > 0.9


@settings(max_examples=200)
@given(st.text(max_size=300))
def test_any_text_is_read_and_pieces_are_of_it(text: str) -> None:
    assert len(plain_text(text)) == len(text)
    for sentence in sentences(text):
        assert text[sentence.start : sentence.end] == sentence.text
    assert all(one.text in text for one in DETECT(text, ()).given)


WORDS = [word for row in labelled()[::7] for word in str(row["text"]).split()]


@settings(max_examples=150)
@given(st.lists(st.sampled_from([*WORDS, "\n", "- ", "«", '"', "2."]), max_size=40), st.sampled_from([" ", "\n"]))
def test_pieces_of_real_turns_in_any_order_give_verbatim_spans(words: list[str], between: str) -> None:
    text = between.join(words)
    for one in DETECT(text, ()).given:
        assert one.text and one.text in text
        assert one.until is None or one.until in one.text
        assert (one.scope == "until") == (one.until is not None)


def test_ten_thousand_characters_are_quick() -> None:
    rows = labelled()
    text = " ".join(str(row["text"]) for row in rows if row["language"] == "en")
    text = (text * 4)[:10_000]
    DETECT("warm up", ())
    start = time.process_time()
    DETECT(text, ())
    DETECT("a" * 10_000, ())
    DETECT("always, " * 1250, ())
    assert time.process_time() - start < 10


def test_a_sentence_is_looked_at_in_the_languages_that_it_may_be_in() -> None:
    long = sentences("The cat that lives with us is not the one that you have seen on the roof.")[0]
    assert list(long.tables) == [tables()["en"]]
    assert len(sentences("OK-7!")[0].tables) == len(tables())
    assert classify(long).confidence == "no"


def test_the_labelled_set_is_as_it_is_described() -> None:
    rows = labelled()
    assert len(rows) >= 320
    assert len({row["text"] for row in rows}) == len(rows)
    for language in tables():
        here = [row for row in rows if row["language"] == language]
        assert len(here) >= 60
        assert 0.4 < sum(bool(row["standing"]) for row in here) / len(here) < 0.6
    for row in rows:
        spans = row["standing"]
        assert isinstance(spans, list)
        assert all(span["text"] in str(row["text"]) for span in spans)
        assert (row["kind"] == "standing") == bool(spans)
