"""Users of tiny models, who always say the same few things, and a method that is quickly fitted to them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from penchant.history.records import Request
from penchant.inference.intervention import Intervention
from penchant.inference.likelihood import Exchange
from penchant.inference.runtime import steered
from penchant.inference.sites import Site
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.steering.apply.aggregation import Aggregation
from penchant.steering.config import SteeringConfig
from penchant.steering.data.contrast import Contrast, PromptTemplate
from penchant.steering.data.pairs import Pair
from penchant.steering.methods.method import VectorMethod
from penchant.steering.storage.bank import Bank, KeySite, Row

INPUTS = ("the sea", "a report", "two films", "some letters", "long walks", "cooking", "Tuesday", "reading")
UNIFORM = Aggregation(top=None, weights="uniform")
STEPS = VectorMethod("steps", ("block",), "gradient", (UNIFORM,), (0.1, 0.3), "for tests", (0.4, 0.7), True)
DIFFERENCES = VectorMethod("differences", ("attention", "mlp"), "answer_mean", (UNIFORM,), (0.5, 1.0), "", (0.4, 0.7))
SITES = (Site(1, "block"),)


def template(loaded: LoadedModel) -> PromptTemplate:
    def words(notes: str | None, request: Request) -> str:
        return render_chat(loaded, [{"role": "user", "content": f"{notes or ''} {request.query}"}])

    return words


def pairs(word: str, count: int = 4) -> list[Pair]:
    """Of a user who answers everything with one word."""
    return [Pair(Request(INPUTS[n % 8]), f"{word} {word} {INPUTS[-n % 8]}", f"{word}-{n}") for n in range(count)]


def contrasts(word: str, count: int = 4, other: str = "else") -> list[Contrast]:
    return [
        Contrast(one.request, one.answer, f"{other} {n} {other}", "none", one.record)
        for n, one in enumerate(pairs(word, count))
    ]


def setting_of(loaded: LoadedModel, **others: object) -> SteeringConfig:
    """Of gradients in one layer, of everything alike."""
    made = SteeringConfig(
        "steps",
        loaded.fingerprint,
        loaded.name,
        "gradient",
        SITES,
        KeySite(Site(2, "block")),
        "last_1",
        0.5,
        UNIFORM,
        torch.zeros(64),
        dict.fromkeys(SITES, 50.0),
    )
    return replace(made, **others)  # type: ignore[arg-type]


def noise_bank(config: SteeringConfig, user: str, rows: int = 4, seed: int = 0) -> Bank:
    """Random vectors and keys, as if read for a config."""
    draw = torch.Generator().manual_seed(seed)
    vectors = {site: torch.randn(rows, 64, generator=draw) for site in config.sites}
    named = tuple(Row(f"{user}{seed}-{n}", f"r{n}") for n in range(rows))
    return Bank(vectors, torch.randn(rows, 64, generator=draw), named, config.origin, config.reading, config.key)


def plain_nll(loaded: LoadedModel, one: Exchange, written: Intervention | None) -> Tensor:
    """NLL of an answer in one unpadded forward pass of everything, under an intervention of one row."""
    with steered(loaded.model, written, [len(one.prompt)]):
        logits = loaded.model(torch.tensor([[*one.prompt, *one.answer]])).logits[0]
    answer = torch.tensor(one.answer)
    read = logits[len(one.prompt) - 1 : -1].log_softmax(-1)
    found: Tensor = -read.gather(1, answer[:, None]).mean()
    return found


def hooked(loaded: LoadedModel) -> int:
    """Hooks of all modules."""
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in loaded.model.modules())


def same_intervention(one: Intervention | None, other: Intervention | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.scope, list(one.edits)) == (other.scope, list(other.edits)) and all(
        torch.equal(edit.add, other.edits[site].add)  # type: ignore[arg-type]
        for site, edit in one.edits.items()
    )
