from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from penchant.errors import InputError
from penchant.inference.intervention import Intervention
from penchant.inference.sites import Site
from penchant.steering.apply.aggregation import Aggregation
from penchant.steering.apply.similarity import Scorer, hidden_scores
from penchant.steering.config import SteeringConfig
from penchant.steering.fit.cross_validation import (
    leave_one_out,
    mean_over_users,
    population_of,
)
from penchant.steering.fit.search import CrossValidation
from penchant.steering.storage.bank import Bank
from tests.families import tiny
from tests.steering.cases import NOW
from tests.steering.users import SITES, STEPS, UNIFORM, noise_bank, pairs, setting_of
from tests.steering.users import template as words_of

LOADED = tiny()
WORDS = words_of(LOADED)
SOFT = Aggregation(top=None, temperature=0.3)
SITE = SITES[0]


def _add(intervention: Intervention, site: Site = SITE) -> torch.Tensor:
    add = intervention.edits[site].add
    assert add is not None
    return add


@given(counts=some.lists(some.integers(2, 40), min_size=1, max_size=4), per_user=some.integers(1, 12))
def test_held_out_numbers_are_valid_and_spread(counts: list[int], per_user: int) -> None:
    samples = {f"u{n}": pairs("zq", count) for n, count in enumerate(counts)}
    held_out = CrossValidation(LOADED, STEPS, WORDS, samples, per_user=per_user).held_out()
    assert len(set(held_out)) == len(held_out)
    for user, their in samples.items():
        numbers = [number for name, number in held_out if name == user]
        assert numbers == sorted(numbers) and len(numbers) == min(per_user, len(their))
        assert all(0 <= number < len(their) for number in numbers)
        gaps = [later - earlier for earlier, later in zip([-1, *numbers], [*numbers, len(their)], strict=True)]
        assert max(gaps) <= len(their) // len(numbers) + 1


def test_what_is_left_out_is_what_the_other_samples_give() -> None:
    config = setting_of(LOADED, aggregation=SOFT, centre=torch.randn(64))
    banks = {user: noise_bank(config, user, rows, seed) for seed, (user, rows) in enumerate([("a", 4), ("b", 2)])}
    held_out = [("a", 0), ("a", 3), ("b", 1)]
    found = leave_one_out(banks, held_out, config)
    for row, (user, number) in enumerate(held_out):
        bank = banks[user]
        kept = [n for n in range(len(bank)) if n != number]
        centred = bank.keys - config.centre
        cosines = torch.nn.functional.cosine_similarity(centred[kept], centred[number][None])
        wanted = 0.5 * (cosines / 0.3).softmax(0) @ bank.vectors[SITE][kept]
        assert _add(found)[row] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("alone", [False, True])
def test_a_row_that_is_left_out_changes_nothing(alone: bool) -> None:
    config = setting_of(LOADED, aggregation=replace(SOFT, shrinkage=2.0), centre=torch.randn(64))
    banks = {user: noise_bank(config, user, 3, seed) for seed, user in enumerate("abc")}
    before = leave_one_out(banks, [("a", 1)], config, alone=alone)
    vectors = banks["a"].vectors[SITE].clone()
    vectors[1] += 100
    changed = {**banks, "a": replace(banks["a"], vectors={SITE: vectors})}
    assert torch.equal(_add(leave_one_out(changed, [("a", 1)], config, alone=alone)), _add(before))
    for other in (0, 2):  # the oracle sees something
        assert not torch.equal(
            _add(leave_one_out(changed, [("a", other)], config, alone=alone)),
            _add(leave_one_out(banks, [("a", other)], config, alone=alone)),
        )


def test_a_population_is_of_the_others_alone() -> None:
    only = replace(UNIFORM, own_share=0.0)
    config = setting_of(LOADED, aggregation=only, strength=0.1, population={SITE: torch.full((64,), 9.0)})
    banks = {user: noise_bank(config, user, 3, seed) for seed, user in enumerate("abc")}
    held_out = [("a", 0), ("b", 2)]
    found = _add(leave_one_out(banks, held_out, config, alone=True))
    for row, others in enumerate((("b", "c"), ("a", "c"))):
        wanted = torch.stack([banks[user].vectors[SITE].mean(0) for user in others]).mean(0)
        assert found[row] == pytest.approx(0.1 * wanted, abs=1e-5)
    changed = {**banks, "a": noise_bank(config, "a", 3, 99)}
    again = _add(leave_one_out(changed, held_out, config, alone=True))
    assert torch.equal(again[0], found[0]) and not torch.equal(again[1], found[1])
    assert _add(leave_one_out(banks, held_out, config)) == pytest.approx(torch.full((2, 64), 0.9))  # the config's own


def test_inputs_are_compared_from_where_the_others_are() -> None:
    config = setting_of(LOADED, aggregation=SOFT, centre=torch.full((64,), 3.0))
    banks = {user: noise_bank(config, user, 3, seed) for seed, user in enumerate("abc")}
    found = leave_one_out(banks, [("a", 0)], config, alone=True)
    bank, population = banks["a"], population_of(banks)
    scores = hidden_scores(bank, bank.keys[0], population.centres_without(["a"])[0])[1:]
    assert _add(found)[0] == pytest.approx(0.5 * (scores / 0.3).softmax(0) @ bank.vectors[SITE][1:], abs=1e-4)


def test_bases_can_be_given_for_each_answer() -> None:
    config = setting_of(LOADED, base={SITE: torch.full((64,), 0.7)}, strength=0.25)
    banks = {user: noise_bank(config, user, 3, seed) for seed, user in enumerate("ab")}
    held_out, bases = [("a", 0), ("b", 1)], [{SITE: torch.full((64,), n)} for n in (0.1, 0.2)]
    for alone in (False, True):
        with_own = leave_one_out(banks, held_out, config, alone=alone)
        given = leave_one_out(banks, held_out, config, alone=alone, bases=bases)
        assert _add(with_own) - _add(given) == pytest.approx(torch.tensor([0.6, 0.5])[:, None].expand(2, 64), abs=1e-5)


AGED = replace(UNIFORM, half_life=2.0)


def _dated(config: SteeringConfig, days: Sequence[float | None]) -> Bank:
    """Row n is days[n] days old."""
    bank = noise_bank(config, "a", len(days))
    whens = [None if day is None else NOW - timedelta(days=day) for day in days]
    return replace(bank, rows=tuple(replace(row, when=when) for row, when in zip(bank.rows, whens, strict=True)))


@pytest.mark.parametrize("based", [False, True])
def test_a_held_out_answer_has_only_what_came_before_it_as_old_as_it_was_then(based: bool) -> None:
    config = setting_of(LOADED, aggregation=AGED, strength=0.5)
    bank = _dated(config, [300, 304, 302, 298, None])
    held_out = [("a", 0), ("a", 1), ("a", 2), ("a", 3)]
    bases = [{SITE: torch.zeros(64)}] * 4 if based else None
    found = _add(leave_one_out({"a": bank}, held_out, config, bases=bases))
    rows = bank.vectors[SITE]
    for row, weights in enumerate(([0, 0.25, 0.5, 0, 1], [0, 0, 0, 0, 1], [0, 0.5, 0, 0, 1], [0.5, 0.125, 0.25, 0, 1])):
        given = torch.tensor(weights)
        assert found[row] == pytest.approx(0.5 * given @ rows / given.sum(), abs=1e-5)
    # Whatever came later, and whatever day it is today, changes nothing.
    louder = {SITE: torch.where(torch.arange(5)[:, None] == 3, rows + 9, rows)}
    assert torch.equal(
        _add(leave_one_out({"a": replace(bank, vectors=louder)}, held_out, config, bases=bases))[:3], found[:3]
    )


def test_a_held_out_answer_without_a_time_is_of_the_newest_ones() -> None:
    config = setting_of(LOADED, aggregation=AGED, strength=0.5)
    bank = _dated(config, [None, 304, 300, None])
    weights = torch.tensor([0, 0.25, 1, 1])
    found = _add(leave_one_out({"a": bank}, [("a", 0)], config))[0]
    assert found == pytest.approx(0.5 * weights @ bank.vectors[SITE] / weights.sum(), abs=1e-5)
    timeless = _dated(config, [None] * 4)
    plain = replace(config, aggregation=UNIFORM)
    assert _add(leave_one_out({"a": timeless}, [("a", 0)], config)) == pytest.approx(
        _add(leave_one_out({"a": timeless}, [("a", 0)], plain)), abs=1e-6
    )


def test_without_a_half_life_later_answers_count_as_well() -> None:
    config = setting_of(LOADED, strength=0.5)
    bank = _dated(config, [300, 304, 302])
    found = _add(leave_one_out({"a": bank}, [("a", 1)], config))[0]
    assert found == pytest.approx(0.5 * bank.vectors[SITE][[0, 2]].mean(0), abs=1e-5)


def test_held_out_inputs_are_compared_by_their_words() -> None:
    config = setting_of(LOADED, similarity="bm25", aggregation=replace(SOFT, top=1))
    bank = noise_bank(config, "a", 4)
    texts = dict(
        zip([row.contrast for row in bank.rows], ["red car", "old house", "red boat", "new house"], strict=True)
    )
    found = _add(leave_one_out({"a": bank}, [("a", n) for n in range(4)], config, scorer=Scorer("bm25", texts)))
    for row, best in enumerate((2, 3, 0, 1)):
        assert found[row] == pytest.approx(0.5 * bank.vectors[SITE][best], abs=1e-5)
    with pytest.raises(InputError, match="without the text"):
        leave_one_out({"a": bank}, [("a", 0)], config)


def test_means_are_over_users() -> None:
    mean, error = mean_over_users(torch.tensor([1.0, 3.0, 5.0]), ["a", "a", "b"])
    assert mean == pytest.approx(3.5) and error == pytest.approx(1.5)
    assert mean_over_users(torch.tensor([1.0, 3.0]), ["a", "a"]) == (2.0, float("inf"))


def test_aggregations_in_words() -> None:
    assert str(UNIFORM) == "all, uniform"
    assert str(Aggregation(top=5, temperature=0.1, shrinkage=8.0)) == "top 5, softmax 0.1, shrunk by 8"
