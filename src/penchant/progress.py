"""How long work reports how far it is: one signature for all of it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""(step, done, total), called again and again. step: what is being done, a few words ("encoding records"). done, total:
how much of it, in whatever the step works on; None while the total is not known. An exception that it raises reaches
whoever asked for the work."""


def no_progress(step: str, done: int, total: int | None) -> None:
    """For callers that show nothing."""
