"""Halves of labelled sets, and shares with their intervals."""

import pytest

from penchant_lab.measures.labelled import half_of, proportion


def test_halves_never_change_and_are_about_equal() -> None:
    assert [half_of(text) for text in ("a", "b", "I live in Rome.")] == ["test", "test", "tune"]
    assert 400 < sum(half_of(f"row {n}") == "tune" for n in range(1000)) < 600


def test_a_proportion_has_the_interval_of_wilson() -> None:
    # By hand: (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n) with p = 8/10 and z = 1.96
    assert proportion(8, 10) == pytest.approx([0.8, 0.49, 0.943], abs=1e-3)
    assert proportion(0, 0) is None
