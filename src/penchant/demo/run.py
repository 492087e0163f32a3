"""The demo: every step on the sample histories."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from penchant.compression.profile import Profile
from penchant.compression.registry import BUDGET_SHARE
from penchant.demo.samples import SampleRequest, sample_users
from penchant.history.records import History
from penchant.personalizer import Personalizer


@dataclass(frozen=True)
class Outcome:
    """One request: answered without and with a profile.

    cold: seconds until the profile, with indexing; warm: without. None if not measured. evidence_kept: whether the
    profile contains a segment of a record that answers the request.
    """

    user: str
    request: SampleRequest
    without: str
    answer: str
    profile: Profile
    cold: float | None
    warm: float
    evidence_kept: bool

    @property
    def right(self) -> bool:
        return self.request.answered_by(self.answer)

    @property
    def right_without(self) -> bool:
        return self.request.answered_by(self.without)


def run_demo(
    personalizer: Personalizer,
    *,
    budget: int | str = BUDGET_SHARE,
    max_tokens: int = 48,
    requests: int | None = None,
) -> Iterator[tuple[History, Outcome]]:
    """Answer the sample requests, without and with a profile; `requests` limits their number per user.

    The first request of a user is timed cold, then warm; the others warm.
    """
    for history, asked in sample_users():
        for position, request in enumerate(asked[:requests]):
            cold = None
            if position == 0:
                began = time.perf_counter()
                personalizer.compress(history, request.query, budget)
                cold = time.perf_counter() - began
            began = time.perf_counter()
            profile = personalizer.compress(history, request.query, budget)
            warm = time.perf_counter() - began
            options: dict[str, Any] = {"max_tokens": max_tokens, "temperature": 0.0}
            answer = personalizer.ask(history, request.query, budget=budget, **options)
            without = personalizer.ask(history, request.query, knowledge="none", **options)
            kept = any(segment.record_id in request.evidence for segment in profile.segments)
            yield history, Outcome(history.user, request, without.text, answer.text, profile, cold, warm, kept)
