import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.compression.budget import count_each, count_tokens, fill, history_counter, resolve_budget
from penchant.compression.registry import BUDGET_FLOOR
from penchant.errors import InputError
from penchant.history.records import History, Record
from tests.compression.cases import TOKENIZERS, history_of, tokenizer_of


@pytest.mark.parametrize(
    ("budget", "history_tokens", "expected"),
    [
        (200, 10, 200),
        ("200", 10, 200),
        (" 7 ", 0, 7),
        ("2%", 10_000, 200),
        ("1.5%", 1000, 15),
        ("2%", 10, 1),
        ("200%", 5, 10),
        ("auto", 10_000, BUDGET_FLOOR),
        ("auto", 100 * BUDGET_FLOOR, 2 * BUDGET_FLOOR),
    ],
)
def test_budget_is_resolved(budget: int | str, history_tokens: int, expected: int) -> None:
    assert resolve_budget(budget, history_tokens) == expected


@pytest.mark.parametrize("budget", [0, -3, "0", "-1", "0%", "-2%"])
def test_budget_below_one_names_the_least(budget: int | str) -> None:
    with pytest.raises(InputError, match="at least 1"):
        resolve_budget(budget, 1000)


@pytest.mark.parametrize("budget", ["", "many", "2.5", "%", "nan%", "inf%", True])
def test_budget_that_is_no_number(budget: str) -> None:
    with pytest.raises(InputError, match="expected 200, '2%'"):
        resolve_budget(budget, 1000)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_counts_leave_special_tokens_out(name: str) -> None:
    tokenizer = tokenizer_of(name)
    assert count_tokens(tokenizer, "") == 0
    text = "A walk by the sea."
    assert count_tokens(tokenizer, text) == len(tokenizer(text, add_special_tokens=False)["input_ids"]) > 0
    assert count_each(tokenizer, [text, "", "sea"]).tolist() == [count_tokens(tokenizer, t) for t in (text, "", "sea")]


def test_history_counter_counts_bodies_and_sees_changes() -> None:
    tokenizer = tokenizer_of("bytes")
    count = history_counter(tokenizer)
    history = History([Record("the sea", reply="walks"), Record("peanuts")])
    assert count(history) == count(history) == sum(count_tokens(tokenizer, r.body) for r in history)
    assert count(history_of("the sea")) == count_tokens(tokenizer, "the sea")
    short, long = (History([Record(text, id="a")], "ann") for text in ("aaaaaa", "🙂🙂🙂🙂🙂🙂"))
    assert count(short) < count(long)  # one id, one length in characters, other text
    assert count(History([])) == 0


def test_better_marks_are_not_displaced_by_many_small_ones() -> None:
    costs = [40] + [1] * 200
    marks = [5.0] + [-0.5] * 200
    assert 0 in fill(costs, marks, 50)
    # the same for a block of good ones that fill the budget almost, with chaff that would fill it exactly
    costs = [30, 30, 30] + [1] * 300
    marks = [6.0, 5.5, 5.0] + [0.0] * 300
    chosen = fill(costs, marks, 100)
    assert chosen[:3] == [0, 1, 2]
    assert len(chosen) == 13


def test_what_does_not_fit_is_skipped() -> None:
    assert fill([5, 100, 5, 4], [3.0, 2.0, 1.0, 0.0], 10) == [0, 2]


def test_the_end_is_filled_better_than_by_skipping() -> None:
    # by mark: 50 + 20 + 15 = 85, and 10 doesn't fit; trading the 15 gives a full 95
    costs = [50, 20, 15, 25, 40]
    marks = [2.0, 1.0, 0.5, 0.45, -2.0]
    assert fill(costs, marks, 95) == [0, 1, 3]


def test_ties_keep_time_order() -> None:
    assert fill([10] * 6, [1.0] * 6, 30) == [0, 1, 2]


def test_nothing_to_fill() -> None:
    assert fill([], [], 10) == []
    assert fill([3], [1.0], 0) == []
    assert fill([3], [1.0], 2) == []
    with pytest.raises(ValueError, match="2 costs for 1 marks"):
        fill([1, 2], [1.0], 5)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.floats(-5, 8, width=32)), min_size=1, max_size=40),
    st.integers(1, 200),
)
def test_fill_holds_its_promises(segments: list[tuple[int, float]], budget: int) -> None:
    costs, marks = (list(x) for x in zip(*segments, strict=True))
    chosen = fill(costs, marks, budget)
    used = sum(costs[i] for i in chosen)
    assert chosen == sorted(set(chosen))
    assert used <= budget
    assert all(costs[i] > budget - used for i in range(len(costs)) if i not in chosen)
    # The better half of what fits in the order of the marks is always in.
    order = sorted(range(len(costs)), key=lambda i: -marks[i])
    head = list(itertools.takewhile(lambda n: sum(costs[i] for i in order[: n + 1]) <= budget, range(len(order))))
    assert set(order[: (len(head) + 1) // 2]) <= set(chosen)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(3, 9), st.floats(0, 1, width=32)), min_size=3, max_size=9), st.integers(5, 30))
def test_the_last_step_is_optimal(segments: list[tuple[int, float]], budget: int) -> None:
    """Against all subsets: with a large scale all marks count alike, and no fuller choice holds the settled ones."""
    costs, marks = (list(x) for x in zip(*segments, strict=True))
    chosen = fill(costs, marks, budget, scale=1e9)
    order = np.argsort(-np.array(marks), kind="stable")
    fits = int(np.searchsorted(np.cumsum(np.array(costs)[order]), budget, side="right"))
    settled = set(order[: fits - min(4, fits // 2)].tolist())
    best = max(
        sum(costs[i] for i in subset)
        for n in range(len(costs) + 1)
        for subset in itertools.combinations(range(len(costs)), n)
        if settled <= set(subset) and sum(costs[i] for i in subset) <= budget
    )
    assert sum(costs[i] for i in chosen) == best
