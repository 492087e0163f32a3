"""Slots, scope, and which instruction takes the place of which."""

import pytest

from penchant.conversation.instructions.patterns import patterns
from penchant.conversation.instructions.slots import conflict
from penchant.history.dialogue import Instruction

DETECT = patterns()


def read(text: str) -> Instruction:
    (only,) = DETECT(text, ()).given
    return only


@pytest.mark.parametrize(
    ("text", "scope", "until", "slot"),
    [
        ("From now on answer in French.", "always", None, "language"),
        ("From now on, in this chat, answer in French.", "conversation", None, "language"),
        ("End every answer with OK.", "conversation", None, "ending"),
        ("Call me Ruth.", "always", None, "address"),
        ("Write everything in lowercase until I say stop, please.", "until", "until I say stop", "case"),
        ("For the next three answers, use bullet points.", "until", "For the next three answers", "format"),
        ("Heute bitte nur kurze Sätze schreiben.", "conversation", None, "length"),
        ("Bis Freitag antwortest du mir auf Englisch.", "until", "Bis Freitag", "language"),
        ("Tant que je ne dis pas le contraire, sois bref.", "until", "Tant que je ne dis pas le contraire", "length"),
        ("De ahora en adelante nada de emojis.", "always", None, "emoji"),
        ("Puoi darmi del tu.", "always", None, "formality"),
        ("From now on:\n- no commas\n- capital letters", "always", None, None),
    ],
)
def test_scope_end_and_slot(text: str, scope: str, until: str | None, slot: str | None) -> None:
    one = read(text)
    assert (one.scope, one.until, one.slot) == (scope, until, slot)


@pytest.mark.parametrize(
    ("old", "new", "so"),
    [
        ("Always answer in English.", "Always answer in German.", True),
        ("Always answer in English.", "Always use metric units.", False),
        ("Never say 'basically'.", "Never use the word 'literally'.", False),
        ("Never use emojis.", "From now on use lots of emojis.", True),
        ("Never use commas.", "Never use exclamation marks.", False),
        ("Never use commas.", "From now on, use commas again.", True),
        ("Always answer in JSON.", "From now on answer in bullet points.", True),
        ("Always answer in bullet points.", "From now on put keywords in bold.", False),
        ("Whenever I send you a word, answer in French.", "From now on answer in German.", False),
        ("Always answer in German.", "Antworte ab jetzt auf Französisch.", True),
    ],
)
def test_the_newest_wins_only_where_one_can_hold(old: str, new: str, so: bool) -> None:
    assert conflict(read(new), read(old)) is so
