"""Extracts a user's bank from the user's samples, for every kind of reading."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from penchant.errors import InputError
from penchant.inference.intervention import Intervention
from penchant.inference.likelihood import Exchange
from penchant.inference.sites import Site
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import continuation_ids, prompt_ids
from penchant.progress import Progress, no_progress
from penchant.steering.config import SteeringConfig
from penchant.steering.data.contrast import Contrast, PromptTemplate, Sample
from penchant.steering.data.pairs import first_words
from penchant.steering.extract.vectors import Context, likelihood_gradients, read_keys, read_vectors
from penchant.steering.storage.bank import Bank, KeySite, Reading, Row

ITEMS, ITEM_WORDS = 5, 60
"""Items in the context of a prompt ("prompt_last"), and words of each."""


def exchange_of(loaded: LoadedModel, sample: Sample, template: PromptTemplate) -> Exchange:
    """Return a sample as tokens: the bare prompt, and as much of the user's answer as fits the window.

    Raises `InputError` for a prompt that doesn't fit, or an empty answer.
    """
    prompt = prompt_ids(loaded, template(None, sample.request))
    return Exchange(tuple(prompt), continuation_ids(loaded, sample.answer)[: loaded.window - len(prompt)])


@dataclass(frozen=True)
class ActivationExtractor:
    """Reads the banks of a method. base: the intervention applied meanwhile (gradients). everyone: samples of all
    users, by id, from which contexts are drawn ("prompt_last"). progress: called with the number of samples read.

    `bank` raises `InputError` for samples without the data that the reading needs.
    """

    loaded: LoadedModel
    template: PromptTemplate
    reading: Reading
    key: KeySite
    scope: str
    base: Intervention | None = None
    everyone: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    progress: Progress = no_progress

    def bank(self, user: str, samples: Sequence[Sample], sites: Sequence[Site], origin: str) -> Bank:
        """Return a user's bank at `sites`. origin: see `SteeringConfig.origin`."""
        keys = read_keys(self.loaded, [sample.request.query for sample in samples], self.key)
        rows = tuple(Row.of(user, sample) for sample in samples)
        if self.reading == "gradient":
            exchanges = [exchange_of(self.loaded, sample, self.template) for sample in samples]
            vectors = likelihood_gradients(
                self.loaded, exchanges, sites, scope=self.scope, base=self.base, progress=self.progress
            )
        else:
            contrasts = [sample for sample in samples if isinstance(sample, Contrast)]
            if len(contrasts) < len(samples):
                raise InputError(f"reading {self.reading} needs contrasts with a rejected answer: make them first")
            prompts = self._prompts(user, samples)
            vectors = read_vectors(self.loaded, contrasts, sites, self.reading, prompts, progress=self.progress)
        return Bank(vectors, keys, rows, origin, self.reading, self.key)

    def _prompts(self, user: str, samples: Sequence[Sample]) -> Callable[[Contrast, Context], str]:
        others = [sample for name in sorted(self.everyone) if name != user for sample in self.everyone[name]]
        if self.reading == "prompt_last" and (len(samples) < 2 or not others):
            raise InputError("reading prompt_last needs two samples of the user and some of other users: import more")

        def prompt(contrast: Contrast, context: Context) -> str:
            if context == "same":
                return self.template(None, contrast.request)
            own = [sample for sample in samples if sample.request != contrast.request]
            drawn_from = others if context == "others" else own
            draw = random.Random(f"{context} {contrast.id}")
            return self.template(_notes(draw.sample(drawn_from, min(ITEMS, len(drawn_from)))), contrast.request)

        return prompt


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
    """Return a user's bank under a configuration. everyone: see `ActivationExtractor`. Raises `InputError` without
    samples, or for samples without the data that the method needs.
    """
    extractor = ActivationExtractor(
        loaded,
        template,
        config.reading,
        config.key,
        config.scope,
        config.base_intervention(),
        everyone=everyone or {},
        progress=progress,
    )
    return extractor.bank(user, samples, config.sites, config.origin)


def _notes(samples: Sequence[Sample]) -> str | None:
    texts = (f"{first_words(sample.request.query, ITEM_WORDS)}\n{sample.answer}" for sample in samples)
    return "\n\n".join(texts) or None
