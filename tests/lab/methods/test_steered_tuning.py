"""What steering methods of the bench are fitted on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant.history.records import History, Record
from penchant.steering.data.pairs import Donors
from penchant_lab.measures.held_out import newest_held_out
from penchant_lab.measures.leaks import leaks
from penchant_lab.methods import steered
from penchant_lab.methods.steered import Steering
from tests.lab.methods.steered_cases import (
    LOADED,
    SHARED,
    TASK,
    TEST,
    TUNE,
    shared,
)

pytestmark = pytest.mark.usefixtures("quick")


def test_tuning_users_hold_nothing_that_is_asked_and_are_asked_nothing(tmp_path: Path) -> None:
    steering = shared(tmp_path)
    questions = [item for some in steering.items.values() for item in some]
    assert SHARED.reply in [item.answer for item in questions]  # a paper of two authors
    assert list(steering.tuning) == sorted(TUNE)
    assert not {item.user for item in questions} & steering.tuning.keys()
    for user, records in steering.tuning.items():
        assert len(records) == 8 and "both" not in [record.id for record in records]
        for item in questions:
            assert leaks(replace(item, history=History(records, user))) == []


def test_users_who_are_asked_are_not_fitted_on(tmp_path: Path) -> None:
    everyone = newest_held_out(TASK.items(Path(), "all"), 2)
    some = [item for item in everyone if item.user in (*TEST, TUNE[0])]
    assert list(Steering(LOADED, TASK, Path(), {0: some}, tmp_path).tuning) == sorted(TUNE[1:])
    with pytest.raises(InputError, match="no user of the tuning part is left"):
        _ = Steering(LOADED, TASK, Path(), {0: everyone}, tmp_path).tuning


def test_at_most_so_many_tuning_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steered, "FIT_USERS", 2)
    first, again = (list(shared(tmp_path).tuning) for _ in range(2))
    assert len(first) == 2 and first == again and set(first) < set(TUNE)


@pytest.mark.parametrize("name", ["ascent", "caa"])
def test_a_config_is_fitted_on_tuning_users_alone(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = dict[str, list[str]]()

    def fit(loaded: object, which: object, samples: dict[str, list[steered.Sample]], template: object) -> object:
        seen.update({user: [sample.record for sample in some] for user, some in samples.items()})
        return fitting(loaded, which, samples, template)  # type: ignore[arg-type]

    fitting = steered.fit_config
    monkeypatch.setattr(steered, "fit_config", fit)
    shared(tmp_path).config(name)
    assert set(seen) == set(TUNE)
    assert "both" not in [record for some in seen.values() for record in some]


def test_donors_of_contrasts_are_tuning_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = list[set[str]]()

    def donors(others: dict[str, list[Record]]) -> Donors:
        given.append(set(others))
        return Donors(others)

    monkeypatch.setattr(steered, "Donors", donors)
    steering = shared(tmp_path)
    steering.samples("caa", steering.items[0][0].history, 0)
    steering.samples("caa", History(steering.tuning[TUNE[1]], TUNE[1]), 0)
    assert given == [set(TUNE), set(TUNE) - {TUNE[1]}]
