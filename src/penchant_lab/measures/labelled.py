"""Labelled sets: which half a row belongs to, and shares with their intervals."""

from __future__ import annotations

import hashlib
from typing import Final, Literal

from scipy.stats import binomtest

Half = Literal["tune", "test"]
HALVES: Final[tuple[Half, Half]] = ("tune", "test")


def half_of(text: str) -> Half:
    """Return the half of a row, by a hash of its text: it is fixed when the row is written and never changes."""
    return "tune" if hashlib.sha256(text.encode()).digest()[0] % 2 else "test"


def proportion(right: int, of: int) -> list[float] | None:
    """Return [right / of, low, high] with a 95 % Wilson interval, in three decimals; None for none of none."""
    if not of:
        return None
    interval = binomtest(right, of).proportion_ci(method="wilson")
    return [round(float(figure), 3) for figure in (right / of, interval.low, interval.high)]
