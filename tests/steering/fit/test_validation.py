from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from penchant.errors import InputError
from penchant.history.records import Request
from penchant.inference.intervention import Intervention
from penchant.steering.apply.aggregation import Aggregation
from penchant.steering.apply.context import FittedSteering, Level, ValidationResult, steer_request
from penchant.steering.apply.similarity import hidden_scores
from penchant.steering.config import SteeringConfig
from penchant.steering.extract.extractor import extract_bank
from penchant.steering.extract.vectors import read_keys
from penchant.steering.fit import cross_validation
from penchant.steering.fit.cross_validation import FEWEST_SAMPLES, MOST_HELD_OUT, validate_user
from penchant.steering.storage.bank import Bank, Row, drop
from tests.families import tiny
from tests.steering.users import DIFFERENCES, INPUTS, SITES, contrasts, noise_bank, pairs, same_intervention, setting_of
from tests.steering.users import template as words_of

LOADED = tiny()
WORDS = words_of(LOADED)
SITE = SITES[0]
SAMPLES = pairs("zq", 6)
SOFT = Aggregation(top=None, temperature=0.3)


@pytest.fixture(scope="module")
def read() -> tuple[SteeringConfig, Bank, torch.Tensor]:
    """A config, a user's bank and its mean vector."""
    config = setting_of(LOADED, strength=2.0)
    bank = extract_bank(LOADED, config, "ada", SAMPLES, WORDS)
    return config, bank, bank.vectors[SITE].mean(0)


def _turned(bank: Bank, by: float) -> Bank:
    return replace(bank, vectors={site: table * by for site, table in bank.vectors.items()})


def test_a_bank_is_read_for_its_config(read: tuple[SteeringConfig, Bank, torch.Tensor]) -> None:
    config, bank, mean = read
    assert (bank.model, bank.sites, bank.key, len(bank)) == (config.origin, config.sites, config.key, 6)
    told: list[int] = []
    based = replace(config, base={SITE: mean / mean.norm()})
    other = extract_bank(LOADED, based, "ada", SAMPLES, WORDS, progress=lambda _, done, total: told.append(done))
    assert other.model == based.origin and told[-1] == 6
    assert not torch.allclose(other.vectors[SITE], bank.vectors[SITE], rtol=0.05)
    with pytest.raises(InputError, match="needs contrasts"):
        extract_bank(LOADED, replace(config, reading="answer_mean"), "ada", SAMPLES, WORDS)
    with pytest.raises(InputError):
        extract_bank(LOADED, config, "ada", [], WORDS)
    others = {"bo": contrasts("kk", 3)}
    prompts = replace(config, reading="prompt_last")
    assert len(extract_bank(LOADED, prompts, "ada", contrasts("zq", 3), WORDS, everyone=others)) == 3
    with pytest.raises(InputError, match="some of other users"):
        extract_bank(LOADED, prompts, "ada", contrasts("zq", 3), WORDS)


def test_what_helps_is_the_users_own(read: tuple[SteeringConfig, Bank, torch.Tensor]) -> None:
    config, bank, mean = read
    found = validate_user(LOADED, config, SAMPLES, bank, template=WORDS)
    assert (found.level, found.answers, found.reason, found.common) == ("own", 6, None, 0.0) and found.own > 0.02
    # Where the population's gain is its own, it is no reason against the user's unless it is larger.
    worse = replace(config, population={SITE: mean * 0.3})
    found = validate_user(LOADED, worse, SAMPLES, bank, template=WORDS)
    assert found.level == "own" and 0 < found.common < found.own


def test_what_does_not_help_gives_way(read: tuple[SteeringConfig, Bank, torch.Tensor]) -> None:
    config, bank, mean = read
    harmful = _turned(bank, -1)
    found = validate_user(LOADED, config, SAMPLES, harmful, template=WORDS)
    assert found.level == "none" and found.own < -0.02
    assert found.reason == (
        f"on 6 held-out answers the user's own vectors gain {found.own:+.3f} nats a token: nothing is written"
    )
    found = validate_user(LOADED, replace(config, population={SITE: mean}), SAMPLES, harmful, template=WORDS)
    assert found.level == "population" and found.own < 0 < found.common
    assert found.reason and found.reason.endswith(f"the population's {found.common:+.3f}")
    found = validate_user(LOADED, replace(config, population={SITE: -mean}), SAMPLES, harmful, template=WORDS)
    assert found.level == "none" and found.common < 0


def test_a_held_out_answer_does_not_speak_for_itself(
    read: tuple[SteeringConfig, Bank, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, bank, _ = read
    tried: list[torch.Tensor] = []

    def found(
        loaded: Any, exchanges: Sequence[Any], interventions: Sequence[Intervention | None], **others: Any
    ) -> torch.Tensor:
        own = interventions[1]
        assert own is not None and own.edits[SITE].add is not None
        tried.append(own.edits[SITE].add)
        return torch.zeros(len(interventions), len(exchanges))

    monkeypatch.setattr(cross_validation, "losses", found)
    validate_user(LOADED, config, SAMPLES, bank, template=WORDS)
    for number in range(6):
        table = bank.vectors[SITE].clone()
        table[number] += 1
        validate_user(LOADED, config, SAMPLES, replace(bank, vectors={SITE: table}), template=WORDS)
        assert [torch.equal(*rows) for rows in zip(tried[0], tried[-1], strict=True)] == [n == number for n in range(6)]


Gains = tuple[Sequence[float], Sequence[float]]
Written = Sequence[Intervention | None]


@pytest.mark.parametrize(
    ("gains", "level"),
    [
        (([0.3, 0.1, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]), "own"),
        # Worse than the population, by less than the noise, and by more.
        (([0.3, 0.0, 0.2, 0.1], [0.1, 0.2, 0.1, 0.3]), "own"),
        (([0.1, 0.1, 0.2, 0.1], [0.2, 0.2, 0.3, 0.21]), "population"),
        (([-0.1, 0.1, 0.0, -0.1], [0.2, -0.1, 0.1, 0.1]), "population"),
        (([-0.1, 0.1, 0.0, -0.1], [0.2, -0.1, -0.1, -0.1]), "none"),
        (([0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]), "none"),
        # Better than a population that harms.
        (([0.1, 0.1, 0.1, 0.2], [-0.1, -0.1, -0.1, -0.1]), "own"),
        (([float("nan")] * 4, [0.1] * 4), "population"),
    ],
)
def test_levels_follow_from_gains(gains: Gains, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    config = setting_of(LOADED, population={SITE: torch.ones(64)})
    bank, samples = noise_bank(config, "ada"), pairs("zq", 4)
    bank = replace(bank, rows=tuple(Row.of("ada", sample) for sample in samples))

    def found(loaded: Any, exchanges: Any, interventions: Written, **others: Any) -> torch.Tensor:
        plain, own, common = interventions
        assert plain is None and own is not None and same_intervention(common, config.common(4))
        return torch.tensor([[1.0] * 4, *[[1 - gain for gain in row] for row in gains]])

    monkeypatch.setattr(cross_validation, "losses", found)
    checked = validate_user(LOADED, config, samples, bank, template=WORDS)
    assert checked.level == level and checked.answers == 4
    assert checked.own == pytest.approx(sum(gains[0]) / 4, nan_ok=True, abs=1e-6)
    assert checked.common == pytest.approx(sum(gains[1]) / 4, abs=1e-6)
    assert (checked.reason is None) == (level == "own") and "\n" not in (checked.reason or "")


def test_too_few_samples_are_not_checked(read: tuple[SteeringConfig, Bank, torch.Tensor]) -> None:
    config, bank, mean = read
    few = drop(bank, [row.contrast for row in bank.rows[FEWEST_SAMPLES - 1 :]])
    found = validate_user(LOADED, config, SAMPLES[: FEWEST_SAMPLES - 1], few, template=WORDS)
    reason = f"too few samples to check ({FEWEST_SAMPLES - 1} of {FEWEST_SAMPLES})"
    assert found == ValidationResult("own", reason=reason)
    silent = replace(config, strength=0.0, base={SITE: mean})
    assert validate_user(LOADED, silent, SAMPLES[: FEWEST_SAMPLES - 1], few, template=WORDS).level == "population"
    one_more = drop(bank, [row.contrast for row in bank.rows[FEWEST_SAMPLES:]])
    assert validate_user(LOADED, config, SAMPLES[:FEWEST_SAMPLES], one_more, template=WORDS).answers == FEWEST_SAMPLES


def test_no_more_answers_are_read_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    config, samples, seen = setting_of(LOADED), pairs("zq", 40), []
    bank = noise_bank(config, "ada", 40)
    bank = replace(bank, rows=tuple(Row.of("ada", sample) for sample in samples))

    def found(
        loaded: Any, exchanges: Sequence[Any], interventions: Sequence[Intervention | None], **others: Any
    ) -> torch.Tensor:
        seen.append(len(exchanges))
        return torch.zeros(len(interventions), len(exchanges))

    monkeypatch.setattr(cross_validation, "losses", found)
    assert validate_user(LOADED, config, samples, bank, template=WORDS).answers == MOST_HELD_OUT and seen == [
        MOST_HELD_OUT
    ]


def test_a_strength_of_zero_writes_nothing_of_the_user(read: tuple[SteeringConfig, Bank, torch.Tensor]) -> None:
    config, bank, mean = read
    silent = replace(config, strength=0.0)
    found = validate_user(LOADED, silent, SAMPLES, bank, template=WORDS)
    assert found == ValidationResult("none", reason="steps helped none of the users that it was fitted on")
    base = replace(silent, base={SITE: mean * 2})
    bank = replace(bank, model=base.origin)
    found = validate_user(LOADED, base, SAMPLES, bank, template=WORDS)
    assert found.level == "population" and found.own == found.common > 0
    made = steer_request(LOADED, FittedSteering(base, bank, found), "the sea")
    assert made.level == "population" and same_intervention(made.intervention, base.common()) and not made.terms
    harmful = replace(silent, base={SITE: mean * -2})
    found = validate_user(LOADED, harmful, SAMPLES, replace(bank, model=harmful.origin), template=WORDS)
    assert found.level == "none"


def test_samples_have_to_be_those_of_the_bank(read: tuple[SteeringConfig, Bank, torch.Tensor]) -> None:
    config, bank, _ = read
    for samples in (SAMPLES[:5], list(reversed(SAMPLES)), pairs("kk", 6), [*SAMPLES, *pairs("kk", 1)]):
        with pytest.raises(InputError, match="aren't those of the bank's rows"):
            validate_user(LOADED, config, samples, bank, template=WORDS)


def test_contrasts_are_checked_as_well() -> None:
    config = setting_of(LOADED, method=DIFFERENCES.name, reading="answer_mean", strength=0.3)
    samples = contrasts("zq", 4)
    bank = extract_bank(LOADED, config, "ada", samples, WORDS)
    assert validate_user(LOADED, config, samples, bank, template=WORDS).answers == 4


def test_a_check_compares_words_too(
    monkeypatch: pytest.MonkeyPatch, read: tuple[SteeringConfig, Bank, torch.Tensor]
) -> None:
    config, bank, _ = read
    config = replace(config, similarity="bm25", aggregation=replace(SOFT, top=1))
    samples = [replace(one, request=Request(f"{INPUTS[n // 2]} {n}")) for n, one in enumerate(SAMPLES)]
    bank = replace(bank, rows=tuple(Row.of("ada", sample) for sample in samples))
    tried: list[torch.Tensor] = []

    def found(
        loaded: Any, exchanges: Sequence[Any], interventions: Sequence[Intervention | None], **others: Any
    ) -> torch.Tensor:
        own = interventions[1]
        assert own is not None and own.edits[SITE].add is not None
        tried.append(own.edits[SITE].add)
        return torch.zeros(len(interventions), len(exchanges))

    monkeypatch.setattr(cross_validation, "losses", found)
    validate_user(LOADED, config, samples, bank, template=WORDS)
    for row, partner in enumerate((1, 0, 3, 2, 5, 4)):
        assert tried[0][row] == pytest.approx(2.0 * bank.vectors[SITE][partner], abs=1e-4)


def test_nothing_of_one_user_reaches_another(read: tuple[SteeringConfig, Bank, torch.Tensor]) -> None:
    config, _, mean = read
    config = replace(config, aggregation=SOFT, population={SITE: mean * 0.1})
    samples = pairs("kk", 5)

    def serve() -> tuple[Any, ...]:
        bank = extract_bank(LOADED, config, "bo", samples, WORDS)
        checked = validate_user(LOADED, config, samples, bank, template=WORDS)
        found = steer_request(LOADED, FittedSteering(config, bank, checked), "the sea")
        assert found.intervention is not None
        return bank.vectors[SITE], bank.keys, found.intervention.edits[SITE].add, bank, checked

    alone = serve()
    for seed in (0, 1):
        ada = noise_bank(config, "ada", 7, seed)
        ada = replace(ada, rows=tuple(Row.of("ada", sample) for sample in pairs("secret", 7)))
        validate_user(LOADED, config, pairs("secret", 7), ada, template=WORDS)
        steer_request(LOADED, FittedSteering(config, ada), "the sea")
        again = serve()
        assert all(torch.equal(one, other) for one, other in zip(alone[:3], again[:3], strict=True))
        assert alone[4] == again[4]
        # Neither beside each other in one batch.
        bank, key = alone[3], read_keys(LOADED, ["the sea"], config.key)[0]
        scores = [hidden_scores(one, key, config.centre) for one in (ada, bank)]
        both, made = config.apply([ada, bank], scores)
        lone, _ = config.apply([bank], scores[1:])
        assert torch.equal(both.edits[SITE].add[1], lone.edits[SITE].add[0])  # type: ignore[index]
        assert {term.contrast for term in made.terms(1)} <= {row.contrast for row in bank.rows}
