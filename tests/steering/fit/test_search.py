from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from penchant.errors import InputError
from penchant.history.records import Request
from penchant.inference.intervention import Intervention
from penchant.inference.sites import Site
from penchant.steering.apply.aggregation import Aggregation
from penchant.steering.apply.similarity import Scorer
from penchant.steering.config import SteeringConfig
from penchant.steering.data.pairs import Pair
from penchant.steering.extract.extractor import exchange_of, extract_bank
from penchant.steering.fit import search
from penchant.steering.fit.search import CAP, CrossValidation, fit_config, residual_norms
from penchant.steering.methods.method import VectorMethod
from tests.families import tiny
from tests.steering.users import DIFFERENCES, INPUTS, SITES, STEPS, UNIFORM, contrasts, pairs
from tests.steering.users import template as words_of

LOADED = tiny()
WORDS = words_of(LOADED)
SOFT = Aggregation(top=None, temperature=0.3)
USERS = {user: pairs(f"zq {user}", 3) for user in ("ada", "bo", "cy", "di")}
SITE = SITES[0]


def _add(intervention: Intervention, site: Site = SITE) -> torch.Tensor:
    add = intervention.edits[site].add
    assert add is not None
    return add


def _tables(config: SteeringConfig) -> list[torch.Tensor]:
    return [config.centre, *(table[s] for table in (config.base, config.population) for s in sorted(table))]


@pytest.mark.parametrize("method", [STEPS, DIFFERENCES])
def test_what_is_chosen_with_words_and_ages_says_so(method: VectorMethod, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Scorer] = []
    real = Scorer.scores
    monkeypatch.setattr(Scorer, "scores", lambda self, *given: seen.append(self) or real(self, *given))
    given = USERS if method is STEPS else {user: contrasts(f"zq {user}", 3) for user in ("ada", "bo")}
    config = fit_config(LOADED, method, given, WORDS, similarity="bm25", half_life=30.0)
    assert (config.similarity, config.aggregation.half_life) == ("bm25", 30.0)
    assert all("halved every 30 days" in one.aggregation for one in config.effects if one.part == "own")
    assert seen and all(one is seen[0] and one.similarity == "bm25" for one in seen)
    assert set(seen[0].texts.values()) == set(INPUTS[:3])
    plain = fit_config(LOADED, method, given, WORDS)
    assert (plain.similarity, plain.aggregation.half_life) == ("hidden", None)
    with pytest.raises(InputError, match="half_life is 0"):
        fit_config(LOADED, method, given, WORDS, half_life=0.0)


@pytest.mark.parametrize("method", [STEPS, DIFFERENCES])
def test_a_config_brings_a_basis_for_everyone(method: VectorMethod) -> None:
    given = USERS if method is STEPS else {user: contrasts(f"zq {user}", 3) for user in ("ada", "bo")}
    config = fit_config(LOADED, method, given, WORDS)
    assert config.basis is not None
    assert tuple(sorted(config.basis.axes)) == config.sites
    assert torch.equal(config.basis.centre, config.centre)
    for user, theirs in given.items():  # with fewer rows than axes, nothing of what it is made of is lost
        bank = extract_bank(LOADED, config, user, theirs, WORDS)
        trip = config.basis.vectors(config.basis.coefficients(bank))
        assert (trip.keys - bank.keys).norm() < 0.02 * (bank.keys - config.centre).norm()
        if method is DIFFERENCES:  # gradients were read on the other half's base
            for site in config.sites:
                assert (trip.vectors[site] - bank.vectors[site]).norm() < 0.02 * bank.vectors[site].norm()


def test_norms_are_of_the_residual_stream_over_answers() -> None:
    group = CrossValidation(LOADED, STEPS, WORDS, USERS)
    found = residual_norms(group, [0, 2])
    for layer in (0, 2):
        norms = []
        for their in USERS.values():
            one = exchange_of(LOADED, their[0], WORDS)
            with torch.no_grad():
                states = LOADED.base(torch.tensor([[*one.prompt, *one.answer]]), output_hidden_states=True)
            norms.append(float(states.hidden_states[layer + 1][0, len(one.prompt) :].mean(0).norm()))
        assert found[layer] == pytest.approx(sum(norms) / len(norms), rel=1e-4)


def test_a_fit_finds_what_users_have_in_common_and_what_not() -> None:
    told: list[tuple[str, int, int]] = []
    config = fit_config(LOADED, STEPS, USERS, WORDS, progress=lambda *now: told.append(now))
    assert config.strength > 0 and config.base and config.population
    assert (config.users, config.pairs, config.method) == (4, 12, "steps")
    (site,) = config.sites
    steps, own = ([e for e in config.effects if e.part == part] for part in ("population", "own"))
    assert len(steps) == 6 and len(own) == 2
    best_step, best = (max(effects, key=lambda e: e.gain) for effects in (steps, own))
    assert site == Site(best_step.layer, "block") and best_step.gain > 0.02
    norm = residual_norms(CrossValidation(LOADED, STEPS, WORDS, USERS), [site.layer])[site.layer]
    assert float(config.base[site].norm()) == pytest.approx(best_step.strength * norm, rel=1e-4)
    assert config.caps == {site: pytest.approx(CAP * norm)}
    assert best.gain > best_step.gain
    assert [e.strength for e in own] == [0.1, 0.3] and {e.layer for e in own} == {site.layer}
    # The size is that of a mean vector, as a share of the stream.
    ratio = config.strength / best.strength
    one_step = fit_config(LOADED, replace(STEPS, strengths=(best.strength / 2,)), USERS, WORDS)
    assert one_step.strength / (best.strength / 2) == pytest.approx(ratio, rel=1e-3)
    for what in ("gradients", "gradients from the base", "comparing interventions"):
        counts = [(done, total) for name, done, total in told if name == what]
        assert counts[-1][0] == counts[-1][1] == 12


def test_the_same_users_give_the_same_config_in_any_order() -> None:
    first = fit_config(LOADED, STEPS, USERS, WORDS)
    second = fit_config(LOADED, STEPS, dict(reversed(USERS.items())), WORDS)
    assert (first.effects, first.strength, first.sites, first.caps) == (
        second.effects, second.strength, second.sites, second.caps)  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(_tables(first), _tables(second), strict=True))


def test_own_vectors_that_add_nothing_to_the_population_are_not_written() -> None:
    # Downhill: they cost something, but less than the population gains.
    downhill = replace(STEPS, strengths=(-0.02, -0.01))
    config = fit_config(LOADED, downhill, USERS, WORDS)
    own = [e.gain for e in config.effects if e.part == "own"]
    assert 0 < max(own) < max(e.gain for e in config.effects if e.part == "population")
    assert config.strength == 0 and config.base
    made = config.common().edits[config.sites[0]].add
    assert made is not None and torch.equal(made[0], config.base[config.sites[0]])


def test_nothing_helps_and_nothing_is_written() -> None:
    alone = fit_config(LOADED, replace(STEPS, strengths=(-0.1, -0.3)), {"ada": USERS["ada"]}, WORDS)
    assert alone.strength == 0 and not alone.base and max(e.gain for e in alone.effects) < 0
    given = {user: contrasts(f"zq {user}", 3) for user in USERS}
    found = fit_config(LOADED, replace(DIFFERENCES, strengths=(-0.2, -1.0)), given, WORDS)
    assert found.strength == 0 and max(e.gain for e in found.effects) < 0 and len(found.effects) == 4


def test_a_single_user_is_fitted_without_a_population() -> None:
    config = fit_config(LOADED, STEPS, {"ada": USERS["ada"], "one": pairs("x", 1)}, WORDS)
    assert config.strength > 0 and not config.base and not config.population and config.users == 1
    assert {e.part for e in config.effects} == {"own"} and all(e.error == float("inf") for e in config.effects)
    assert config.base_intervention() is None


def test_users_who_share_nothing_get_no_base(monkeypatch: pytest.MonkeyPatch) -> None:
    _scripted(monkeypatch, [[-0.1, -0.2, -0.1, -0.3, -0.1, -0.1], [0.01, 0.02]])
    config = fit_config(LOADED, STEPS, USERS, WORDS)
    assert not config.base and config.population and config.strength > 0


@pytest.mark.parametrize(
    ("own", "chosen"), [([0.31, 0.35], 1), ([0.35, 0.31], 0), ([0.3, 0.1], None), ([float("nan"), 0.2], None)]
)
def test_the_best_is_taken_when_it_beats_the_population(
    own: list[float], chosen: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _scripted(monkeypatch, [[0.1, 0.2, 0.0, -0.1, 0.3, 0.25], own])
    config = fit_config(LOADED, STEPS, USERS, WORDS)
    assert config.sites == (Site(2, "block"),)
    norm = config.caps[config.sites[0]] / CAP
    assert float(config.base[config.sites[0]].norm()) == pytest.approx(0.1 * norm, rel=1e-4)
    other = fit_setting_strengths(monkeypatch)
    assert config.strength == (0 if chosen is None else pytest.approx(other * (0.1, 0.3)[chosen], rel=1e-4))
    assert [e.gain for e in config.effects][6:] == pytest.approx(own, nan_ok=True)


def fit_setting_strengths(monkeypatch: pytest.MonkeyPatch) -> float:
    """What a length of 1 is multiplied by."""
    _scripted(monkeypatch, [[0.1, 0.2, 0.0, -0.1, 0.3, 0.25], [9.0]])
    return fit_config(LOADED, replace(STEPS, strengths=(1.0,)), USERS, WORDS).strength


def _scripted(monkeypatch: pytest.MonkeyPatch, gains: list[list[float]]) -> None:
    left = list(gains)

    def found(self: CrossValidation, held_out: Sequence[Any], given: Sequence[Any]) -> list[tuple[float, float]]:
        now = left.pop(0)
        assert len(now) == len(given)
        return [(gain, 0.01) for gain in now]

    monkeypatch.setattr(CrossValidation, "gains", found)


def test_a_difference_is_chosen_by_its_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {user: contrasts(f"zq {user}", 3) for user in USERS}
    method = replace(DIFFERENCES, aggregations=(UNIFORM, SOFT))
    _scripted(monkeypatch, [[0.0, 0.1, 0.2, 0.1, 0.3, 0.1, 0.5, 0.4]])
    config = fit_config(LOADED, method, given, WORDS)
    assert config.sites == (Site(2, "attention"), Site(2, "mlp")) and config.strength == 0.5
    assert config.aggregation == SOFT and not config.base and not config.population
    best = max(config.effects, key=lambda e: e.gain)
    assert (best.layer, best.strength, best.aggregation) == (2, 0.5, "all, softmax 0.3")
    assert [e.gain for e in config.effects] == [0.0, 0.1, 0.2, 0.1, 0.3, 0.1, 0.5, 0.4]


def test_an_answer_is_held_out_of_every_base_it_is_tried_on(monkeypatch: pytest.MonkeyPatch) -> None:
    method = replace(STEPS, strengths=(1e-9,))  # what is written is the base
    tried: list[torch.Tensor] = []

    def spied(loaded: Any, exchanges: Any, given: Sequence[Intervention | None], **others: Any) -> torch.Tensor:
        for found in given[1:]:
            assert found is not None and found.rows == len(exchanges)
            (edit,) = found.edits.values()
            assert edit.add is not None
            tried.append(edit.add / edit.add.norm(dim=1, keepdim=True))
        return torch.linspace(1, 0, len(given))[:, None].expand(-1, len(exchanges))

    monkeypatch.setattr(search, "losses", spied)
    fit_config(LOADED, method, USERS, WORDS)
    before, tried = tried, []
    fit_config(LOADED, method, {**USERS, "ada": pairs("other things", 3)}, WORDS)
    assert len(before) == len(tried) == 7
    ada, cy = slice(0, 3), slice(6, 9)  # of one fold: neither is in the base that they are tried on
    for one, other in zip(before, tried, strict=True):
        assert one[ada] == pytest.approx(other[ada], abs=1e-4) and one[cy] == pytest.approx(other[cy], abs=1e-4)
        assert float((one[3:6] - other[3:6]).abs().max()) > 0.01


def test_what_cannot_be_fitted_on() -> None:
    for samples in ({}, {"ada": pairs("x", 1)}):
        with pytest.raises(InputError, match="no user with at least two samples"):
            fit_config(LOADED, STEPS, samples, WORDS)
    with pytest.raises(InputError, match="0 answers of each user held out"):
        fit_config(LOADED, STEPS, USERS, WORDS, per_user=0)
    with pytest.raises(InputError, match="needs contrasts"):
        fit_config(LOADED, DIFFERENCES, USERS, WORDS)
    with pytest.raises(InputError, match="window"):
        fit_config(LOADED, STEPS, {"ada": [Pair(Request("x " * 600), INPUTS[0])] * 2}, WORDS)
