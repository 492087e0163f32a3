"""Rows that join and leave a batch get the same answers as alone."""

from contextlib import nullcontext

import pytest
import torch

from penchant.inference.answer_row import PromptTokens
from penchant.inference.generation import generate
from penchant.inference.prefix_cache import PrefixCache
from penchant.inference.running_batch import RunningBatch, most_rows, read_prompt
from penchant.inference.sampling import Sampling
from penchant.models.loading import LoadedModel
from tests.families import FAMILIES, HYBRIDS, tiny

PROMPTS = [
    PromptTokens(tuple(range(30, 30 + length)), limit, sampling, stop_repetition=False)
    for length, limit, sampling in (
        (20, 9, Sampling()),
        (33, 3, Sampling(temperature=1.0, seed=1)),
        (17, 12, Sampling(temperature=0.8, seed=2, presence_penalty=1.0)),
        (40, 1, Sampling()),
        (25, 6, Sampling(repetition_penalty=1.2)),
    )
]


def run(loaded: LoadedModel, prompts: list[PromptTokens], arrive: list[int]) -> tuple[dict[int, str], list[int]]:
    """Run prompts that arrive at these steps; return the texts, and how many rows ran at each step."""
    batch = RunningBatch(loaded, lambda _: nullcontext())
    texts, sizes, step = dict.fromkeys(range(len(prompts)), ""), [], 0
    while len(batch) or step <= max(arrive):
        for key, at in enumerate(arrive):
            if at == step:
                batch.admit(key, prompts[key], read_prompt(loaded, prompts[key].ids))
        steps = batch.step()
        sizes.append(len(steps))
        for one in steps:
            texts[one.key] += one.piece
        step += 1
    return {key: text.strip() for key, text in texts.items()}, sizes


@pytest.mark.parametrize("family", [*FAMILIES, *HYBRIDS])
def test_a_row_that_joins_gets_the_answer_that_it_gets_alone(family: str) -> None:
    loaded = tiny(family)
    if most_rows(loaded, 16) == 1:
        pytest.skip("this family runs one row at a time")
    alone = {key: generate(loaded, [prompt])[0].text for key, prompt in enumerate(PROMPTS)}
    texts, sizes = run(loaded, PROMPTS, [0, 0, 1, 2, 2])
    assert texts == alone
    assert max(sizes) >= 2 and sizes[0] == 2


def test_a_row_that_is_dropped_leaves_the_others_alone() -> None:
    loaded = tiny("llama")
    batch = RunningBatch(loaded, lambda _: nullcontext())
    for key, prompt in enumerate(PROMPTS[:3]):
        batch.admit(key, prompt, read_prompt(loaded, prompt.ids))
    text = "".join(one.piece for one in batch.step() if one.key == 2)
    batch.drop(0)
    while len(batch):
        text += "".join(one.piece for one in batch.step() if one.key == 2)
    assert text.strip() == generate(loaded, [PROMPTS[2]])[0].text


def test_likeliest_tokens_are_reported() -> None:
    loaded = tiny("llama")
    batch = RunningBatch(loaded, lambda _: nullcontext())
    prompt = PromptTokens(PROMPTS[0].ids, 4, likeliest=3, stop_repetition=False)
    row = batch.admit(0, prompt, read_prompt(loaded, prompt.ids))
    while len(batch):
        batch.step()
    assert len(row.choices) == row.tokens == 4
    for one in row.choices:
        assert one.likeliest[0] == (one.token, pytest.approx(one.logprob))
        assert [value for _, value in one.likeliest] == sorted((value for _, value in one.likeliest), reverse=True)
    logits = read_prompt(loaded, prompt.ids).logits[0].float()
    assert row.choices[0].logprob == pytest.approx(float(torch.log_softmax(logits, -1).max()), abs=1e-4)


@pytest.mark.parametrize("family", [*FAMILIES, *HYBRIDS])
def test_a_known_beginning_is_not_read_again(family: str) -> None:
    loaded = tiny(family)
    cache = PrefixCache(loaded)
    first = PromptTokens(tuple(range(30, 60)), 5, stop_repetition=False)
    batch = RunningBatch(loaded, lambda _: nullcontext())
    batch.admit(0, first, read_prompt(loaded, first.ids))
    while any(one.row.finish is None for one in batch.step()):
        pass
    rows = batch.cache_of(0)
    assert rows is not None
    cache.keep("anna", rows)
    said = rows.read_so_far.ids[0].tolist()
    assert said[:30] == list(first.ids) and len(said) <= 34  # the last token was never read

    longer = [*said, 7, 8, 9]
    assert cache.find("ben", longer) is None
    known = cache.find("anna", longer)
    if cache.limit:
        assert known is not None
        assert known.read_so_far.ids[0].tolist() == said
        read = read_prompt(loaded, longer, known)
        assert read.cached == len(said)
        torch.testing.assert_close(read.logits, read_prompt(loaded, longer).logits, rtol=1e-3, atol=1e-3)
        if (other := cache.find("anna", [*said[:20], 5, 6])) is not None:
            assert other.read_so_far.ids[0].tolist() == said[:20]
            torch.testing.assert_close(
                read_prompt(loaded, [*said[:20], 5, 6], other).logits,
                read_prompt(loaded, [*said[:20], 5, 6]).logits,
                rtol=1e-3,
                atol=1e-3,
            )
    else:
        assert known is None
    cache.forget("anna")
    assert cache.find("anna", longer) is None and not cache.nbytes


def test_the_least_recently_used_cache_is_dropped() -> None:
    loaded = tiny("llama")
    size = PrefixCache(loaded)
    size.keep("a", read_prompt(loaded, range(30, 60)).rows)
    cache = PrefixCache(loaded, limit=2 * size.nbytes)
    for owner in ("a", "b"):
        cache.keep(owner, read_prompt(loaded, range(30, 60)).rows)
    assert cache.find("a", range(30, 70)) is not None
    cache.keep("c", read_prompt(loaded, range(30, 60)).rows)
    assert cache.find("b", range(30, 70)) is None
    assert cache.find("a", range(30, 70)) is not None and cache.nbytes <= cache.limit
