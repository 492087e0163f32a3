"""Ending a call that waits: what may wait for long asks now and then whether it should go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Check = Callable[[], None]
"""Raises, in the waiting call, whatever is to end it."""


def _go_on() -> None:
    pass


_check: ContextVar[Check] = ContextVar("penchant_cancellation", default=_go_on)


@contextmanager
def cancelled_by(check: Check) -> Iterator[None]:
    """Let `check` end the calls within this context."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def check_cancelled() -> None:
    """Raise what the caller's `cancelled_by` raises; called several times a second by what waits for others."""
    _check.get()()
