"""Rows, no-ops, isolation and undoing. Positions, compiling and LoRA have files of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache, MixtralConfig, MixtralForCausalLM, PreTrainedModel

from penchant.inference.intervention import Edit, Intervention, stack
from penchant.inference.runtime import steered
from penchant.inference.sites import Site, site_module, site_width
from tests.families import FAMILIES, tiny
from tests.steering.oracle import SITES, Tracer, alone, bits, counted, network, padded, row, texts, vectors

ALL_FAMILIES = (*FAMILIES, "gpt2")
ROWS, PROMPTS = texts(9, 7, 8, 9), (4, 3, 4, 5)


@contextmanager
def reading(model: PreTrainedModel, sites: tuple[Site, ...]) -> Iterator[dict[Site, Tensor]]:
    """What the next pass has at each site."""
    found: dict[Site, Tensor] = {}
    handles = []
    for site in sites:
        place = site_module(model, site)
        if site.kind == "heads":
            handles.append(place.register_forward_pre_hook(lambda m, args, s=site: found.__setitem__(s, args[0])))
        else:
            handles.append(
                place.register_forward_hook(
                    lambda m, args, out, s=site: found.__setitem__(s, out[0] if isinstance(out, tuple) else out)
                )
            )
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 2e-4), (torch.bfloat16, 0.08)])
@pytest.mark.parametrize("family", ALL_FAMILIES)
@torch.no_grad()
def test_each_row_of_a_batch_as_if_alone(family: str, dtype: torch.dtype, close: float) -> None:
    """A row without vectors, one that is written to at one site alone, two of their own."""
    model = network(family, dtype)
    one, two = (vectors(model, 1, seed=seed) for seed in (1, 2))
    lonely = vectors(model, 1, seed=3, sites=SITES[:1])
    written, trace = stack([one, None, lonely, two]), Tracer()
    assert written is not None
    ids, mask = padded(ROWS)
    with steered(model, written, PROMPTS, trace):
        logits = model(input_ids=ids, attention_mask=mask, position_ids=counted(mask)).logits
    assert logits.dtype == dtype
    for number, (tokens, own) in enumerate(zip(ROWS, (one, None, lonely, two), strict=True)):
        expected = alone(model, tokens, own, PROMPTS[number]).float()
        error = (logits[number, -len(tokens) :].float() - expected).abs().max() / expected.abs().max()
        assert error < close
        for site in SITES:
            reach = len(tokens) - PROMPTS[number] if own is not None and site in own.edits else 0
            assert trace.tokens(site)[number] == [at >= 9 - reach for at in range(9)]
    assert (alone(model, ROWS[0], one, 4) - alone(model, ROWS[0], two, 4)).abs().max() > 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_what_is_traced_is_what_is_written(dtype: torch.dtype) -> None:
    """At the site itself: the numbers that are traced differ by the vector, all others not by a bit."""
    model, ids = network(dtype=dtype), torch.tensor(texts(6, 6, 6))
    for site in SITES:
        own = vectors(model, 1, "last_1", sites=[site], scaled=[])
        written, trace = stack([own, None, own.times(2.0)]), Tracer()
        assert written is not None
        with reading(model, (site,)) as found:
            model(input_ids=ids)
        with steered(model, written, [4, 4, 5], trace), reading(model, (site,)) as after:
            model(input_ids=ids)
        assert trace.tokens(site) == [[False] * 3 + [True] * 3, [False] * 6, [False] * 4 + [True] * 2]
        there = torch.tensor(trace.tokens(site))
        assert torch.equal(bits(found[site])[~there], bits(after[site])[~there])
        add = written.edits[site].add
        assert add is not None
        moved = (found[site] + add.to(dtype)[:, None])[there]
        assert torch.equal(after[site][there], moved)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ALL_FAMILIES)
@torch.no_grad()
def test_nothing_is_nothing_to_the_bit(family: str, dtype: torch.dtype) -> None:
    """Zeros of both signs, numbers too small for the dtype, a scale of one, a strength of zero, tokens out of scope;
    where the activations hold -0.0."""
    model, ids = network(family, dtype), torch.tensor(texts(7, 7))
    minus = [site_module(model, site).register_forward_hook(_with_minus_zeros) for site in SITES if site.kind == "mlp"]
    assert len(minus) == 1
    before = model(input_ids=ids, output_hidden_states=True)
    nothings: list[Intervention | None] = [
        None,
        Intervention(),
        Intervention({SITES[0]: Edit()}),
        _filled(model, 0.0),
        _filled(model, -0.0),
        Intervention({SITES[0]: Edit(torch.full((2, 64), 1e-300, dtype=torch.float64))}, "all"),
        vectors(model, 2, "all").times(0.0),
        vectors(model, 2, "last_2"),
    ]
    for number, nothing in enumerate(nothings):
        prompts = [40, 50] if number == len(nothings) - 1 else [3, 4]
        with steered(model, nothing, prompts):
            after = model(input_ids=ids, output_hidden_states=True, position_ids=torch.arange(7)[None])
        for old, new in zip(before.hidden_states, after.hidden_states, strict=True):
            assert torch.equal(bits(old), bits(new))
        assert torch.equal(bits(before.logits), bits(after.logits))
    for handle in minus:
        handle.remove()


def _filled(model: PreTrainedModel, value: float) -> Intervention:
    return Intervention(
        {site: Edit(torch.full((2, site_width(model, site.kind)), value), None) for site in SITES}, "all"
    )


def _with_minus_zeros(module: Any, args: Any, output: Any) -> Any:
    value = output[0] if isinstance(output, tuple) else output
    value[..., ::2] = -0.0
    return output


@torch.no_grad()
def test_a_zero_of_either_sign_at_the_site_itself() -> None:
    model, ids, site = network(), torch.tensor(texts(4)), Site(2, "mlp")
    handle = site_module(model, site).register_forward_hook(_with_minus_zeros)
    zeros, far = Edit(torch.zeros(1, 64), torch.ones(1, 64)), Edit(torch.ones(1, 64), torch.full((1, 64), 2.0))
    for edit, prompt in ((zeros, 0), (far, 9)):
        # Given positions, the runtime can't tell beforehand that nothing is in scope.
        with steered(model, Intervention({site: edit}), [prompt]), reading(model, (site,)) as found:
            model(input_ids=ids, position_ids=torch.arange(4)[None])
        assert torch.signbit(found[site][..., ::2]).all()
    handle.remove()


@torch.no_grad()
def test_a_module_that_computes_in_another_dtype_than_the_model() -> None:
    model, ids, site = network(), torch.tensor(texts(5)), Site(1, "attention")
    written = vectors(model, 1, "all", sites=[site])
    with torch.autocast("cpu", torch.bfloat16), steered(model, written, [3]), reading(model, (site,)) as found:
        model(input_ids=ids)
    assert found[site].dtype == torch.bfloat16


@torch.no_grad()
def test_users_never_mix() -> None:
    """Whatever is written for one row, the others don't change by a bit, on the way through a cache as well."""
    model, ids = network(), torch.tensor(texts(6, 6, 6))
    own = vectors(model, 1, seed=4)
    width = site_width(model, "attention")
    poison = Intervention(
        {site: Edit(torch.full((1, site_width(model, site.kind)), 3e38)) for site in SITES}, own.scope
    )
    marked = Intervention({SITES[0]: Edit(1e4 * torch.nn.functional.one_hot(torch.tensor([5]), width).float())})

    def run(*rows: Intervention | None) -> list[Tensor]:
        cache = DynamicCache(config=model.config)
        with steered(model, stack(rows), [3, 3, 3]):
            logits = [model(input_ids=part, past_key_values=cache).logits for part in (ids[:, :4], ids[:, 4:])]
        return [*logits, *[layer.keys for layer in cache.layers], *[layer.values for layer in cache.layers]]

    calm = run(None, None, own)
    for other in (poison, marked):
        for place in (0, 1):
            rows: list[Intervention | None] = [None, None, own]
            rows[place] = other
            found = run(*rows)
            assert not torch.equal(found[0][place], calm[0][place])
            for old, new in zip(calm, found, strict=True):
                assert torch.equal(bits(old)[2], bits(new)[2])
                assert torch.equal(bits(old)[1 - place], bits(new)[1 - place])
    assert not run(None, poison, own)[1][1].isfinite().all()


@torch.no_grad()
def test_experts() -> None:
    """A feed-forward block that gives more than its output, or routes tokens by themselves."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MixtralForCausalLM(
            MixtralConfig(
                vocab_size=400,
                hidden_size=64,
                intermediate_size=32,
                num_hidden_layers=4,
                num_attention_heads=4,
                num_key_value_heads=2,
                num_local_experts=4,
                initializer_range=0.2,
            )
        ).train(False)
    ids, mask = padded(ROWS)
    written = vectors(model, 4)
    with steered(model, written, PROMPTS):
        logits = model(input_ids=ids, attention_mask=mask, position_ids=counted(mask)).logits
    for number, tokens in enumerate(ROWS):
        torch.testing.assert_close(
            logits[number, -len(tokens) :],
            alone(model, tokens, row(written, number), PROMPTS[number]),
            atol=2e-4,
            rtol=1e-3,
        )


@torch.no_grad()
def test_vectors_that_are_learned_are_written_in_float32() -> None:
    model, ids, site = tiny("llama", dtype=torch.bfloat16).model, torch.arange(5, 30)[None], Site(1, "mlp")
    nearly = Intervention({site: Edit(scale=torch.full((1, 64), 1.0035))}, "all")  # 1 in bfloat16
    plain = model(ids).logits
    with steered(model, nearly, [5]):
        assert torch.equal(model(ids).logits, plain)
    with steered(model, nearly, [5], dtype=torch.float32):
        assert not torch.equal(model(ids).logits, plain)
    with steered(model, Intervention({site: Edit(torch.zeros(1, 64))}, "all"), [5], dtype=torch.float32):
        assert torch.equal(model(ids).logits, plain)
