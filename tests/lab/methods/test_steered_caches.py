"""What steering methods of the bench keep, and what they make anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from penchant.history.records import History
from penchant.inference.intervention import Intervention
from penchant_lab.bench.items import Item
from penchant_lab.methods import steered
from penchant_lab.tasks.task import Task
from tests.families import tiny
from tests.lab.methods.steered_cases import (
    SEEDED,
    TASK,
    TUNE,
    ask,
    method,
    read,
    same,
    shared,
    traced,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick")]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often settings were fitted and answers generated."""
    from penchant.steering.data import contrast_generation

    made = {"settings": 0, "answers": 0}
    fit, generate = steered.fit_config, contrast_generation.generate

    def fitting(*args: object, **options: object) -> object:
        made["settings"] += 1
        return fit(*args, **options)  # type: ignore[arg-type]

    def generating(loaded: object, starts: Sequence[object], *more: object) -> object:
        made["answers"] += len(starts)
        return generate(loaded, starts, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(steered, "fit_config", fitting)
    monkeypatch.setattr(contrast_generation, "generate", generating)
    return made


@pytest.mark.parametrize("task", [TASK, SEEDED], ids=["same texts", "texts by seed"])
def test_a_second_run_makes_nothing_anew(
    task: Task, tmp_path: Path, counted: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steered, "FIT_USERS", 2)

    def run(cache: Path) -> list[Intervention | None]:
        steering = shared(cache, (0, 1), task)
        found = []
        for name in ("caa", "user-mean"):  # as the bench does: all seeds of one method, then the next
            for seed in (0, 1):
                found += [ask(method(name, steering), item, seed).intervention for item in steering.items[seed][:2]]
        return found

    first = run(tmp_path / "one")
    made = dict(counted)
    assert made["settings"] == 2 and made["answers"] > 0
    assert all(map(same, run(tmp_path / "one"), first))
    assert counted == made
    again = run(tmp_path / "two")  # elsewhere everything is made again, and comes out the same
    assert all(map(same, again, first))
    assert counted == {name: 2 * count for name, count in made.items()}
    assert any(one is not None for one in first)


def test_a_config_depends_on_what_it_was_fitted_on(tmp_path: Path, counted: dict[str, int]) -> None:
    shared(tmp_path).config("ascent")

    def changed(path: Path, seed: int) -> list[Item]:
        """Another text under the same id."""
        items = read(path, seed)
        for place, item in enumerate(items):
            if item.user == TUNE[1]:
                first = replace(item.history.records[0], reply="quite another one")
                items[place] = replace(item, history=History([first, *item.history.records[1:]], item.user))
        return items

    shared(tmp_path, task=replace(TASK, read=changed)).config("ascent")
    assert counted["settings"] == 2
    shared(tmp_path, task=replace(TASK, name="other")).config("ascent")
    assert counted["settings"] == 3
    shared(tmp_path).config("ascent")
    assert counted["settings"] == 3
    second = shared(tmp_path)
    second.loaded = tiny("qwen3", layers=3)
    second.config("ascent")
    assert counted["settings"] == 4


def test_contrasts_of_another_seed_are_others(tmp_path: Path, counted: dict[str, int]) -> None:
    steering = shared(tmp_path)
    history = steering.items[0][0].history
    first, second = (steering.samples("caa", history, seed) for seed in (0, 1))
    assert {one.donors for one in first} != {one.donors for one in second}  # type: ignore[union-attr]
    assert {one.record for one in first} <= {record.id for record in history}
    banks = [steering.bank("caa", history, seed)[0] for seed in (0, 1)]
    assert banks[0] is not None and banks[1] is not None and banks[0].rows != banks[1].rows
    made = counted["answers"]
    assert steering.samples("caa", history, 0) == first and counted["answers"] == made


def test_a_user_of_another_task_is_another_one(tmp_path: Path, counted: dict[str, int]) -> None:
    """LaMP's tasks number users and records alike: what one task keeps, the other must not take away."""
    one, two = (
        shared(tmp_path),
        shared(tmp_path, task=replace(TASK, name="others", read=lambda path, seed: read(path, 1))),
    )
    for steering in (one, two):
        steering.samples("caa", steering.items[0][0].history, 0)
    made = counted["answers"]
    one.samples("caa", one.items[0][0].history, 0)
    assert counted["answers"] == made


@pytest.mark.usefixtures("trusted")
def test_another_seed_of_a_task_that_draws_has_its_own_bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = traced(monkeypatch)
    steering = shared(tmp_path, task=SEEDED)
    wanted = []
    for seed in (0, 1):
        item = steering.items[seed][0]
        ask(method("ascent", steering), item, seed)
        wanted.append([row.contrast for row in used.pop().rows])
    assert wanted[0] != wanted[1]
    unseeded = shared(tmp_path)
    first = unseeded.bank("ascent", unseeded.items[0][0].history, 0)
    assert unseeded.bank("ascent", unseeded.items[1][0].history, 1) is first
