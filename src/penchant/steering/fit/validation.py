"""One user's steering: the bank under a setting, checked on the user's own held-out answers, applied to a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from penchant.errors import InputError
from penchant.inference.intervention import Intervention
from penchant.inference.likelihood import losses
from penchant.models.loading import LoadedModel
from penchant.progress import Progress, no_progress
from penchant.steering.apply.aggregation import Term
from penchant.steering.apply.similarity import Scorer, SimilarityQuery
from penchant.steering.config import SteeringConfig
from penchant.steering.extract.extractor import (
    ActivationExtractor,
    PromptTemplate,
    Sample,
    exchange_of,
    inputs_of,
    row_of,
)
from penchant.steering.extract.vectors import read_keys
from penchant.steering.fit.cross_validation import leave_one_out, mean_over_users, select_rows
from penchant.steering.storage.bank import Bank

MOST_HELD_OUT = 12
"""Most of a user's answers that are held out to check."""
FEWEST_SAMPLES = 4
"""With fewer samples nothing can be checked, and what helps other users is trusted."""

Level = Literal["own", "population", "none"]
"""What a user is steered by."""


@dataclass(frozen=True)
class ValidationResult:
    """level: what is written for this user. own, common: gains in nats a token on held-out answers of the user, steered
    by the user's other samples and by the population alone; answers: how many. reason: why it isn't the user's own."""

    level: Level
    own: float = 0.0
    common: float = 0.0
    answers: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class Steered:
    """intervention: one row; None: nothing is written. terms: the samples it stands on, heaviest first."""

    intervention: Intervention | None
    level: Level
    terms: tuple[Term, ...] = ()
    reason: str | None = None


def extract_bank(
    loaded: LoadedModel,
    config: SteeringConfig,
    user: str,
    samples: Sequence[Sample],
    template: PromptTemplate,
    *,
    everyone: Mapping[str, Sequence[Sample]] | None = None,
    progress: Progress = no_progress,
) -> Bank:
    """A user's bank under a configuration. everyone: see `ActivationExtractor`. Raises `InputError` for no samples, or
    for samples that lack what the method reads."""
    base = config.base_intervention()
    reader = ActivationExtractor(
        loaded, template, config.reading, config.key, config.scope, base, everyone=everyone or {}, progress=progress
    )
    return reader.bank(user, samples, config.sites, config.origin)


def validate_user(
    loaded: LoadedModel, config: SteeringConfig, samples: Sequence[Sample], bank: Bank, *, template: PromptTemplate
) -> ValidationResult:
    """Whether the user's vectors make the user's own held-out answers likelier, and than the population's do.

    samples: those of the bank's rows, in order. Where the user's vectors don't help, the population's are left, or
    nothing. Raises `InputError` for other samples.
    """
    if [row.contrast for row in bank.rows] != [row_of("", sample).contrast for sample in samples]:
        raise InputError("samples that aren't those of the bank's rows, in order: read the bank anew")
    common = config.common() if config.base or config.population else None
    if config.strength == 0 and common is None:
        return ValidationResult("none", reason=f"{config.method} helped none of the users that it was fitted on")
    if len(bank) < FEWEST_SAMPLES:
        level: Level = "own" if config.strength else "population"
        return ValidationResult(level, reason=f"too few samples to check ({len(bank)} of {FEWEST_SAMPLES})")
    count = min(MOST_HELD_OUT, len(bank))
    numbers = [(2 * index + 1) * len(bank) // (2 * count) for index in range(count)]
    exchanges = [exchange_of(loaded, samples[number], template) for number in numbers]
    scorer = Scorer(config.similarity, inputs_of(samples))
    choices = [select_rows(leave_one_out({"": bank}, [("", number) for number in numbers], config, scorer=scorer))]
    if common is not None:
        choices.append(select_rows(config.common(count)))
    found = losses(loaded, exchanges, [lambda rows: None, *choices])
    gains = [found[0] - row for row in found[1:]]
    means = [float(gain.mean()) for gain in gains]
    own, others = means[0], means[1] if common is not None else 0.0
    # Noise of a dozen answers shouldn't take a user's own vectors away: they go when they are worse by its size.
    difference = gains[0] - (gains[1] if common is not None else 0.0)
    slack = mean_over_users(difference, [str(number) for number in numbers])[1]
    if config.strength and own > 0 and own >= others - slack:
        return ValidationResult("own", own, others, count)
    why = f"on {count} held-out answers the user's own vectors gain {own:+.3f} nats a token"
    if others > 0:
        return ValidationResult("population", own, others, count, f"{why}, the population's {others:+.3f}")
    return ValidationResult("none", own, others, count, f"{why}: nothing is written")


def steer_request(
    loaded: LoadedModel,
    config: SteeringConfig,
    bank: Bank | None,
    query: str,
    *,
    validation: ValidationResult | None = None,
    texts: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> Steered:
    """What is written for a request. bank: None or empty: of a user without samples, who gets the population's. texts:
    the inputs of its rows by contrast, where a setting compares words; a row without one doesn't count. now: when ages
    are counted from (default: this moment).

    Raises `InputError` for a bank of another setting.
    """
    level: Level = validation.level if validation else "own"
    reason = validation.reason if validation else None
    scorer = Scorer(config.similarity, texts or {})
    if level == "own" and bank is not None:
        bank = scorer.usable(bank)
    if level == "own" and (bank is None or not len(bank)):
        level, reason = "population", "no samples of the user"
    if level == "population" and not (config.base or config.population):
        level, reason = "none", f"{reason or 'no samples'}, and no population to fall back on"
    if level == "none":
        return Steered(None, level, reason=reason)
    if level == "population" or bank is None:
        return Steered(config.common(), level, reason=reason)
    key = read_keys(loaded, [query], config.key)[0] if config.similarity == "hidden" else None
    scores = scorer.scores(bank, SimilarityQuery(query, key), config.centre)
    intervention, made = config.apply([bank], [scores], now)
    return Steered(intervention, level, tuple(made.terms(0)), reason)
