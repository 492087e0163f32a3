"""Steering as methods of the bench: a user's own vectors, controls, and when they aren't used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant.steering.storage.bank import Bank
from penchant_lab.bench.items import Item
from penchant_lab.methods import steered
from penchant_lab.methods.steered import Steering
from tests.lab.methods.steered_cases import (
    ASK,
    LOADED,
    TASK,
    TEST,
    ask,
    method,
    record_of,
    same,
    shared,
    traced,
    trusting,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick")]


@pytest.mark.parametrize(
    ("name", "seeded", "budgeted"),
    [
        ("population", False, False),
        ("ascent", False, False),
        ("fints", True, False),  # its contrasts are drawn
        ("ascent@other", True, False),
        ("ascent@random", True, False),
        ("ascent+bm25", False, True),
        ("ascent+random", True, True),
        ("ascent+none", False, False),
    ],
)
def test_what_is_run_for_every_seed_and_budget(name: str, seeded: bool, budgeted: bool, tmp_path: Path) -> None:
    made = method(name, shared(tmp_path))
    assert (made.name, made.seeded, made.budgeted) == (name, seeded, budgeted)
    assert "another user's" in made.about or "@other" not in name
    assert "random vectors" in made.about or "@random" not in name
    assert f"notes by {name.partition('+')[2]}" in made.about or "+" not in name


@pytest.mark.usefixtures("trusted")
def test_a_bank_is_of_the_users_own_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = traced(monkeypatch)
    steering = shared(tmp_path)
    for item in steering.items[0]:
        notes = ask(method("ascent", steering), item)
        bank = used.pop()
        assert {row.record.partition("-")[0] for row in bank.rows} == {item.user}
        assert {row.record for row in bank.rows} <= {record.id for record in item.history}
        assert notes.intervention is not None and notes.text is None and not notes.fallback
        assert notes.intervention.rows == 1


@pytest.mark.parametrize("name", ["fints", "fints-prompt", "user-mean"])
def test_methods_of_contrasts_write(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steered, "FIT_USERS", 2)
    with trusting(monkeypatch):
        steering = shared(tmp_path)
        notes = ask(method(name, steering), steering.items[0][0])
    assert notes.intervention is not None and not notes.fallback


@pytest.mark.usefixtures("trusted")
def test_other_is_always_another_users_bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = traced(monkeypatch)
    steering = shared(tmp_path, range(4))
    made = method("ascent@other", steering)
    whose: dict[str, set[str]] = {}
    for seed in steering.items:
        for item in steering.items[seed]:
            first = ask(made, item, seed).intervention
            (user,) = {row.record.partition("-")[0] for row in used.pop().rows}
            whose.setdefault(item.user, set()).add(user)
            assert same(ask(made, item, seed).intervention, first)
            assert not same(ask(method("ascent", steering), item, seed).intervention, first)
    assert whose[TEST[1]] == set(TEST) - {TEST[1]}  # another one for another seed
    assert all(user not in others <= set(TEST) for user, others in whose.items())


def test_who_stands_in_is_decided_by_the_seed_and_was_asked_nothing_of_the_same(tmp_path: Path) -> None:
    steering = shared(tmp_path, range(8))
    chosen = [steering.another(TEST[2], seed).user for seed in range(8)]
    assert chosen == [shared(tmp_path, range(8)).another(TEST[2], seed).user for seed in range(8)]
    assert set(chosen) == set(TEST[:2])
    # The second user's history now holds what the third is asked.
    items = [item for item in steering.items[0] if item.user != TEST[1]]
    mine = next(item for item in items if item.user == TEST[2])
    leaking = History([*(record_of(TEST[1], n) for n in range(6)), Record("So?", "x", reply=mine.answer)], TEST[1])
    items.append(Item("x", leaking, Request("Anything?", ASK), "Nothing"))
    only = Steering(LOADED, TASK, Path(), dict.fromkeys(range(8), items), tmp_path)
    assert {only.another(TEST[2], seed).user for seed in range(8)} == {TEST[0]}
    alone = Steering(LOADED, TASK, Path(), {0: [mine]}, tmp_path)
    with pytest.raises(InputError, match="@other needs a second user"):
        alone.another(TEST[2], 0)


@pytest.mark.usefixtures("trusted")
def test_random_vectors_have_the_same_lengths(tmp_path: Path) -> None:
    steering = shared(tmp_path)
    own, drawn = method("ascent", steering), method("ascent@random", steering)
    first, second = steering.items[0][:2]
    true = ask(own, first).intervention
    by_seed = [ask(drawn, first, seed).intervention for seed in (0, 1, 0)]
    assert true is not None and all(one is not None for one in by_seed)
    assert same(by_seed[0], by_seed[2]) and not same(by_seed[0], by_seed[1])
    assert not same(by_seed[0], ask(drawn, second).intervention)
    for one in by_seed[:2]:
        assert one is not None and one.scope == true.scope and one.edits.keys() == true.edits.keys()
        for site, edit in one.edits.items():
            theirs = true.edits[site].add
            assert edit.add is not None and theirs is not None
            assert torch.allclose(edit.add.norm(dim=1), theirs.norm(dim=1), rtol=1e-5)
            assert torch.cosine_similarity(edit.add, theirs).abs().max() < 0.5


def test_the_population_is_the_same_for_all(tmp_path: Path) -> None:
    steering = shared(tmp_path)
    made = method("population", steering)
    found = [ask(made, item, seed).intervention for seed in (0, 1) for item in steering.items[seed]]
    assert found[0] is not None and all(same(one, found[0]) for one in found)
    assert same(found[0], steering.config("ascent").common())
    assert not any((tmp_path / "contrasts").rglob("*"))


@pytest.mark.parametrize(("checked", "fallback"), [("own", False), ("population", True), ("none", True)])
def test_it_says_when_a_users_vectors_are_not_used(
    checked: str, fallback: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steered, "validate_user", lambda *args, **options: steered.ValidationResult(checked))  # type: ignore[arg-type]
    steering = shared(tmp_path)
    item = steering.items[0][0]
    for name in ("ascent", "ascent@other", "ascent@random"):
        notes = ask(method(name, steering), item)
        assert notes.fallback == fallback
        assert (notes.intervention is None) == (checked == "none")
        if checked == "population":
            assert same(notes.intervention, steering.config("ascent").common()) == (name != "ascent@random")
    assert not ask(method("population", steering), item).fallback


def test_the_check_of_another_users_bank_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steering = shared(tmp_path)
    item = steering.items[0][0]

    def check(
        loaded: object, config: object, samples: object, bank: Bank, *, template: object
    ) -> steered.ValidationResult:
        mine = bank.rows[0].record.startswith(f"{item.user}-")
        return steered.ValidationResult("population" if mine else "own")

    monkeypatch.setattr(steered, "validate_user", check)
    notes = ask(method("ascent@other", steering), item)
    assert notes.fallback and same(notes.intervention, steering.config("ascent").common())


@pytest.mark.parametrize("name", ["ascent", "caa", "ascent@other", "ascent+recency"])
def test_a_user_without_replies_gets_the_population(name: str, tmp_path: Path) -> None:
    steering = shared(tmp_path)
    bare = History([Record("The kettle is new.", "a"), Record("The bus was late.", "b")], "warm-up")
    item = Item("warm-up", bare, Request("What is new?"), "The kettle.")
    notes = ask(method(name, steering), item)
    assert notes.fallback == (name != "ascent@other")
    if name == "ascent":
        assert same(notes.intervention, steering.config("ascent").common())
