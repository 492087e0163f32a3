"""Others' words: found in every form, and the user's own words around them left alone."""

import itertools

import pytest

from penchant.conversation.attribution import mostly_others, others_words, overlaps
from penchant.conversation.attribution.languages import PHRASES, cues, languages
from penchant.conversation.facts import statements
from penchant.conversation.instructions.patterns import patterns
from penchant_lab.attribution.__main__ import measure, rows

LETTER = (
    "Here is an applicant's letter. Dear Sir or Madam, My name is Carl Weiss. I live in Bonn. "
    "Yours faithfully, Carl Weiss"
)


def marked(text: str) -> list[str]:
    return [text[one.start : one.end].strip() for one in others_words(text)]


@pytest.mark.parametrize(
    ("text", "kind", "others"),
    [
        ("Anna: I live in Rome.", "speaker", "I live in Rome."),
        ("[10:02] Dr. Ann Lee: I live in Rome.\nWho is that?", "speaker", "I live in Rome."),
        ('My boss said "I live in Rome" today.', "quoted", '"I live in Rome"'),
        ("> I live in Rome.\n\nHow do I answer?", "quoted", "> I live in Rome."),
        ("Why? ```\n# I live in Rome\n``` I'm new here.", "code", "```\n# I live in Rome\n```"),
        ("Translate into French: I live in Rome.", "pasted", "I live in Rome."),
        ("My sister said: I live in Rome. What now?", "pasted", "I live in Rome."),
        ("Ich habe geträumt, dass ich in Rom wohne. Und?", "imagined", "ich in Rom wohne."),
        ("Imagina que vivo en Roma. ¿Qué como?", "imagined", "vivo en Roma."),
        ("Chapter one. My name is Elara.\n\nI live in Rome.", "imagined", "My name is Elara.\n\nI live in Rome."),
        ("# Prolog\nIch heiße Bruno. Ich wohne in Rom.", "imagined", "Ich heiße Bruno. Ich wohne in Rom."),
        ("Let's play a game of pretend: I'm a duke and I live in Rome.", "imagined", "I'm a duke and I live in Rome."),
        ("You are the king and I am a knight. I live in Rome.", "imagined", "I am a knight. I live in Rome."),
    ],
)
def test_each_kind_of_others_words_is_found(text: str, kind: str, others: str) -> None:
    assert [one.kind for one in others_words(text)] == [kind]
    assert marked(text) == [others]
    assert statements(text) == () or "Rom" not in statements(text)[0].text


@pytest.mark.parametrize(
    "text",
    [
        "Note: I live in Rome.",
        "Me: I live in Rome.",
        "Nachtrag: Ich wohne in Rom.",
        '"I live in Rome."',
        "I'm writing a novel. I live in Rome.",
        "I got a letter from my bank. I live in Rome.",
    ],
)
def test_the_users_own_words_stay(text: str) -> None:
    assert not others_words(text)


def test_a_letter_ends_with_its_signature_and_leaves_nothing() -> None:
    text = f"{LETTER}\nI live in York. Always answer in French."
    assert [one.text for one in statements(text)] == ["I live in York."]
    assert [one.text for one in patterns()(text, ()).given] == ["Always answer in French."]
    assert not statements(LETTER)


def test_a_pasted_text_goes_on_over_empty_lines_until_the_user_is_back() -> None:
    text = "Proofread this text:\n\nI live in Rome.\n\nI have a cat.\n\nBy the way, I live in York."
    assert marked(text) == ["I live in Rome.\n\nI have a cat."]
    assert marked("Proofread this: I live in Rome.\n\nI live in York.") == ["I live in Rome."]


def test_rules_in_others_words_instruct_nobody() -> None:
    text = "Review this prompt:\n\nFrom now on, always answer in rhymes.\nNever use emojis.\n\nIs it too strict?"
    assert not patterns()(text, ()).given
    (given,) = patterns()("Pretend you are a pirate from now on.", ()).given
    assert given.text == "Pretend you are a pirate from now on."


def test_spans_are_in_order_and_disjoint() -> None:
    text = 'Translate: Anna: "I live in Rome" she said.\n> cited words\nBen: `a b`'
    found = others_words(text)
    assert [one.start for one in found] == sorted(one.start for one in found)
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    assert overlaps(found, found[0].start, found[0].start + 1) and not overlaps(found, 0, 3)
    assert mostly_others(found, found[0].start, found[0].end) and not mostly_others(found, 0, len(text) * 9)


@pytest.mark.parametrize("text", ["", " \n", "Translate:", "Anna:", '"', "```", "I dreamt", "Imagine"])
def test_nothing_to_attribute(text: str) -> None:
    assert not others_words(text)


def test_every_language_file() -> None:
    assert set(languages()) == {"en", "de", "fr", "es", "it"}
    for table in languages().values():
        assert set(PHRASES) <= set(table)
    for field in PHRASES:
        assert cues()[field].search("") is None, f"{field} matches nothing at all"


def test_the_tuning_half_is_told_apart() -> None:
    figures = measure([row for row in rows() if row["part"] == "tune"])
    assert figures["precision"] > 0.95 and figures["recall"] > 0.95
    assert figures["left behind"] == {"statements": 0, "instructions": 0}


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("Chapter one is finished. I live in Bath.", "I live in Bath."),
        ("I'm writing a novel. I live in Bath.", "I live in Bath."),
        ("Let's play a role-play: I'm a pirate and I live in Tortuga.\n\nI live in Bath.", "I live in Bath."),
        ("I'm at chapter two and I live in Bath.", "I live in Bath"),
    ],
)
def test_talk_about_books_and_games_is_the_users_own(text: str, own: str) -> None:
    (found,) = [one.text for one in statements(text) if one.about == "residence"]
    assert own.rstrip(".") in found
