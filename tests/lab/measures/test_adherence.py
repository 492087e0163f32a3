"""Every check passes what complies and fails what doesn't."""

import pytest

from penchant.errors import InputError
from penchant_lab.measures.adherence import CHECKS, LANGUAGES, Check

CASES: list[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = [
    ("end", ("OK-7",), ("It rains. OK-7", 'It rains. ok-7"', "OK-7\n"), ("OK-7 it rains.", "It rains. OK-7.", "")),
    ("start", ("Ahoy!",), ("Ahoy! It rains.", '"ahoy! It rains."'), ("Well, Ahoy! It rains.", "Ahoy it rains")),
    ("start-emoji", ("🌟",), ("🌟 Yes.", "🌟"), ("Yes 🌟", "🔥 Yes.")),
    ("start-emoji", (), ("🔥 Yes.",), ("Yes 🔥", "! Yes")),
    ("mention", ("Captain", "tea"), ("Tea, captain?",), ("Captains like tea.", "Captain.")),
    ("mention", ("Dr. Bloom",), ("Yes, Dr. Bloom.",), ("Yes, Dr. Bloomer.", "Yes, Dr, Bloom")),
    ("words", ("at most", "3"), ("one two-three four's",), ("one two three four", "...")),
    ("words", ("at least", "2"), ("one two",), ("one",)),
    ("sentences", ("exactly", "2"), ("It is 3.5 m. Good!", "Ja.\nNein", "是。不是。"), ("One.", "A. B. C.")),
    ("sentences", ("at most", "2"), ("One.", 'He said "No." Then he left.'), ("A? B! C.",)),
    ("bullets", ("exactly", "2"), ("Here:\n* one\n- two",), ("* one", "* a\n* b\n* c", "a * b - c")),
    ("placeholders", ("at least", "2"), ("[name] of [place name]",), ("[name] only", "[] and ()")),
    ("upper", (), ("ALL 4 OF IT.",), ("ALL of it.", "123")),
    ("lower", (), ("all 4 of it.",), ("All of it.", "123")),
    ("no-comma", (), ("one; two",), ("one, two", "一，二", "واحد، اثنان")),
    ("json", (), ('{"a": 1}', "```json\n[1, 2]\n```"), ("{a: 1}", '"text"', "3", 'Here: {"a": 1}')),
    ("two", (), ("One.\n******\nTwo.",), ("One.******One.", "One. ****** ", "A ****** B ****** C", "One. ***** Two.")),
    ("one-of", ("My answer is yes.", "My answer is no."), ("my answer is no.",), ("No.", "My answer is maybe.")),
    ("language", ("de",), ("Das ist ein guter Tag für die Katze.",), ("This is a good day for the cat.", "Katze Hund")),
    ("language", ("en",), ("This is a good day for the cat.",), ("Das ist ein guter Tag.", "Это хороший день")),
    ("language", ("fr",), ("Le chat est dans la maison avec nous.",), ("El gato es de la casa y no del mar.",)),
    ("language", ("es",), ("El gato es de la casa y no del mar.",), ("Il gatto è della casa e non più mio.",)),
    ("language", ("it",), ("Il gatto è della casa e non più mio.",), ("O gato não é da casa mas do mar.",)),
    ("language", ("pt",), ("O gato não é da casa mas do mar.",), ("Le chat est dans la maison.",)),
    ("language", ("ru",), ("Это хороший день.",), ("This is a good day.", "Это all of it is English now.")),
    ("language", ("zh",), ("今天天气很好。",), ("It is a good day.",)),
    ("language", ("ar",), ("الطقس جميل اليوم",), ("It is a good day.",)),
    ("language", ("hi",), ("आज मौसम अच्छा है",), ("It is a good day.",)),
]


@pytest.mark.parametrize(("kind", "words", "good", "bad"), CASES)
def test_a_check_passes_what_complies_alone(
    kind: str, words: tuple[str, ...], good: tuple[str, ...], bad: tuple[str, ...]
) -> None:
    check = Check(kind, words)
    assert [text for text in good if not check.holds(text)] == []
    assert [text for text in (*bad, "", " \n") if check.holds(text)] == []


def test_every_kind_and_language_has_a_case() -> None:
    assert {kind for kind, *_ in CASES} == CHECKS.keys()
    assert {words[0] for kind, words, *_ in CASES if kind == "language"} == LANGUAGES.keys()


@pytest.mark.parametrize(
    ("kind", "words"), [("rhyme", ()), ("end", ()), ("words", ("about", "3")), ("bullets", ("exactly", "two")),
                        ("language", ("tlh",)), ("one-of", ()), ("mention", ())]
)  # fmt: skip
def test_a_check_that_cant_be_made_says_so(kind: str, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=f"check '{kind}'"):
        Check(kind, words)
