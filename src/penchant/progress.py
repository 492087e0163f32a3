"""How long-running work reports its progress: one signature for all of it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""A callback (step, done, total), called repeatedly. step: what is being done, in a few words ("encoding records").
done, total: counts in the unit of the step; total is None while unknown. An exception raised by the callback ends the
work.
"""


def no_progress(step: str, done: int, total: int | None) -> None:
    """Show nothing."""
