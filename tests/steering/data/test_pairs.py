"""Which records are a user's own pairs, and how many of them."""

from datetime import UTC, datetime, timedelta

import pytest

from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant.steering.data.pairs import first_words, own_pairs, spaced

START = datetime(2024, 1, 1, tzinfo=UTC)


def history(count=10):
    return History(
        [Record(f"input {n}", id=f"r{n}", reply=f" answer {n} ", when=START + timedelta(days=n)) for n in range(count)],
        "kim",
    )


def test_a_pair_is_a_text_with_its_reply():
    odd = [
        Record("no reply"),
        Record("", reply="no text"),
        Record("blank", reply="  "),
        Record("echo", reply=" echo\n"),
        Record("real", id="r", reply="answer", when=START),
    ]
    (pair,) = own_pairs(History(odd), task="Write a title.")
    assert (pair.request, pair.answer, pair.record, pair.when) == (
        Request("real", "Write a title."),
        "answer",
        "r",
        START,
    )


def test_the_newest_or_evenly_spread_in_time_order():
    def ids(**options):
        return [pair.record for pair in own_pairs(history(), **options)]

    assert ids() == [f"r{n}" for n in range(10)]
    assert ids(most=3) == ["r7", "r8", "r9"]
    assert ids(most=4, spread="even") == ["r0", "r3", "r6", "r9"]
    assert ids(most=1, spread="even") == ["r9"]
    assert ids(most=99, spread="even") == ids()
    assert ids(exclude={"r9", "r0"}, most=2) == ["r7", "r8"]
    assert own_pairs(history())[0].answer == "answer 0"
    for most in range(1, 11):
        places = spaced(10, most)
        assert places == sorted(set(places))
        assert len(places) == most


def test_an_input_is_cut_at_a_word():
    record = Record("one two\n three  four", reply="x")
    assert own_pairs(History([record]), words=3)[0].request.query == "one two\n three"
    assert first_words("one two", 2) == first_words(" one two ", 9) == "one two"
    assert first_words("文" * 100, 2) == "文" * 16
    assert len(first_words("https://" + "x" * 500 + " and more", 10)) == 80


def test_a_digest_is_of_what_is_read():
    base = own_pairs(History([Record("a", id="r", reply="b")]), task="t")[0]
    others = [
        own_pairs(History([Record("a", id="r", reply="c")]), task="t")[0],
        own_pairs(History([Record("c", id="r", reply="b")]), task="t")[0],
        own_pairs(History([Record("a", id="r", reply="b")]))[0],
    ]
    assert len({pair.digest for pair in [base, *others]}) == 4
    assert own_pairs(History([Record("a", id="other", reply="b")]), task="t")[0].digest == base.digest


def test_a_history_without_any_says_what_is_needed():
    with pytest.raises(
        InputError, match=r"none of the 1 records of 'kim' .* expected records with a 'text'.*'reply'"
    ) as error:
        own_pairs(History([Record("only text")], "kim"))
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="not held out"):
        own_pairs(history(1), exclude=["r0"])
    for options in ({"most": 0}, {"words": 0}):
        with pytest.raises(InputError, match="expected at least 1"):
            own_pairs(history(), **options)
