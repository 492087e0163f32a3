"""Steering of one answer: the intervention for a request, the reasons, and the context in which each piece is
generated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from penchant.history.records import Request
from penchant.inference.intervention import Intervention, stack
from penchant.inference.runtime import Runtime, steered
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
"""How a user is steered: by the user's own vectors, by what helps everyone, or not at all."""

StepContext = Callable[[], AbstractContextManager[None]]
"""A context entered before each piece of an answer is generated, and left before the piece is yielded."""


@dataclass(frozen=True)
class ValidationResult:
    """The result of a validation. level: how this user is steered. own, common: gains in nats per token on held-out
    answers of the user, steered by the user's other samples and by the population alone; answers: how many. reason: why
    not by the user's own vectors.
    """

    level: Level
    own: float = 0.0
    common: float = 0.0
    answers: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class FittedSteering:
    """The fitted state of one user and method. bank: None without samples read for this configuration. validation: None
    if the bank is used without one. texts: the inputs of the bank's rows by contrast, if the configuration compares
    words. shared: whether the configuration was chosen on several users.
    """

    config: SteeringConfig
    bank: Bank | None = None
    validation: ValidationResult | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    shared: bool = True


@dataclass(frozen=True)
class Steering:
    """The steering of one answer, and the reasons for it.

    level: see `Level`; "given" for the caller's own intervention, "emphasis" for attention bias. sites: those edited;
    for emphasis its heads. strength: the factor of the vectors; for emphasis its nats. norms: length at each site, as a
    share of the longest allowed. terms: the samples in the vectors, heaviest first; for emphasis the marked records.
    reason: why not the user's own vectors. intervention: one row; None if there are no vectors.
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
        """Make the steering for an intervention of the caller's."""
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
        """Return a dictionary for JSON."""
        about: dict[str, Any] = {"method": self.method, "level": self.level, "sites": list(self.sites)}
        about |= {"scope": self.scope, "strength": self.strength, "norms": dict(self.norms)}
        terms = [{"record": term.record, "weight": term.weight} for term in self.terms]
        return {**about, "terms": terms, "reason": self.reason}


def steer_request(loaded: LoadedModel, fitted: FittedSteering, query: str, *, now: datetime | None = None) -> Steering:
    """Return the steering for a request of a user. Without samples, or if the user's own vectors don't help, it is what
    helps everyone. If words are compared, rows whose input has no text are ignored. now: the time from which ages are
    counted (default: the current time).

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
    """Return the context for pieces of an answer after a rendered prompt, under an intervention of one row; None: no
    intervention. Raises `InputError` for one that doesn't fit the model.
    """
    if intervention is None or not intervention.rows:
        yield nullcontext
        return
    length = len(prompt_ids(loaded, prompt))
    with Runtime(loaded.model, list(intervention.edits)) as runtime:
        yield lambda: runtime.steering(intervention, [length])


def attention_bias_for(
    loaded: LoadedModel,
    calibration: Calibration,
    prompt: str,
    pieces: Sequence[tuple[str, str, float]],
    request: Request,
) -> tuple[AttentionBias | None, Steering]:
    """Return a bias for more attention, from the request on, to marked pieces of a prompt (record id, text, mark), and
    its description; None if no marked text is in the prompt.
    """
    # A special token in the request is broken up in the prompt, so the original text can't be found there.
    shown = [text.strip() for text in (request.task, request.query) if text and text.strip() in prompt]
    bias = attention_bias_on(loaded, prompt, [text.strip() for _, text, _ in pieces], asked=shown[0] if shown else None)
    if bias is None:
        return None, Steering(EMPHASIS, "none", reason="no marked text is in the prompt")
    heads = retrieval_heads(calibration)
    sites = tuple(f"{layer}.{head}" for layer in sorted(heads) for head in heads[layer])
    terms = tuple(Term(record, mark) for record, _, mark in pieces)
    return bias, Steering(EMPHASIS, EMPHASIS, sites, "request", BONUS, terms=terms)


@contextmanager
def batch_context(
    loaded: LoadedModel,
    prompts: Sequence[str],
    interventions: Sequence[Intervention | None],
    biases: Sequence[AttentionBias | None],
    calibration: Calibration | None,
) -> Iterator[None]:
    """Steer each row of a batch of prompts by its own intervention and its own attention bias. calibration: names the
    heads of the biases; None without any. Raises `InputError` for interventions of different scopes or models.
    """
    with ExitStack() as stacked:
        if (intervention := stack(interventions)) is not None:
            lengths = [len(prompt_ids(loaded, prompt)) for prompt in prompts]
            stacked.enter_context(steered(loaded.model, intervention, lengths))
        if calibration is not None and any(bias is not None for bias in biases):
            stacked.enter_context(biased_attention(loaded.model, biases, retrieval_heads(calibration)))
        yield


def wrapped_stream(pieces: Iterator[str], step: StepContext) -> Iterator[str]:
    """Yield the pieces, each generated inside `step` and yielded outside it."""
    while True:
        with step():
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece
