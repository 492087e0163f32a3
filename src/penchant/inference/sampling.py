"""How the next token is chosen: the likeliest one, or a sample; a model's own settings, and settings for the others."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.models.loading import LoadedModel


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. The default takes the likeliest one.

    temperature: 0 takes the likeliest token; above 0 samples with `seed` (None: a different sample each time). top_k,
    top_p, min_p: sample only among the k likeliest tokens, the fewest that hold this share of the probability, and
    those with at least this share of the likeliest one's (0, 1 and 0: all). repetition_penalty: divides the logits of
    tokens that are in the prompt or the answer (multiplies negative ones; 1: off; CTRL, arXiv 1909.05858).
    presence_penalty, frequency_penalty: subtracted from the logit of a token that is in the answer, once, and as often
    as it is there (0: off). bias: added to the logits of these tokens.

    Raises `InputError` for a value out of range.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    bias: tuple[tuple[int, float], ...] = ()
    seed: int | str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise InputError(f"temperature is {self.temperature}: expected 0 or more")
        if self.top_k < 0 or not 0 < self.top_p <= 1 or not 0 <= self.min_p <= 1:
            raise InputError(
                f"top_k {self.top_k}, top_p {self.top_p}, min_p {self.min_p}: expected top_k from 0, top_p above 0 and "
                "at most 1, min_p from 0 to 1"
            )
        if not 0 < self.repetition_penalty < float("inf"):
            raise InputError(f"repetition_penalty is {self.repetition_penalty}: expected more than 0; 1 is none")
        if not (-2 <= self.presence_penalty <= 2 and -2 <= self.frequency_penalty <= 2):
            raise InputError(
                f"presence_penalty {self.presence_penalty}, frequency_penalty {self.frequency_penalty}: expected "
                "numbers from -2 to 2"
            )


GREEDY = Sampling()
"""The likeliest token, always."""

UNSET = Sampling()
"""For models that ship no settings. On SmolLM2 a repetition penalty of 1.1 ends all loops (24 open requests: 10 loops
without, none with it; 4 at temperature 0.2 and top_p 0.9). `Repetition` ends loops anyway, without changing the other
answers, so the likeliest token is taken.
"""


def own_sampling(loaded: LoadedModel, *, temperature: float | None = None, seed: int | str | None = None) -> Sampling:
    """Return the settings that a model ships (`generation_config.json`), or `UNSET` if it ships none.

    temperature: None leaves it to these settings; 0 takes the likeliest token and applies none of them; another value
    replaces that of the model.
    """
    if temperature == 0:
        return GREEDY
    settings = getattr(loaded.model, "generation_config", None)
    names = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
    shipped = {name: value for name in names if (value := getattr(settings, name, None)) is not None}
    sampled = getattr(settings, "do_sample", None)
    shipped = {name: int(value) if name == "top_k" else float(value) for name, value in shipped.items()}
    own = Sampling(**shipped) if shipped or sampled else UNSET
    if temperature is None:
        # A temperature that a file gives without `do_sample` is meant to be used.
        temperature = 0.0 if sampled is False else own.temperature
        if sampled and "temperature" not in shipped:
            temperature = 1.0
    return replace(own, temperature=temperature, seed=seed)


class Sampler:
    """Chooses the tokens of one answer, one after the other."""

    def __init__(self, sampling: Sampling, prompt: Sequence[int]) -> None:
        self._sampling = sampling
        self._draws = random.Random(sampling.seed) if sampling.temperature else None
        self._seen = dict.fromkeys(prompt)  # in order, without duplicates
        self._said = Counter[int]()

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is taken and nothing changes the logits."""
        return self._draws is None and not self._changes

    @property
    def _changes(self) -> bool:
        one = self._sampling
        return one.repetition_penalty != 1 or bool(one.presence_penalty or one.frequency_penalty or one.bias)

    def pick(self, logits: Float[Tensor, " vocab"]) -> int:
        """Return the next token."""
        logits = self._penalized(logits.float().cpu().double())
        token = int(logits.argmax()) if self._draws is None else self._drawn(logits, self._draws)
        self._seen[token] = None
        self._said[token] += 1
        return token

    def _penalized(self, logits: Float[Tensor, " vocab"]) -> Float[Tensor, " vocab"]:
        sampling = self._sampling
        penalty = sampling.repetition_penalty
        if penalty != 1 and self._seen:
            seen = torch.tensor(list(self._seen))
            logits[seen] = torch.where(logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty)
        if (sampling.presence_penalty or sampling.frequency_penalty) and self._said:
            counts = torch.tensor(list(self._said.values()), dtype=logits.dtype)
            logits[list(self._said)] -= sampling.presence_penalty + sampling.frequency_penalty * counts
        for token, added in sampling.bias:
            if 0 <= token < len(logits):
                logits[token] += added
        return logits

    def _drawn(self, logits: Float[Tensor, " vocab"], draws: random.Random) -> int:
        """Return a sample: temperature, then top_k, top_p and min_p, as transformers applies them."""
        sampling = self._sampling
        logits = logits / sampling.temperature
        if 0 < sampling.top_k < len(logits):
            logits[logits < logits.topk(sampling.top_k).values[-1]] = -torch.inf
        chances = torch.softmax(logits, -1)
        if sampling.top_p < 1:
            ordered, places = chances.sort(descending=True)
            chances[places[ordered.cumsum(-1) - ordered >= sampling.top_p]] = 0
        if sampling.min_p:
            chances[chances < sampling.min_p * float(chances.max())] = 0
        heaped = chances.cumsum(-1)
        at = torch.searchsorted(heaped, draws.random() * float(heaped[-1]), right=True)
        # Rounding may lead past the end, where tokens that can't be taken may lie.
        return min(int(at), int(chances.nonzero()[-1]))
