import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penchant.conversation.facts import records_of, statements, superseded
from penchant.conversation.facts.languages import FOLDER, PHRASES, languages
from penchant.history.dialogue import Turn
from penchant.history.records import History, Record
from penchant.store import Store

WHEN = datetime(2026, 5, 3, 9, tzinfo=UTC)


def texts(turn: str, **options: object) -> list[str]:
    return [one.text for one in statements(turn, **options)]  # type: ignore[arg-type]


def topic(turn: str) -> tuple[str | None, str | None, bool]:
    (one,) = statements(turn)
    return one.about, one.value, one.ended


def test_statements_stand_word_for_word_where_they_were_said() -> None:
    turn = "Hello!  I moved to Leipzig in May.\nCan you recommend a park? My dentist is Dr. Voss."
    found = statements(turn)
    assert [one.text for one in found] == ["I moved to Leipzig in May.", "My dentist is Dr. Voss."]
    assert all(turn[one.start : one.end] == one.text for one in found)


@pytest.mark.parametrize(
    "turn",
    [
        "Do I live in Berlin?",
        "I want you to answer in French from now on.",
        "I'd like a summary of this article.",
        "If I were rich I'd live in Monaco.",
        "Imagine I live in Monaco.",
        'She said "I live in Madrid and I love it".',
        "Translate: I live in Madrid. I have two sons.",
        "> I live in Madrid.",
        "```\nI live in Madrid.\n```",
        "I'm fine, thanks.",
        "I see.",
        "I don't understand your answer.",
        "Ich möchte eine Zusammenfassung.",
        "Wenn ich in Wien wohne, brauche ich dann ein Auto?",
        "Je ne comprends pas ta réponse.",
        "Si j'habitais à Nice, je nagerais.",
        "No entiendo tu respuesta.",
        "Non capisco la tua risposta.",
        "",
        " \n ",
        "日本に住んでいます。",
    ],
)
def test_what_says_nothing_about_the_user(turn: str) -> None:
    assert statements(turn) == ()


def test_a_turn_in_quotation_marks_is_the_users_own() -> None:
    assert texts('"I live in Madrid."') == ['"I live in Madrid."']
    assert texts('He wrote: "I live in Madrid."') == []


def test_the_question_behind_a_statement_is_left_out() -> None:
    assert texts("I'm vegetarian, what can I cook?") == ["I'm vegetarian"]
    assert texts("Soy vegetariana, ¿qué cocino?") == ["Soy vegetariana"]
    assert texts("Ich wohne in Ulm: was kann ich heute tun?") == ["Ich wohne in Ulm"]


def test_what_a_detector_found_is_skipped() -> None:
    turn = "I'm vegetarian. I like short answers."
    assert texts(turn) == ["I'm vegetarian.", "I like short answers."]
    at = turn.index("I like")
    assert texts(turn, skip=[(at, len(turn))]) == ["I'm vegetarian."]
    assert texts(turn, skip=[(at + 3, at + 4)]) == ["I'm vegetarian."]
    assert texts(turn, skip=[(0, 0), (at - 1, at)]) == ["I'm vegetarian.", "I like short answers."]


@pytest.mark.parametrize(
    ("turn", "about", "value"),
    [
        ("My dentist is now Dr. Voss.", "dentist", "voss"),
        ("I've changed to Dr. Voss as my dentist.", "dentist", "voss"),
        ("Mein Zahnarzt heißt jetzt Dr. Voss.", "dentist", "voss"),
        ("Ma dentiste est maintenant Mme Voss.", "dentist", "voss"),
        ("Mi dentista es ahora la doctora Voss.", "dentist", "voss"),
        ("La mia dentista è la dottoressa Voss.", "dentist", "voss"),
        ("I live in New York with my cat.", "residence", "new york"),
        ("Ich bin letztes Jahr nach Bad Homburg gezogen.", "residence", "bad homburg"),
        ("J’habite à Lyon.", "residence", "lyon"),
        ("I live in a small flat.", "residence", None),
        ("My dentist is very kind.", "dentist", None),
        ("I'm 43 years old.", "age", "43"),
        ("My dog's name is Biscuit.", "dog name", "biscuit"),
        ("My favourite film is now Playtime.", "favourite film", "playtime"),
        ("I also work at the library.", "employer", None),
        ("My sisters live in Cork.", "sister", None),
        ("I'm allergic to nuts.", "allergy", None),
    ],
)
def test_topics(turn: str, about: str, value: str | None) -> None:
    assert topic(turn) == (about, value, False)


def test_what_is_over() -> None:
    assert topic("I no longer work at the bakery.") == ("employer", "bakery", True)
    assert topic("I sold my car last week.") == ("car", None, True)
    assert topic("Ich arbeite nicht mehr bei Bosch.") == ("employer", "bosch", True)
    assert topic("Ya no vivo en Lima.") == ("residence", "lima", True)


def test_a_turn_becomes_records_with_where_they_come_from() -> None:
    turn = Turn(4, "user", "Hi. I live in Cork. I like rain.", WHEN)
    first, second = records_of(turn, "c1")
    assert (first.text, first.kind, first.when) == ("I live in Cork.", "said", WHEN)
    assert dict(first.meta) == {
        **{"conversation": "c1", "turn": 4, "start": 4, "end": 19},
        **{"about": "residence", "value": "cork", "claim": {"words": "@ cork live"}},
    }
    assert dict(second.meta) == {
        **{"conversation": "c1", "turn": 4, "start": 20, "end": 32},
        **{"claim": {"words": "@ like rain"}},
    }
    assert records_of(turn, "c1") == [first, second]
    ids = {r.id for name in ("c1", "c2") for n in (4, 5) for r in records_of(Turn(n, "user", turn.text), name)}
    assert len(ids) == 8
    assert records_of(turn, "c1", skip=[(0, 20)]) == [second]
    assert records_of(Turn(5, "assistant", turn.text, WHEN), "c1") == []


def test_adding_a_turn_twice_adds_nothing(tmp_path: Path) -> None:
    turn = Turn(0, "user", "I live in Cork. I like rain.", WHEN)
    with Store(tmp_path) as store:
        assert store.add("u", records_of(turn, "c")).added == 2
        again = store.add("u", records_of(turn, "c"))
        assert (again.added, again.unchanged) == (0, 2)
        assert [r.text for r in store.history("u")] == ["I live in Cork.", "I like rain."]


def test_what_was_said_later_and_in_another_language_replaces() -> None:
    said = [
        "I live in Cork.",
        "I like Dr. Lee. My dentist is Dr. Lee.",
        "Mi dentista es la doctora Voss.",
        "J'habite à Lyon.",
    ]
    records = [
        record
        for n, text in enumerate(said)
        for record in records_of(Turn(n, "user", text, WHEN.replace(day=n + 1)), "c")
    ]
    named = {record.id: record.text for record in records}
    found = {named[old]: named[new] for old, new in superseded(History(records)).items()}
    assert found == {"I live in Cork.": said[3], "My dentist is Dr. Lee.": said[2]}
    without = [record for record in records if record.text != said[3]]
    assert "I live in Cork." not in {named[old] for old in superseded(History(without))}


pieces = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            *(
                "I live in ",
                "Ich wohne in ",
                "J'habite à ",
                "Vivo en ",
                "Abito a ",
                "my dentist is Dr. ",
                "I'm 43",
                "I work at ",
            ),
            *(
                "Mein Chef heißt ",
                "mon chat s'appelle ",
                "mi perro se llama ",
                "\n",
                ". ",
                "? ",
                "¿",
                '"',
                "“",
                "```",
                "Dr. ",
            ),
            *("Berlin", "I ", "my ", "\ud83d", "é̂̃", "👩‍👩‍👧", "\u2028", "’", "if ", "translate this: "),
        ]
    ),
)


@settings(max_examples=150)
@example(text="I live in 0\U00012550", language=None, skip=[])
@given(
    text=st.lists(pieces, max_size=12).map("".join),
    language=st.sampled_from([None, "en", "de", "xx"]),
    skip=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=2),
)
def test_any_text_gives_spans_in_order(text: str, language: str | None, skip: list[tuple[int, int]]) -> None:
    end = 0
    for one in statements(text, language=language, skip=skip):
        assert text[one.start : one.end] == one.text == one.text.strip() != ""
        assert one.start >= end
        end = one.end
        assert all(one.end <= a or b <= one.start for a, b in skip if a < b)
        Record(one.text)
        assert one.about is None or (one.about == one.about.strip() != "" and one.about.isprintable())
        assert one.value is None or one.value.isprintable()


#: A made-up language; its file has what the docs call the least.
MADE_UP = r"""
says = ['mo (?:vivak|lubak)']
mine = ['moa (\w+) esti']
never = ['mo volak']
before = ['se', 'lo dirak']
opens = ['skrivo', 'dirak']
topics = [
    { about = "residence", says = '\bmo vivak en %value%', proper = true },
    { about = "{role}", says = '\bmoa %person% esti %value%', proper = true },
]

[persons]
dentist = ['dentor']

[examples]
says = ["Mo vivak en Cork.", "Moa domo esti granda."]
other = ["Mo volak resumo.", "Se mo vivak en Cork, mo pasak.", "Mo vivak en Cork?"]

[examples.about]
residence = "Mo vivak en Cork."
dentist = "Moa dentor esti Voss."
"""


def check(code: str) -> None:
    """What holds for every language file."""
    language = languages()[code]
    examples = language.data["examples"]
    assert len(examples["says"]) >= 2 and len(examples["other"]) >= 2 and examples["about"]
    for text in examples["says"]:
        assert texts(text) == texts(text, language=code) == [text]
    for text in examples["other"]:
        assert texts(text) == texts(text, language=code) == [], text
    for about, text in examples["about"].items():
        assert topic(text)[0] == about and topic(text)[1]
    for name in PHRASES:
        assert not language.pattern(name).search(""), f"{name} matches nothing at all"


@pytest.mark.parametrize("code", sorted(path.stem for path in FOLDER.glob("*.toml")))
def test_a_language_file_is_as_it_should_be(code: str) -> None:
    check(code)


def test_a_language_is_added_by_adding_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in FOLDER.glob("*.toml"):
        shutil.copy(path, tmp_path)
    (tmp_path / "art.toml").write_text(MADE_UP, encoding="utf-8")
    assert texts("Mo vivak en Cork.") == []
    monkeypatch.setattr("penchant.conversation.facts.languages.FOLDER", tmp_path)
    check("art")
    check("en")


@pytest.mark.parametrize("code", sorted(languages()))
def test_each_language_alone_and_told(code: str) -> None:
    said = {
        "en": "I live in Cork.",
        "de": "Ich wohne in Cork.",
        "fr": "J'habite à Cork.",
        "es": "Vivo en Cork.",
        "it": "Abito a Cork.",
    }
    for other, text in said.items():
        if {code, other} != {"es", "it"}:  # "vivo" is a word of both
            assert texts(text, language=code) == ([text] if other == code else [])
        assert [one.value for one in statements(text)] == ["cork"]


@pytest.mark.parametrize(
    "text",
    [
        "I live in " * 20_000,
        "my my my " * 20_000,
        "a" * 200_000,
        '"' * 50_000,
        "translate " * 20_000,
        "I am so, " * 20_000,
    ],
)
def test_a_huge_turn_takes_a_moment(text: str) -> None:
    began = time.perf_counter()
    statements(text)
    assert time.perf_counter() - began < 10
