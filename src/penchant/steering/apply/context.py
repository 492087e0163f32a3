"""Steering of one answer: what is written for a request and why, and the context in which each piece is generated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from penchant.history.records import Request
from penchant.inference.intervention import Intervention
from penchant.inference.runtime import Runtime
from penchant.lens.calibration import Calibration
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import prompt_ids
from penchant.steering.apply.aggregation import Term
from penchant.steering.apply.similarity import Scorer
from penchant.steering.config import SteeringConfig
from penchant.steering.extract.vectors import read_keys
from penchant.steering.methods.attention_bias import (
    BONUS,
    AttentionBias,
    attention_bias_on,
    biased_attention,
    retrieval_heads,
)
from penchant.steering.methods.registry import EMPHASIS
from penchant.steering.storage.bank import Bank

Level = Literal["own", "population", "none"]
"""What a user is steered by: the user's own vectors, what helps everyone, or nothing."""

StepContext = Callable[[], AbstractContextManager[None]]
"""What is entered before each piece of an answer is generated, and left before the piece is handed on."""


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
class FittedSteering:
    """What one user is steered by with one method. bank: None without samples that were read for this configuration.
    validation: None where the bank is used without one. texts: the inputs of the bank's rows by contrast, where the
    configuration compares words. shared: whether the configuration was chosen on several users."""

    config: SteeringConfig
    bank: Bank | None = None
    validation: ValidationResult | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    shared: bool = True


@dataclass(frozen=True)
class Steering:
    """What is written into one answer, and why.

    level: see `Level`; "given" for the caller's own intervention, "emphasis" for attention bias. sites: where; for
    emphasis its heads. strength: what the vectors were multiplied by; for emphasis its nats. norms: length at each
    site, as a share of the longest that is allowed. terms: the samples it stands on, heaviest first; for emphasis the
    marked records. reason: why it isn't the user's own. intervention: one row; None where no vectors are written.
    """

    method: str
    level: Level | Literal["given", "emphasis"]
    sites: tuple[str, ...] = ()
    scope: str | None = None
    strength: float | None = None
    norms: dict[str, float] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()
    reason: str | None = None
    intervention: Intervention | None = field(default=None, repr=False, compare=False)

    @classmethod
    def given(cls, intervention: Intervention) -> Steering:
        """By an intervention of the caller's."""
        sites = tuple(map(str, sorted(intervention.edits)))
        return cls("given", "given", sites, intervention.scope, 1.0, intervention=intervention)

    def __str__(self) -> str:
        parts = [f"steering: {self.method}, {self.level}"]
        if self.sites:
            parts.append(f"at {' '.join(self.sites)}, scope {self.scope}, strength {self.strength:.3g}")
        if self.terms:
            parts.append(", ".join(f"{term.record or 'feedback'} {term.weight:.2f}" for term in self.terms[:3]))
        return "; ".join(parts) + (f" ({self.reason})" if self.reason else "")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        about: dict[str, Any] = {"method": self.method, "level": self.level, "sites": list(self.sites)}
        about |= {"scope": self.scope, "strength": self.strength, "norms": dict(self.norms)}
        terms = [{"record": term.record, "weight": term.weight} for term in self.terms]
        return {**about, "terms": terms, "reason": self.reason}


def steer_request(loaded: LoadedModel, fitted: FittedSteering, query: str, *, now: datetime | None = None) -> Steering:
    """What is written for a request of a user. Without samples, or where the user's own vectors don't help, that is
    what helps everyone. A row whose input has no text doesn't count where words are compared. now: when ages are
    counted from (default: this moment).

    Raises `InputError` for a bank that was read for another configuration.
    """
    config, bank, validation = fitted.config, fitted.bank, fitted.validation
    level: Level = validation.level if validation else "own"
    reason = validation.reason if validation else None
    scorer = Scorer(config.similarity, fitted.texts)
    if bank is not None:
        bank = scorer.usable(bank)
    if level == "own" and not bank:
        level, reason = "population", "no samples of the user"
    if level == "population" and not (config.base or config.population):
        level, reason = "none", f"{reason or 'no samples'}, and no population to fall back on"
    if level == "none":
        return Steering(config.method, level, reason=reason)
    terms: tuple[Term, ...] = ()
    if level == "population" or bank is None:
        intervention = config.common()
    else:
        key = read_keys(loaded, [query], config.key)[0] if config.similarity == "hidden" else None
        scores = scorer.scores(bank, query, key, config.centre)
        intervention, aggregate = config.apply([bank], [scores], now)
        terms = tuple(aggregate.terms(0))
    norms = {
        str(site): float(edit.add.norm()) / config.caps[site]
        for site, edit in sorted(intervention.edits.items())
        if edit.add is not None and config.caps[site]
    }
    sites = tuple(map(str, config.sites))
    return Steering(config.method, level, sites, config.scope, config.strength, norms, terms, reason, intervention)


@contextmanager
def steering_context(loaded: LoadedModel, intervention: Intervention | None, prompt: str) -> Iterator[StepContext]:
    """The context for pieces of an answer under an intervention of one row, behind a rendered prompt; None: nothing is
    written. Raises `InputError` for one that doesn't fit the model."""
    if intervention is None or not intervention.rows:
        yield nullcontext
        return
    length = len(prompt_ids(loaded, prompt))
    with Runtime(loaded.model, list(intervention.edits)) as runtime:
        yield lambda: runtime.steering(intervention, [length])


def attention_bias_context(
    loaded: LoadedModel,
    calibration: Calibration,
    prompt: str,
    pieces: Sequence[tuple[str, str, float]],
    request: Request,
) -> tuple[StepContext, Steering]:
    """The context for pieces of an answer under more attention on marked pieces of its prompt (record id, text, mark),
    seen from the request on."""
    # A special token in the request is broken up in the prompt: what doesn't stand there as it is can't be found.
    shown = [text.strip() for text in (request.task, request.query) if text and text.strip() in prompt]
    asked = shown[0] if shown else None
    bias = attention_bias_on(loaded, prompt, [text.strip() for _, text, _ in pieces], asked=asked)
    if bias is None:
        return nullcontext, Steering(EMPHASIS, "none", reason="nothing that was marked stands in the prompt")
    heads = retrieval_heads(calibration)
    sites = tuple(f"{layer}.{head}" for layer in sorted(heads) for head in heads[layer])
    terms = tuple(Term(record, mark) for record, _, mark in pieces)

    def step(bias: AttentionBias = bias) -> AbstractContextManager[None]:
        return biased_attention(loaded.model, [bias], heads)

    return step, Steering(EMPHASIS, EMPHASIS, sites, "request", BONUS, terms=terms)


def wrapped_stream(pieces: Iterator[str], step: StepContext) -> Iterator[str]:
    """The pieces, each generated inside `step` and handed on outside of it."""
    while True:
        with step():
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece
