import numpy as np
import pytest

from penchant.compression.check import check_rewriting, sentences

SEGMENTS = [
    "Caroline is allergic to peanuts since 2019.",
    "I paid 1,250 euros for the trip to Lisbon.",
    "I don't like long films.",
    "We moved on 8 May 2023, three days before the party.",
]
SOURCE = "9 May 2023:\n" + "\n".join(SEGMENTS)


def failed(text: str, weights: list[float] | None = None, **options: float) -> str | None:
    return check_rewriting(text, SOURCE, SEGMENTS, np.array(weights or [0.0] * 4), **options).failed


@pytest.mark.parametrize(
    "text",
    [
        "Caroline is allergic to peanuts.",
        "The user mentioned that the trip to Lisbon was 1250 euros.",
        "User doesn't like long films. Caroline: peanut allergic.",
        "We moved on May 8, 2023.",
        "Moved on 8 May.",
        "We moved three days before the party. Noted on 9 May 2023.",
    ],
)
def test_faithful_rewritings_pass(text: str) -> None:
    assert failed(text) is None


@pytest.mark.parametrize(
    ("text", "offender"),
    [
        ("Caroline is allergic since 2018.", "2018"),
        ("The trip was 1,251 euros.", "1,251"),
        ("The trip was 1.250 euros.", "1.250"),
        ("We moved on 9 June 2023.", "9 June 2023"),
        ("We moved on 8 May 2024.", "8 May 2024"),
        ("We moved on 2023-05-18.", "2023-05-18"),
        ("We moved four days before the party.", "four"),
    ],
)
def test_new_numbers_and_dates_fail(text: str, offender: str) -> None:
    reason = failed(text)
    assert reason is not None
    assert reason.startswith("dates or numbers")
    assert offender in reason


def test_an_invented_name_fails() -> None:
    assert failed("The trip to Paris.") == "names that are not in the history: Paris"
    assert failed("The trip with Melanie to Lisbon.") == "names that are not in the history: Melanie"
    # at the beginning of a sentence every word is capitalised: still caught, as a word
    assert failed("Melanie likes films.") == "words that are not in the history: Melanie"


def test_an_invented_word_fails() -> None:
    assert failed("Caroline is allergic to walnuts.") == "words that are not in the history: walnuts"
    many = failed("alpha beta gamma delta epsilon zeta eta")
    assert many == "words that are not in the history: alpha, beta, gamma, delta, epsilon and 2 more"


def test_a_turned_statement_fails() -> None:
    assert "denied or affirmed" in (failed("Caroline is not allergic to peanuts.") or "")
    assert "denied or affirmed" in (failed("I like long films.") or "")
    assert "denied or affirmed" in (failed("I like long films. Caroline is allergic to peanuts.") or "")


def test_too_little_of_the_marked_content_fails() -> None:
    reason = failed("The trip.", [1.0, 0.0, 0.0, 0.0])
    assert (
        reason
        == "only 0% of the marked content is kept, 30% expected: missing 'Caroline is allergic to peanuts since 2019.'"
    )
    assert failed("Caroline: peanuts.", [1.0, 0.0, 0.0, 0.0]) is None
    assert failed("Caroline: peanuts.", [1.0, 0.0, 0.0, 0.0], min_coverage=0.9) is not None
    # a low mark that is missed costs little
    assert failed("Caroline is allergic to peanuts.", [5.0, 0.5, 0.0, 0.0]) is None
    assert failed("Caroline is allergic to peanuts.", [0.5, 5.0, 0.0, 0.0]) is not None


def test_coverage_is_per_segment() -> None:
    covered = check_rewriting("Caroline is allergic to peanuts since 2019.", SOURCE, SEGMENTS, np.ones(4)).covered
    assert covered[0] == 1.0
    assert covered[1] == 0.0
    assert check_rewriting("...", SOURCE, SEGMENTS, np.zeros(4)).failed == "the rewriting holds no content word"


def test_other_languages() -> None:
    source = "Ich wohne seit 2019 in München und mag keine langen Filme. Meine Schwester lebt in Wien und ist Ärztin."
    segments = sentences(source)
    one = np.zeros(len(segments))
    assert check_rewriting("Die Schwester lebt in Wien.", source, segments, one).failed is None
    assert "Berlin" in str(check_rewriting("Die Schwester lebt in Berlin.", source, segments, one).failed)
    assert "denied" in str(check_rewriting("Ich mag lange Filme und wohne in München.", source, segments, one).failed)
    japanese = "私は2019年からピーナッツアレルギーです。東京に住んでいます。"
    assert check_rewriting("東京に住んでいます。", japanese, sentences(japanese), np.zeros(2)).failed is None
    assert check_rewriting("大阪に住んでいます。", japanese, sentences(japanese), np.zeros(2)).failed is not None
