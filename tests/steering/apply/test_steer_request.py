"""What is written for a request: `steer_request`."""

from dataclasses import replace
from datetime import timedelta

import pytest
import torch

from penchant.errors import InputError
from penchant.steering.apply.aggregation import Aggregation
from penchant.steering.apply.context import FittedSteering, ValidationResult, steer_request
from penchant.steering.apply.similarity import hidden_scores
from penchant.steering.config import SteeringConfig
from penchant.steering.extract.extractor import extract_bank
from penchant.steering.extract.vectors import read_keys
from penchant.steering.storage.bank import Bank
from tests.families import tiny
from tests.steering.cases import NOW, empty
from tests.steering.users import SITES, pairs, same_intervention, setting_of
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


def test_a_request_is_steered_by_the_users_samples(read: tuple[SteeringConfig, Bank, torch.Tensor]) -> None:
    config, bank, mean = read
    centre = bank.keys.mean(0) + torch.linspace(
        -1, 1, bank.keys.shape[1]
    )  # not what the bank alone would be taken from
    config = replace(config, aggregation=SOFT, population={SITE: mean * 0.1}, centre=centre)
    found = steer_request(LOADED, FittedSteering(config, bank), "two films tonight")
    key = read_keys(LOADED, ["two films tonight"], config.key)[0]
    wanted, made = config.apply([bank], [hidden_scores(bank, key, config.centre)])
    assert same_intervention(found.intervention, wanted) and found.level == "own" and found.reason is None
    assert [term.contrast for term in found.terms] == [term.contrast for term in made.terms(0)]
    assert len(found.terms) == 6 and sum(term.weight for term in found.terms) == pytest.approx(1)
    assert not same_intervention(steer_request(LOADED, FittedSteering(config, bank), "reading").intervention, wanted)
    few = ValidationResult("own", reason="too few samples to check (3 of 4)")
    told = steer_request(LOADED, FittedSteering(config, bank, few), "two films tonight")
    assert told.reason == few.reason and same_intervention(told.intervention, wanted)


def test_a_request_is_compared_by_its_words(read: tuple[SteeringConfig, Bank, torch.Tensor]) -> None:
    config, bank, mean = read
    config = replace(config, similarity="bm25", aggregation=replace(SOFT, top=1))
    texts = {sample.id: sample.request.query for sample in SAMPLES}
    for number in (0, 2, 4):
        (term,) = steer_request(LOADED, FittedSteering(config, bank, texts=texts), SAMPLES[number].request.query).terms
        assert (term.record, term.contrast) == (SAMPLES[number].record, bank.rows[number].contrast)
    # What there is no text of doesn't count, and who has nothing left gets the population's.
    (term,) = steer_request(
        LOADED,
        FittedSteering(config, bank, texts={name: text for name, text in texts.items() if text != "the sea"}),
        "the sea",
    ).terms
    assert term.record != SAMPLES[0].record
    for nothing in ({}, {"other": "text"}):
        found = steer_request(
            LOADED, FittedSteering(replace(config, population={SITE: mean}), bank, texts=nothing), "the sea"
        )
        assert (found.level, found.terms, found.reason) == ("population", (), "no samples of the user")


def test_older_samples_count_less(read: tuple[SteeringConfig, Bank, torch.Tensor]) -> None:
    config, bank, _ = read
    aged = replace(config, aggregation=Aggregation(top=None, weights="uniform", half_life=10.0))
    rows = tuple(replace(row, when=NOW - timedelta(days=10 * n)) for n, row in enumerate(bank.rows))
    terms = steer_request(LOADED, FittedSteering(aged, replace(bank, rows=rows)), "the sea", now=NOW).terms
    assert [term.record for term in terms] == [sample.record for sample in SAMPLES]
    assert [term.weight for term in terms] == pytest.approx([2.0**-n / (2 - 2.0**-5) for n in range(6)])
    # In ten days the balance is the same; what is from then counts as of today.
    later = steer_request(
        LOADED, FittedSteering(aged, replace(bank, rows=rows)), "the sea", now=NOW - timedelta(days=20)
    ).terms
    assert [term.weight for term in later[:3]] == pytest.approx([later[0].weight] * 3)


def test_every_user_without_vectors_of_use_gets_thesame_intervention(
    read: tuple[SteeringConfig, Bank, torch.Tensor],
) -> None:
    config, bank, mean = read
    for common in ({"population": {SITE: mean}}, {"base": {SITE: mean}}):
        given = replace(config, **common)  # type: ignore[arg-type]
        mine = replace(bank, model=given.origin)
        for nobody in (None, empty(mine)):
            for checked in (None, ValidationResult("own")):
                found = steer_request(LOADED, FittedSteering(given, nobody, checked), "the sea")
                assert found.level == "population" and found.reason == "no samples of the user" and not found.terms
                assert same_intervention(found.intervention, given.common())
        found = steer_request(
            LOADED, FittedSteering(given, mine, ValidationResult("population", reason="why")), "the sea"
        )
        assert found.level == "population" and found.reason == "why" and not found.terms
        assert same_intervention(found.intervention, given.common())


@pytest.mark.parametrize(
    ("checked", "there", "reason"),
    [
        (None, False, "no samples of the user, and no population to fall back on"),
        (ValidationResult("population", reason="why"), True, "why, and no population to fall back on"),
        (ValidationResult("population"), True, "no samples, and no population to fall back on"),
        (ValidationResult("none", reason="why"), True, "why"),
        (ValidationResult("none", reason="why"), False, "why"),
    ],
)
def test_nothing_is_written_with_a_reason(
    checked: ValidationResult | None, there: bool, reason: str, read: tuple[SteeringConfig, Bank, torch.Tensor]
) -> None:
    config, bank, _ = read
    found = steer_request(LOADED, FittedSteering(config, bank if there else None, checked), "the sea")
    assert (found.intervention, found.level, found.terms, found.reason) == (None, "none", (), reason)


def test_a_check_that_says_none_holds_with_a_population(read: tuple[SteeringConfig, Bank, torch.Tensor]) -> None:
    config, bank, mean = read
    given = replace(config, population={SITE: mean})
    assert (
        steer_request(LOADED, FittedSteering(given, bank, ValidationResult("none", reason="x")), "the sea").intervention
        is None
    )


def test_a_bank_of_another_config_is_refused(read: tuple[SteeringConfig, Bank, torch.Tensor]) -> None:
    config, bank, mean = read
    with pytest.raises(InputError, match="wasn't read for this configuration"):
        steer_request(LOADED, FittedSteering(replace(config, base={SITE: mean}), bank), "the sea")
