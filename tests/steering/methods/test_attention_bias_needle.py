"""Context awareness (Wang et al. 2024, arXiv 2411.02688) on the embedded model: one fact among twelve is asked for in
the chat template; emphasis on it gives it attention and makes the answer likelier, on another fact it doesn't."""

from functools import cached_property

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from penchant.inference.attention_hooks import install, observing
from penchant.lens.calibration import calibration_for
from penchant.lens.rows import attention_rows
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import prompt_ids
from penchant.steering.methods.attention_bias import (
    AttentionBias,
    Heads,
    attention_bias_on,
    biased_attention,
    retrieval_heads,
)

FACTS = [
    ("The code of my locker is", "4817", "What is the code of my locker?"),
    ("My dentist is called", "Doctor Quill", "What is my dentist called?"),
    ("The dog of my aunt is called", "Biscuit", "What is the dog of my aunt called?"),
    ("My train leaves from platform", "nineteen", "From which platform does my train leave?"),
    ("My favourite tea is", "jasmine", "What is my favourite tea?"),
    ("The boat of my uncle is called", "Marigold", "What is the boat of my uncle called?"),
    ("My piano teacher lives in", "Tromso", "Where does my piano teacher live?"),
    ("I parked the car on level", "seven", "On which level did I park the car?"),
    ("My first school was in", "Lisbon", "Where was my first school?"),
    ("The bakery I like opens at", "half past six", "When does the bakery I like open?"),
    ("My neighbour collects", "old stamps", "What does my neighbour collect?"),
    ("The wifi password is", "orange-lamp", "What is the wifi password?"),
]
COUNT = len(FACTS)


class Needles:
    """A batch of one prompt for each fact, padded on the left, its notes cached: what differs comes behind them."""

    def __init__(self, loaded: LoadedModel) -> None:
        install(loaded.model)  # what is left alone is read as well
        self.loaded = loaded
        self.prompts = [self._prompt(i) for i in range(COUNT)]
        self.answers = [loaded.tokenizer(f" {value}", add_special_tokens=False)["input_ids"] for _, value, _ in FACTS]
        self.rows = [prompt_ids(loaded, text) + ids[:-1] for text, ids in zip(self.prompts, self.answers, strict=True)]
        self.width = max(map(len, self.rows))
        self.ids = torch.zeros(COUNT, self.width, dtype=torch.long)
        self.seen = torch.zeros_like(self.ids)
        for i, row in enumerate(self.rows):
            self.ids[i, self.width - len(row) :], self.seen[i, self.width - len(row) :] = torch.tensor(row), 1
        self.tail = max(len(row) - (one.begin or 0) for row, one in zip(self.rows, self.on(0, 1.0), strict=True))

    @staticmethod
    def _fact(i: int) -> str:
        return "{} {}.".format(*FACTS[i % COUNT])

    def _prompt(self, i: int) -> str:
        notes = "\n".join(self._fact(i * 5 + j) for j in range(COUNT))  # the needle stands at every depth once
        content = f"Notes about me:\n{notes}\n\nQuestion: {FACTS[i][2]}"
        begun = FACTS[i][0].replace("My ", "Your ").replace(" my ", " your ").replace("I ", "you ").capitalize()
        return render_chat(self.loaded, [{"role": "user", "content": content}]) + begun

    def on(self, other: int, bonus: float) -> list[AttentionBias]:
        """Emphasis on the fact that is asked for (0), or on the one so many further."""
        pieces = [[self._fact(i + other)] for i in range(COUNT)]
        made = [
            attention_bias_on(self.loaded, *pair, 1.0, "Question: ") for pair in zip(self.prompts, pieces, strict=True)
        ]
        return [AttentionBias(one.spans, (bonus,), one.begin) for one in made if one]

    @cached_property
    def cache(self) -> DynamicCache:
        cache = DynamicCache()
        with torch.no_grad():
            self._forward(slice(0, self.width - self.tail), cache)
        return cache

    def _forward(self, at: slice, cache: DynamicCache) -> Tensor:
        positions = (self.seen.cumsum(1) - 1).clamp(min=0)
        out = self.loaded.model(
            self.ids[:, at], attention_mask=self.seen[:, : at.stop], position_ids=positions[:, at],
            past_key_values=cache, logits_to_keep=max(map(len, self.answers)),
        )  # fmt: skip
        return out.logits.float().log_softmax(-1)  # type: ignore[no-any-return]

    def read(self, emphases: list[AttentionBias], heads: Heads) -> tuple[Tensor, Tensor]:
        """NLL of each answer, and the needle's mean share of the attention at `heads` where the answer begins."""
        cache, shares = self.cache, Shares(self, emphases, heads)
        with torch.no_grad(), biased_attention(self.loaded.model, emphases, heads), observing(shares):
            out = self._forward(slice(self.width - self.tail, self.width), cache)
        cache.crop(-self.tail)
        nlls = [
            -sum(float(out[i, j - len(answer), token]) for j, token in enumerate(answer))
            for i, answer in enumerate(self.answers)
        ]
        return torch.tensor(nlls), torch.stack(shares.seen).mean(0)


class Shares:
    """Attention to the needle at the heads of `heads`, with the bonus it has there."""

    def __init__(self, needles: Needles, emphases: list[AttentionBias], heads: Heads) -> None:
        self.needles, self.emphases, self.heads = needles, emphases, heads
        self.where = [one.spans[0] for one in needles.on(0, 1.0)]
        self.seen: list[Tensor] = []

    def see(self, layer: int, query: Tensor, key: Tensor, mask: Tensor | None, scaling: float) -> None:
        if layer not in self.heads:
            return
        assert mask is not None
        shares = []
        for i, (one, (start, end)) in enumerate(zip(self.emphases, self.where, strict=True)):
            pad, row = self.needles.width - len(self.needles.rows[i]), slice(i, i + 1)
            bonus = torch.zeros(key.shape[2])
            bonus[pad : pad + len(one.by_token())] = one.by_token()
            answer = [-len(self.needles.answers[i])]
            rows = attention_rows(query[row], key[row], mask[row], scaling, answer)[0, :, 0].log() + bonus
            shares.append(rows.softmax(-1)[list(self.heads[layer] or range(rows.shape[0])), pad + start : pad + end])
        self.seen.append(torch.stack([share.sum(-1).mean() for share in shares]))


def clear(change: Tensor) -> float:
    """A mean change in standard errors."""
    return float(change.mean() / change.std() * len(change) ** 0.5)


@pytest.mark.model
def test_emphasis_restores_attention_to_the_needle_and_the_answer(smollm2: LoadedModel) -> None:
    needles = Needles(smollm2)
    calibrated = retrieval_heads(calibration_for(smollm2))
    plain, share = needles.read(needles.on(0, 0.0), calibrated)
    assert share.mean() < 0.4  # where it should be near 1: these heads look for what is asked
    nll, more = needles.read(needles.on(0, 2.0), calibrated)
    assert (more > share).all() and more.mean() > share.mean() + 0.2
    assert clear(nll - plain) < -2 and nll.mean() < plain.mean() - 0.15
    everywhere: Heads = dict.fromkeys(range(smollm2.num_layers))
    right, _ = needles.read(needles.on(0, 2.0), everywhere)
    wrong, _ = needles.read(needles.on(7, 2.0), everywhere)
    assert clear(right - plain) < -2 and right.mean() < plain.mean() - 0.4
    assert wrong.mean() > plain.mean() + 0.1 and clear(wrong - right) > 2
