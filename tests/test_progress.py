"""Long calls report their progress, all in the same way."""

import inspect
import typing
from collections.abc import Callable
from typing import Any

import pytest

from penchant import AsyncPersonalizer, Personalizer
from penchant.index.attention import AttentionIndex
from penchant.index.discovery import discover
from penchant.inference.likelihood import losses
from penchant.marking.fusion_weights import fit_fusion
from penchant.progress import Progress
from penchant.steering.data.contrast_generation import generate_contrasts
from penchant.steering.fit.trainer import FitOptions, fit_user
from tests.index.cases import calibration_of, history_of, lens_of, texts
from tests.test_typed_options import public_calls

LONG: tuple[Callable[..., Any], ...] = (
    Personalizer.__init__,
    Personalizer.compress_many,
    Personalizer.ask_many,
    AsyncPersonalizer.compress_many,
    AsyncPersonalizer.ask_many,
    AttentionIndex.sync,
    discover,
    fit_fusion,
    fit_user,
    generate_contrasts,
    losses,
)


@pytest.mark.parametrize("call", LONG, ids=lambda call: call.__qualname__)
def test_long_calls_take_a_callback(call: Callable[..., Any]) -> None:
    assert "progress" in inspect.signature(call).parameters


def test_there_is_one_signature() -> None:
    taken = {
        name: str(parameter.annotation)
        for name, call in public_calls()
        for parameter in inspect.signature(call).parameters.values()
        if parameter.name == "progress"
    }
    assert len(taken) >= len(LONG)
    for name, annotation in taken.items():
        assert annotation in ("Progress", str(Progress)), name
    assert typing.get_type_hints(FitOptions)["progress"] == Progress


def test_every_step_counts_up_to_its_total() -> None:
    told: list[tuple[str, int, int | None]] = []

    def progress(step: str, done: int, total: int | None) -> None:
        told.append((step, done, total))

    lens = lens_of()
    options: dict[str, Any] = {"marker": "attention", "calibration": calibration_of(lens)}
    with Personalizer(lens.loaded, progress=progress, **options) as personalizer:
        asked = [(history_of(texts(4), user=name), "Where do I walk?") for name in ("ann", "bea")]
        personalizer.compress_many(asked, 60, progress=progress)
        personalizer.ask_many(asked, budget=60, max_tokens=2, progress=progress)
    by_step: dict[str, list[tuple[int, int | None]]] = {}
    for step, done, total in told:
        by_step.setdefault(step, []).append((done, total))
    assert len(by_step) >= 3, by_step
    for step, counts in by_step.items():
        last, total = counts[-1]
        assert last == total, step
