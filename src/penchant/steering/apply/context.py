"""Steering of one answer: written only while a piece of it is made, and told with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

from penchant.history.records import Request
from penchant.inference.intervention import Intervention
from penchant.inference.runtime import Runtime
from penchant.lens.calibration import Calibration
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import prompt_ids
from penchant.steering.config import SteeringConfig
from penchant.steering.fit.validation import Steered
from penchant.steering.methods.attention_bias import (
    BONUS,
    AttentionBias,
    attention_bias_on,
    biased_attention,
    retrieval_heads,
)

EMPHASIS = "emphasis"
"""The name of attention emphasis among the methods of an answer."""

StepContext = Callable[[], AbstractContextManager[None]]
"""What is entered around each step of an answer, and left before its piece is handed on."""


@dataclass(frozen=True)
class Steering:
    """What was written into one answer, and why. level: "own" (the user's vectors), "population" (what helps everyone),
    "none", "given" (the caller's), or "emphasis". sites: where, for emphasis its heads. strength: what the vectors
    were multiplied by, for emphasis its nats. norms: length at each site, as a share of the longest that is allowed.
    terms: record ids ("": feedback) and weights of what it stands on. reason: why it isn't the user's own."""

    method: str
    level: str
    sites: tuple[str, ...] = ()
    scope: str | None = None
    strength: float | None = None
    norms: dict[str, float] = field(default_factory=dict)
    terms: tuple[tuple[str, float], ...] = ()
    reason: str | None = None

    def __str__(self) -> str:
        parts = [f"steering: {self.method}, {self.level}"]
        if self.sites:
            parts.append(f"at {' '.join(self.sites)}, scope {self.scope}, strength {self.strength:.3g}")
        if self.terms:
            parts.append(", ".join(f"{record or 'feedback'} {weight:.2f}" for record, weight in self.terms[:3]))
        return "; ".join(parts) + (f" ({self.reason})" if self.reason else "")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        terms = [{"record": record, "weight": weight} for record, weight in self.terms]
        return {**asdict(self), "sites": list(self.sites), "terms": terms}


def describe(config: SteeringConfig, steered: Steered) -> Steering:
    """What a setting writes into an answer."""
    if steered.intervention is None:
        return Steering(config.method, steered.level, reason=steered.reason)
    norms = {
        str(site): float(edit.add.norm()) / config.caps[site]
        for site, edit in sorted(steered.intervention.edits.items())
        if edit.add is not None and config.caps[site]
    }
    terms = tuple((term.record, term.weight) for term in steered.terms)
    sites, scope = tuple(map(str, config.sites)), config.scope
    return Steering(config.method, steered.level, sites, scope, config.strength, norms, terms, steered.reason)


def describe_given(intervention: Intervention) -> Steering:
    """What a caller's own intervention writes."""
    return Steering("given", "given", tuple(map(str, sorted(intervention.edits))), intervention.scope, 1.0)


@contextmanager
def steering_context(loaded: LoadedModel, intervention: Intervention | None, prompt: str) -> Iterator[StepContext]:
    """Steps under an intervention of one row, behind a rendered prompt. Raises `InputError` for one that doesn't fit
    the model."""
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
    """Steps under emphasis on marked pieces of a prompt (record id, text, mark), seen from the request on."""
    found = attention_bias_on(loaded, prompt, [text.strip() for _, text, _ in pieces], asked=_asked(prompt, request))
    if found is None:
        return nullcontext, Steering(EMPHASIS, "none", reason="nothing that was marked stands in the prompt")
    heads = retrieval_heads(calibration)
    sites = tuple(f"{layer}.{head}" for layer in sorted(heads) for head in heads[layer])
    terms = tuple((record, mark) for record, _, mark in pieces)

    def step(emphasis: AttentionBias = found) -> AbstractContextManager[None]:
        return biased_attention(loaded.model, [emphasis], heads)

    return step, Steering(EMPHASIS, EMPHASIS, sites, "request", BONUS, terms=terms)


def wrapped_stream(pieces: Iterator[str], step: StepContext) -> Iterator[str]:
    """The pieces, each made inside `step` and handed on outside of it."""
    while True:
        with step():
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


def _asked(prompt: str, request: Request) -> str | None:
    """The beginning of the request, as far as the prompt shows it unchanged."""
    for text in (request.task, request.query):
        if text and text.strip() in prompt:
            return text.strip()
    return None
