"""Validates a user's vectors on the user's own held-out answers."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.errors import InputError
from penchant.inference.likelihood import losses
from penchant.models.loading import LoadedModel
from penchant.steering.apply.context import Level, ValidationResult
from penchant.steering.apply.similarity import Scorer
from penchant.steering.config import SteeringConfig
from penchant.steering.data.contrast import Sample
from penchant.steering.extract.extractor import PromptTemplate, exchange_of
from penchant.steering.fit.cross_validation import evenly_spread, leave_one_out, mean_over_users
from penchant.steering.storage.bank import Bank

MOST_HELD_OUT = 12
"""Most held-out answers per user."""
FEWEST_SAMPLES = 4
"""With fewer samples nothing can be validated, and what helps other users is trusted."""


def validate_user(
    loaded: LoadedModel, config: SteeringConfig, samples: Sequence[Sample], bank: Bank, *, template: PromptTemplate
) -> ValidationResult:
    """Check whether the user's vectors make the user's own held-out answers likelier, and more so than the
    population's.

    samples: those of the bank's rows, in order. If the user's vectors don't help, the population's are used, or none.
    Raises `InputError` for other samples.
    """
    if [row.contrast for row in bank.rows] != [sample.id for sample in samples]:
        raise InputError("samples that aren't those of the bank's rows, in order: read the bank again")
    common = config.common() if config.base or config.population else None
    if config.strength == 0 and common is None:
        return ValidationResult("none", reason=f"{config.method} helped none of the users that it was fitted on")
    if len(bank) < FEWEST_SAMPLES:
        level: Level = "own" if config.strength else "population"
        return ValidationResult(level, reason=f"too few samples to check ({len(bank)} of {FEWEST_SAMPLES})")
    numbers = evenly_spread(len(bank), MOST_HELD_OUT)
    count = len(numbers)
    exchanges = [exchange_of(loaded, samples[number], template) for number in numbers]
    scorer = Scorer(config.similarity, {sample.id: sample.request.query for sample in samples})
    by_own = leave_one_out({"": bank}, [("", number) for number in numbers], config, scorer=scorer)
    by_common = [] if common is None else [config.common(count)]
    unsteered, *steered = losses(loaded, exchanges, [None, by_own, *by_common])
    own_gains, *common_gains = [unsteered - one for one in steered]
    own, others = float(own_gains.mean()), float(common_gains[0].mean()) if common_gains else 0.0
    # The noise of a dozen answers shouldn't remove a user's own vectors: they must be worse by more than the noise.
    difference = own_gains - (common_gains[0] if common_gains else 0.0)
    slack = mean_over_users(difference, [str(number) for number in numbers])[1]
    if config.strength and own > 0 and own >= others - slack:
        return ValidationResult("own", own, others, count)
    why = f"on {count} held-out answers the user's own vectors gain {own:+.3f} nats a token"
    if others > 0:
        return ValidationResult("population", own, others, count, f"{why}, the population's {others:+.3f}")
    return ValidationResult("none", own, others, count, f"{why}: nothing is written")
