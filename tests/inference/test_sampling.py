"""How the next token is chosen, on logits worked out by hand."""

import copy
import random
from dataclasses import replace

import pytest
import torch
from transformers import GenerationConfig
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from penchant.errors import InputError
from penchant.inference.sampling import GREEDY, UNSET, Sampler, Sampling, own_sampling
from tests.families import tiny

LOGITS = torch.tensor([2.0, 1.0, 0.5, -1.0, -3.0])


def test_the_likeliest_token_is_taken_without_settings() -> None:
    assert Sampler(GREEDY, [0, 1]).plain
    assert Sampler(GREEDY, []).pick(LOGITS) == 0


def test_a_penalty_weighs_on_the_prompt_and_on_what_was_said() -> None:
    sampler = Sampler(Sampling(repetition_penalty=3.0), [0])
    assert not sampler.plain
    assert [sampler.pick(LOGITS) for _ in range(3)] == [1, 0, 0]  # 2/3, 1 and 0.5; then 2/3, 1/3 and 0.5


SETTINGS = [
    Sampling(0.7),
    Sampling(1.3, top_k=3),
    Sampling(1.0, top_p=0.8),
    Sampling(2.0, min_p=0.3),
    Sampling(0.9, top_k=4, top_p=0.95, min_p=0.02, repetition_penalty=1.4),
]


@pytest.mark.parametrize("sampling", SETTINGS)
def test_samples_have_the_chances_of_transformers(sampling: Sampling) -> None:
    prompt = [0, 3]
    warpers = LogitsProcessorList()
    if sampling.repetition_penalty != 1:
        warpers.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    warpers.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        warpers.append(MinPLogitsWarper(sampling.min_p))
    chances = warpers(torch.tensor([prompt]), LOGITS[None].clone()).softmax(-1)[0]
    drawn = torch.zeros(5)
    for seed in range(2000):
        drawn[Sampler(replace(sampling, seed=seed), prompt).pick(LOGITS)] += 1 / 2000
    assert (drawn - chances).abs().max() < 0.04
    assert set(drawn.nonzero().flatten().tolist()) <= set(chances.nonzero().flatten().tolist())


def test_what_a_model_ships_is_used() -> None:
    loaded = tiny("llama")
    model = copy.copy(loaded.model)

    def shipping(**settings: object) -> Sampling:
        model.generation_config = GenerationConfig(**settings)
        return own_sampling(replace(loaded, model=model), seed=3)

    assert shipping(do_sample=True, temperature=0.6, top_k=20, top_p=0.95) == Sampling(0.6, 20, 0.95, seed=3)
    assert shipping(do_sample=True, top_p=0.9).temperature == 1.0
    assert shipping(repetition_penalty=1.05) == Sampling(repetition_penalty=1.05, seed=3)
    assert shipping(do_sample=False, temperature=0.6).temperature == 0
    assert shipping(eos_token_id=1) == replace(UNSET, seed=3)
    model.generation_config = GenerationConfig(do_sample=True, temperature=0.6, repetition_penalty=1.2)
    assert own_sampling(replace(loaded, model=model), temperature=0.0) == GREEDY
    asked = own_sampling(replace(loaded, model=model), temperature=0.3)
    assert (asked.temperature, asked.repetition_penalty) == (0.3, 1.2)


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}, {"top_k": -1}, {"min_p": 2.0}, {"repetition_penalty": 0.0}],
)
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Sampling(**wrong)  # type: ignore[arg-type]


def test_a_token_that_rounding_reaches_can_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random.Random, "random", lambda self: 1.0)
    assert Sampler(Sampling(1.0, top_k=2, seed=0), []).pick(LOGITS) == 1
