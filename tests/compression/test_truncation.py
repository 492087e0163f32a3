"""Where a text is cut (`compression/truncation.py`)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penchant.compression.truncation import longest_fit, word_boundary


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 60))
def test_the_longest_that_fits(shortest: int, more: int, limit: int) -> None:
    longest = shortest + more
    assert longest_fit(shortest, longest, lambda end: end <= limit) == max(shortest, min(longest, limit))


def test_between_words_unless_that_costs_half() -> None:
    assert word_boundary("the sea is blue", 0, 12) == 10
    assert word_boundary("a lighthouse", 0, 9) == 9
    assert word_boundary("the sea", 0, 3) == 3


def test_inside_no_character() -> None:
    text = "\N{WOMAN}\u200d\N{ROCKET}e\u0301"
    assert word_boundary(text, 0, 2) == 1
    assert word_boundary(text, 0, 4) == 3
    assert word_boundary(text, 3, 4) == 4  # what stands alone is never cut to nothing
