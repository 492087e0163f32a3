from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penchant.compression.budget import count_tokens
from penchant.compression.extractive import extractive, mass_kept
from penchant.compression.layout import lay_out
from penchant.errors import InputError
from penchant.history.records import History, Record, Request, Segment
from penchant.text.unicode import sanitize
from tests.compression.cases import TOKENIZERS, history_of, marks_of, pieces, tokenizer_of, whole_records

REQUEST = Request("What now?")

texts = st.one_of(
    st.text(min_size=1, max_size=60).filter(str.strip),
    st.sampled_from(
        [
            "I am allergic to peanuts. I like the sea!",
            "שלום עולם، مرحبا بالعالم",
            "👩‍👩‍👧‍👦 family 🇫🇷🇩🇪 flags é̂̃ accents",
            "日本語の文章です。とても短い。",
            "a\x00b\x1bc \ud83d half",
            "<|end|> <start_important>",
            "word " * 40,
        ]
    ),
)
whens = st.one_of(st.none(), st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)))
labels = st.sampled_from([None, 4.5, "good"])
claims = st.builds(
    lambda about, value: {"about": about, "value": value}, st.sampled_from("xy"), st.sampled_from(["a", "b", "c"])
)
records = st.one_of(
    st.builds(Record, text=texts, when=whens, label=labels),
    # What replaces one another, and stands in the text with its labels.
    st.builds(Record, text=texts, when=whens, label=labels, kind=st.just("said"), meta=claims),
)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=80, deadline=None)
@given(
    made=st.lists(records, min_size=0, max_size=12),
    budget=st.integers(1, 400),
    size=st.sampled_from([3, 17, 1000]),
    seed=st.integers(0, 2**32 - 1),
    dates=st.booleans(),
)
@example(made=[Record("😀")], budget=1, size=1000, seed=0, dates=True)
@example(made=[Record("a b c d e", when=datetime(2024, 1, 1))], budget=3, size=1000, seed=0, dates=True)
def test_never_over_budget_and_verbatim(
    name: str, *, made: list[Record], budget: int, size: int, seed: int, dates: bool
) -> None:
    tokenizer = tokenizer_of(name)
    history = History(made)
    segments = pieces(history, size)
    marks = marks_of(segments, np.random.default_rng(seed).normal(size=len(segments)).tolist())
    profile = extractive(tokenizer, dates=dates)(history, REQUEST, marks, budget)
    assert profile.tokens == count_tokens(tokenizer, profile.text) <= budget
    assert profile.budget == budget
    assert 0.0 <= profile.mass_kept <= 1.0
    assert len(profile.segments) == len(profile.scores)
    order = [(s.record, s.start) for s in profile.segments]
    assert order == sorted(order)
    for s in profile.segments:
        assert history[s.record].body[s.start : s.end] == s.text
        assert sanitize(s.text.strip()) in profile.text
    # Nothing in the text but what was taken, days, labels and gaps.
    assert profile.text in {lay_out(history, profile.segments, dates=d) for d in (True, False)}
    if profile.segments == segments:
        assert profile.mass_kept == pytest.approx(1.0)
    elif count_tokens(tokenizer, lay_out(history, segments, dates=False)) <= budget:
        pytest.fail("the whole history fits but was not given")


@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_budget_of_one_history(name: str) -> None:
    tokenizer = tokenizer_of(name)
    history = history_of(*(f"the sea walk number {i} was a long one, {'very ' * (i % 5)}long." for i in range(12)))
    marks = marks_of(whole_records(history), [float(i * 7 % 12) for i in range(12)])
    compress = extractive(tokenizer)
    whole = count_tokens(tokenizer, lay_out(history, marks.segments))
    for budget in range(1, whole + 1, 1 if whole < 400 else 7):
        profile = compress(history, REQUEST, marks, budget)
        assert 0 < profile.tokens <= budget
    assert compress(history, REQUEST, marks, whole).text == lay_out(history, marks.segments)
    assert compress(history, REQUEST, marks, 10**9).text == lay_out(history, marks.segments)


def test_the_budget_is_filled() -> None:
    tokenizer = tokenizer_of("bytes")
    rng = np.random.default_rng(0)
    words = ["sea", "walk", "peanut", "letter", "film", "report", "cooking", "Tuesday", "ten", "short"]
    history = history_of(*(" ".join(rng.choice(words, rng.integers(3, 15))) + "." for _ in range(300)))
    marks = marks_of(whole_records(history), rng.normal(size=300).tolist())
    for dates, least in ((True, 0.93), (False, 0.97)):
        compress = extractive(tokenizer, dates=dates)
        used = [compress(history, REQUEST, marks, b).tokens / b for b in (300, 500, 800, 1500, 3000)]
        assert min(used) > least
        assert np.mean(used) > 0.97


def test_the_best_marks_go_first() -> None:
    tokenizer = tokenizer_of("bytes")
    history = history_of(*(f"record {i} about the sea" for i in range(30)), dated=False)
    scores = [0.0] * 30
    scores[4], scores[20] = 5.0, 4.0
    profile = extractive(tokenizer)(history, REQUEST, marks_of(whole_records(history), scores), 45)
    assert {4, 20} <= {s.record for s in profile.segments}
    assert profile.mass_kept == pytest.approx(1.0)
    assert profile.text.index("record 4 ") < profile.text.index("record 20 ")
    assert profile.marker == "given"
    assert profile.compressor == "extractive"
    assert not profile.fallback
    assert set(profile.seconds) == {"mark", "compress"}
    assert profile.history_tokens == sum(count_tokens(tokenizer, r.body) for r in history)


def test_a_best_segment_that_is_too_long_is_cut_between_words() -> None:
    tokenizer = tokenizer_of("bytes")
    history = history_of("I am allergic to peanuts and I like long walks by the sea. " * 20, *["no."] * 30, dated=False)
    marks = marks_of(whole_records(history), [9.0] + [0.0] * 30)
    profile = extractive(tokenizer)(history, REQUEST, marks, 40)
    (cut,) = profile.segments
    assert cut.record == 0
    assert history[0].body.startswith(cut.text)
    assert history[0].body[cut.end].isspace()
    assert 30 <= profile.tokens <= 40
    assert 0 < profile.mass_kept < 1


def test_a_cut_never_splits_what_a_reader_sees_as_one_character() -> None:
    family = "👩‍👩‍👧‍👦"
    tokenizer = tokenizer_of("bytes")
    history = history_of(family * 30, dated=False)
    marks = marks_of(whole_records(history), [1.0])
    one = count_tokens(tokenizer, family)
    for budget in (one, one + 3, 2 * one - 1, 3 * one + 5):
        profile = extractive(tokenizer)(history, REQUEST, marks, budget)
        assert profile.text == family * (budget // one)


def test_days_give_way_when_they_alone_are_too_much() -> None:
    tokenizer = tokenizer_of("bytes")
    history = history_of("the sea", "a walk")
    marks = marks_of(whole_records(history), [1.0, 0.5])
    bare = count_tokens(tokenizer, "the sea\na walk")
    assert extractive(tokenizer)(history, REQUEST, marks, bare).text == "the sea\na walk"
    assert extractive(tokenizer)(history, REQUEST, marks, bare + 60).text.startswith("1 March 2024:\nthe sea\n2 March")


def test_many_segments_are_not_all_tokenised() -> None:
    class Counting:
        def __init__(self) -> None:
            self.characters = 0

        def __call__(self, text: str | list[str], **options: object) -> object:
            self.characters += len(text) if isinstance(text, str) else sum(map(len, text))
            return tokenizer_of("bytes")(text, **options)

    tokenizer = Counting()
    history = History([Record(f"record number {i} by the sea", id=str(i)) for i in range(20_000)])
    marks = marks_of(whole_records(history), np.random.default_rng(1).normal(size=20_000).tolist())
    compress = extractive(tokenizer, history_tokens=lambda h: 400_000)
    profile = compress(history, REQUEST, marks, 200)
    assert profile.history_tokens == 400_000
    assert 190 <= profile.tokens <= 200
    assert tokenizer.characters < 20_000


def test_a_huge_record_is_cut_quickly() -> None:
    tokenizer = tokenizer_of("bytes")
    history = history_of("sea walk " * 12_000, dated=False)
    profile = extractive(tokenizer)(history, REQUEST, marks_of(whole_records(history), [1.0]), 50)
    assert 45 <= profile.tokens <= 50
    assert profile.seconds["compress"] < 5


def test_empty_history_and_bad_input() -> None:
    tokenizer = tokenizer_of("bytes")
    empty = extractive(tokenizer)(History([]), REQUEST, marks_of((), []), 10)
    assert (empty.text, empty.tokens, empty.history_tokens, empty.segments) == ("", 0, 0, ())
    history = history_of("the sea")
    with pytest.raises(InputError, match="at least 1"):
        extractive(tokenizer)(history, REQUEST, marks_of(whole_records(history), [1.0]), 0)
    with pytest.raises(InputError, match="another history"):
        extractive(tokenizer)(history, REQUEST, marks_of([Segment(0, "0", 0, 3, "dry")], [1.0]), 5)


def test_mass_kept_counts_positive_marks_only() -> None:
    history = history_of("abcd", "efgh", "ijkl", dated=False)
    segments = whole_records(history)
    marks = marks_of(segments, [3.0, -5.0, 1.0])
    assert mass_kept(marks, [0]) == pytest.approx(0.75)
    assert mass_kept(marks, [0, 1, 2]) == pytest.approx(1.0)
    assert mass_kept(marks, [1]) == 0.0
    half = Segment(0, "0", 0, 2, "ab")
    assert mass_kept(marks, [0], [half]) == pytest.approx(0.375)
    hopeless = marks_of(segments, [-1.0, -1.0, -1.0])
    assert (mass_kept(hopeless, [0]), mass_kept(hopeless, [0, 1, 2])) == (0.0, 1.0)


def test_equal_days_in_other_zones_are_one_day() -> None:
    when = datetime(2024, 3, 1, 23, tzinfo=UTC)
    history = History([Record("a", when=when), Record("b", when=when.replace(tzinfo=None))])
    text = extractive(tokenizer_of("bytes"))(history, REQUEST, marks_of(whole_records(history), [1, 1]), 99).text
    assert text == "1 March 2024:\na\nb"
