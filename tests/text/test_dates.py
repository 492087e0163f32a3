from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.text.dates import asks_for_time, time_expressions
from penchant.text.dates.languages import PHRASES, PREFIXES, languages

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)  # a Wednesday


def found(text: str, now: datetime = NOW) -> list[str]:
    """Each date as "first day..day after the last", or as its order."""
    return [
        one.order or f"{one.start.date() if one.start else ''}..{one.end.date() if one.end else ''}"
        for one in time_expressions(text, now)
    ]


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("What did I do on 5 March 2026?", ["2026-03-05..2026-03-06"]),
        ("What did I do on March 5th?", ["2026-03-05..2026-03-06"]),
        ("What did I do on December 5th?", ["2025-12-05..2025-12-06"]),
        ("What did I do last week?", ["2026-05-11..2026-05-18"]),
        ("What did I do in spring 2024?", ["2024-03-01..2024-06-01"]),
        ("What did I do last summer?", ["2025-06-01..2025-09-01"]),
        ("Where was I in the winter of 2024?", ["2023-12-01..2024-03-01", "2024-12-01..2025-03-01"]),
        ("What did I cook between March and May 2025?", ["2025-03-01..2025-06-01"]),
        ("What did I cook from November to February 2025?", ["2024-11-01..2025-03-01"]),
        ("What have I bought since 2024?", ["2024-01-01.."]),
        ("Where did I live before March 2019?", ["..2019-03-01"]),
        ("How many races had I run as of October 2023?", ["..2023-11-01"]),
        ("What had I finished by 5 March 2026?", ["..2026-03-06"]),
        ("Wie viele Bücher hatte ich Stand März 2024 gelesen?", ["..2024-04-01"]),
        ("Combien en avais-je en date de mars 2024 ?", ["..2024-04-01"]),
        ("¿Cuántos tenía a fecha de marzo de 2024?", ["..2024-04-01"]),
        ("Quanti ne avevo alla data del 5 marzo 2024?", ["..2024-03-06"]),
        ("What did I do two weeks before 11 August 2025?", ["2025-07-28..2025-08-12"]),
        ("Was habe ich vor zwei Wochen gemacht?", ["2026-05-04..2026-05-11"]),
        ("Wo war ich am 5. März 2026?", ["2026-03-05..2026-03-06"]),
        ("Qu'ai-je fait la semaine dernière ?", ["2026-05-11..2026-05-18"]),
        ("¿Dónde estuve hace dos semanas?", ["2026-05-04..2026-05-11"]),
        ("Che cosa ho fatto la settimana scorsa?", ["2026-05-11..2026-05-18"]),
        ("What did I buy most recently?", ["last"]),
        ("What did I tell you first of all?", ["first"]),
        ("What did I do in March 2025 and on 4 May 2025?", ["2025-03-01..2025-04-01", "2025-05-04..2025-05-05"]),
    ],
)
def test_dates(text: str, dates: list[str]) -> None:
    assert found(text) == dates


@pytest.mark.parametrize(
    "text",
    [
        "May I ask something?",
        "You may be right, and I had to march on.",
        "How do I march on Rome?",
        "Who came second?",
        "Did I say that the top 5 may include cats?",
        "First of all, who is my dentist?",
        "Was June at the party with April?",
        "Write 2000 words.",
        "Write it in 2000 words.",
        "I have a trip in May. What should I pack?",
        "What is due on 5 June 2030?",
        "Who was the book by?",
        "¿Qué regalo tengo para Marzo, mi perro?",
        "Was mache ich nächste Woche?",
        "Wie heißt mein zweiter Hund, der August?",
        "Comment s'appelle mon second chat ?",
        "",
        "日本に住んでいます。",
    ],
)
def test_what_is_no_date_in_the_past(text: str) -> None:
    assert found(text) == []


def test_words_and_moments() -> None:
    (one,) = time_expressions("Who did I meet since 1 April 2026, and where?", NOW)
    assert (one.text, one.start, one.end, one.order) == (
        "since 1 April 2026",
        datetime(2026, 4, 1, tzinfo=UTC),
        None,
        None,
    )
    assert str(one) == "“since 1 April 2026” (from 2026-04-01)"
    late = datetime(2026, 5, 20, 23, tzinfo=timezone(timedelta(hours=-5)))  # already Thursday in UTC
    assert found("What did I say yesterday?", late) == ["2026-05-20..2026-05-21"]
    assert found("What did I say yesterday?", NOW.replace(tzinfo=None)) == ["2026-05-19..2026-05-20"]


def test_a_long_text_is_not_searched() -> None:
    assert found("What did I do last week? " + "x" * 2000) == []


def test_a_language_that_is_told() -> None:
    assert [one.text for one in time_expressions("in 2024", NOW, language="de")] == ["2024"]
    assert time_expressions("la semana pasada", NOW, language="de") == ()


@pytest.mark.parametrize("code", sorted(languages()))
def test_a_language_file_is_as_it_should_be(code: str) -> None:
    language = languages()[code]
    assert set(language.data["season"]) == {"spring", "summer", "autumn", "winter"}
    assert set(language.data["units"]) == {"day", "week", "month", "year"}
    assert len(language.data["weekdays"]) == 7 and len(language.data["months"]) >= 12
    for name in PHRASES:
        assert not any(one.search("") for one in language.phrases(name)), f"{name} matches nothing at all"
    for name in PREFIXES:
        assert not language.ends(name).search(""), name
    for month in language.data["months"][:12]:
        (one,) = time_expressions(f"5 {month} 2025" if code != "es" else f"5 de {month} de 2025", NOW, language=code)
        assert one.start is not None and one.start.day in (1, 5) and one.start.year == 2025


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(["on", "5", "May", "2024", "last", "week", "vor", "zwei", "Wochen", "?", ",", "ayer", "since",
                         "between", "and", "31", "February", "été", "\ud83d", "’", "ago", "99999", "2026-02-31",
                         "did"]),
        max_size=9,
    ).map(" ".join)
)  # fmt: skip
def test_any_text_gives_periods_that_have_begun(text: str) -> None:
    for one in time_expressions(text, NOW):
        assert one.text and (one.order or one.start or one.end)
        assert one.start is None or one.start <= NOW
        assert one.start is None or one.end is None or one.start < one.end
        str(one)


@pytest.mark.parametrize(
    "text",
    [
        "When was the piano tuned?", "Which year did I move?", "What did I cook last week?",
        "How long have I had the cat?",
        "What did I do on 5 March 2026?", "Wann war ich beim Arzt?", "Seit wann spiele ich Cello?",
        "Quand ai-je vu Paul ?",
        "¿Cuándo compré el coche?", "In che anno ho traslocato?", "私はいつ引っ越しましたか。",
    ],
)  # fmt: skip
def test_requests_about_a_time(text: str) -> None:
    assert asks_for_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "Who is my dentist?", "What should I cook for Nora?", "Write a reply to my landlord.", "Wer ist mein Zahnarzt?",
        "Où habite ma soeur ?", "¿Quién es mi dentista?", "Dove abita la zia?",
    ],
)  # fmt: skip
def test_requests_about_no_time(text: str) -> None:
    assert not asks_for_time(text)
