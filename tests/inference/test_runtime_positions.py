"""Positions: the same tokens are written to, however they come to the model."""

import pytest
import torch
from transformers import DynamicCache, StaticCache

from penchant.errors import InputError
from penchant.inference.intervention import Intervention, stack
from penchant.inference.runtime import Runtime, steered
from tests.families import FAMILIES, SLIDING
from tests.steering.oracle import SITES, Tracer, alone, counted, network, padded, row, texts, vectors

ALL_FAMILIES = (*FAMILIES, "gpt2")
ROWS, PROMPTS = texts(13, 9, 11), (8, 4, 8)
"""Longer than the window of the sliding families."""
BEGINS = {"after_prompt": PROMPTS, "all": (0, 0, 0), "last_3": (5, 1, 5), "last_6": (2, 0, 2)}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("scope", BEGINS)
@pytest.mark.parametrize("family", ALL_FAMILIES)
@torch.no_grad()
def test_a_padded_batch_is_each_row_alone(family: str, scope: str, side: str) -> None:
    model, trace = network(family), Tracer()
    assert max(map(len, ROWS)) > SLIDING
    ids, mask = padded(ROWS, side)
    written = vectors(model, 3, scope)
    with steered(model, written, PROMPTS, trace):
        logits = model(input_ids=ids, attention_mask=mask, position_ids=counted(mask), use_cache=False).logits
    for number, tokens in enumerate(ROWS):
        begin = BEGINS[scope][number]
        there = mask[number].bool()
        expected = alone(model, tokens, written, begin, number)
        torch.testing.assert_close(logits[number, there], expected, atol=2e-4, rtol=1e-4)
        assert not torch.allclose(expected, alone(model, tokens, None, 0), atol=0.1)
        place = ids.shape[1] - len(tokens) if side == "left" else 0
        wanted = [place + begin <= at < place + len(tokens) for at in range(ids.shape[1])]
        assert [trace.tokens(site)[number] for site in SITES] == [wanted] * len(SITES)


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("family", ALL_FAMILIES)
@torch.no_grad()
def test_a_cache_in_chunks_is_one_pass(family: str, masked: bool, static: bool) -> None:
    """Prefill in two chunks, an answer in three; a prompt that ends within a chunk; with padding and without."""
    model, trace = network(family), Tracer()
    prompts = PROMPTS if masked else (8, 5, 9)
    rows = ROWS if masked else texts(13, 13, 13)
    ids, mask = padded(rows)
    written = vectors(model, 3, "last_2")
    cache = StaticCache(model.config, max_cache_len=24) if static else DynamicCache(config=model.config)
    found = []
    with steered(model, written, prompts, trace):
        for start, end in ((0, 4), (4, 9), (9, 10), (10, 12), (12, 13)):
            given = {"attention_mask": mask[:, :end], "position_ids": counted(mask)[:, start:end]} if masked else {}
            found.append(model(input_ids=ids[:, start:end], past_key_values=cache, **given).logits)
    logits = torch.cat(found, 1)
    for number, tokens in enumerate(rows):
        begin = prompts[number] - 2
        there = mask[number].bool()
        torch.testing.assert_close(
            logits[number, there], alone(model, tokens, written, begin, number), atol=2e-4, rtol=1e-4
        )
        padding = 13 - len(tokens)
        assert trace.tokens(SITES[0])[number] == [at >= padding + begin for at in range(13)]


@pytest.mark.parametrize("given", ["mask", "positions", "both", "nothing"])
@torch.no_grad()
def test_a_prefix_that_is_cached_is_continued(given: str) -> None:
    """The prefix was read before, unsteered; what follows counts from behind it."""
    model, trace = network(), Tracer()
    (tokens,) = texts(12)
    ids = torch.tensor([tokens])
    cache = DynamicCache(config=model.config)
    model(input_ids=ids[:, :7], past_key_values=cache)
    more = {}
    if given in ("mask", "both"):
        more["attention_mask"] = torch.ones(1, 12, dtype=torch.bool)
    if given in ("positions", "both"):
        more["position_ids"] = torch.arange(7, 12)[None]
    written = vectors(model, 1)
    with steered(model, written, [9], trace):
        logits = model(input_ids=ids[:, 7:], past_key_values=cache, **more).logits[0]
    assert trace.tokens(SITES[0]) == [[False, False, True, True, True]]
    torch.testing.assert_close(logits, alone(model, tokens, written, 9)[7:], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_positions_count_where_tokens_were_dropped_from_the_cache() -> None:
    model, trace = network(), Tracer()
    cache = DynamicCache(config=model.config)
    model(input_ids=torch.tensor(texts(3)), past_key_values=cache)
    with steered(model, vectors(model, 1), [11], trace):
        model(input_ids=torch.tensor(texts(3)), past_key_values=cache, position_ids=torch.arange(10, 13)[None])
    assert trace.tokens(SITES[0]) == [[False, True, True]]


@torch.no_grad()
def test_a_mask_may_go_on_behind_the_new_tokens_but_not_stop_before_them() -> None:
    model, trace = network(), Tracer()
    ids, written = torch.tensor(texts(5)), vectors(model, 1)
    mask = torch.ones(1, 20, dtype=torch.long)
    mask[:, 0] = 0
    mask[:, 5:] = 0
    for cache in (StaticCache(model.config, max_cache_len=20), DynamicCache(config=model.config)):
        with steered(model, written, [2], trace):
            model(input_ids=ids[:, :3], attention_mask=mask, past_key_values=cache)
            model(input_ids=ids[:, 3:], attention_mask=mask, past_key_values=cache)
        assert trace.tokens(SITES[0]) == [[False, False, False, True, True]]
        trace = Tracer()
    cache = DynamicCache(config=model.config)
    model(input_ids=ids, past_key_values=cache)
    with (
        steered(model, written, [2]),
        pytest.raises(InputError, match="mask of 5 tokens for 5 cached and 5 new"),
    ):
        model(input_ids=ids, attention_mask=torch.ones(1, 5), past_key_values=cache)


@pytest.mark.parametrize("scope", ["after_prompt", "last_1", "last_3", "all"])
@torch.no_grad()
def test_what_a_scope_changes(scope: str) -> None:
    """Keys and values of the prompt, and the logits of the answer's first token."""
    model = network()
    prompt = torch.tensor(texts(9, 9))
    caches = [DynamicCache(config=model.config) for _ in range(2)]
    before = model(input_ids=prompt, past_key_values=caches[0], output_hidden_states=True)
    with steered(model, vectors(model, 2, scope), [9, 9]):
        after = model(input_ids=prompt, past_key_values=caches[1], output_hidden_states=True)
        plain = model(input_ids=prompt[:, :1] * 0 + 20, past_key_values=caches[0]).logits
        deep = model(input_ids=prompt[:, :1] * 0 + 20, past_key_values=caches[1]).logits
    tail = {"after_prompt": 0, "last_1": 1, "last_3": 3, "all": 9}[scope]
    for old, new in zip(before.hidden_states, after.hidden_states, strict=True):
        assert torch.equal(old[:, : 9 - tail].view(torch.int32), new[:, : 9 - tail].view(torch.int32))
    assert torch.equal(before.logits[:, -1], after.logits[:, -1]) == (tail == 0)
    if tail:
        changed = (before.logits - after.logits).abs().amax(-1) > 1e-3
        assert changed.tolist() == [[False] * (9 - tail) + [True] * tail] * 2
    for layer, (old, new) in enumerate(zip(caches[0].layers, caches[1].layers, strict=True)):
        for one, other in ((old.keys, new.keys), (old.values, new.values)):
            assert torch.equal(one[:, :, : 9 - tail], other[:, :, : 9 - tail])
            # Attention of layer 1 is written to behind its own keys: they change from layer 2 on.
            if tail:
                assert torch.equal(one[:, :, 9 - tail : 9], other[:, :, 9 - tail : 9]) == (layer < 2)
    assert torch.equal(plain, deep) == (tail == 0)


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("scope", BEGINS)
@torch.no_grad()
def test_generate_with_left_padding(scope: str, static: bool) -> None:
    """Each token that is generated is the likeliest one of a plain pass over all before it."""
    model, trace = network(), Tracer()
    prompts = [tokens[:length] for tokens, length in zip(ROWS, PROMPTS, strict=True)]
    ids, mask = padded(prompts)
    written = vectors(model, 3, scope)
    more = {"cache_implementation": "static", "disable_compile": True} if static else {}
    with Runtime(model, SITES) as runtime, runtime.steering(written, PROMPTS, trace):
        made = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=4, do_sample=False, eos_token_id=9999, **more
        )
    for number, prompt in enumerate(prompts):
        answer = made[number, ids.shape[1] :].tolist()
        logits = alone(model, prompt + answer, written, BEGINS[scope][number], number)
        assert logits[len(prompt) - 1 : -1].argmax(-1).tolist() == answer
        padding = ids.shape[1] - len(prompt)
        wanted = [at >= padding + BEGINS[scope][number] for at in range(ids.shape[1] + 3)]
        assert all(trace.tokens(site)[number] == wanted for site in SITES)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
@torch.no_grad()
def test_beams(family: str) -> None:
    """Beams of a row get the vectors of the row; what comes out is what the row alone gives, and scored likewise."""
    model, trace = network(family), Tracer()
    prompts = [tokens[:length] for tokens, length in zip(ROWS, PROMPTS, strict=True)]
    ids, mask = padded(prompts)
    written = stack([row(vectors(model, 3, "last_2"), 0), None, row(vectors(model, 3, "last_2"), 2)])
    assert written is not None
    options = {"num_beams": 3, "max_new_tokens": 4, "do_sample": False, "eos_token_id": 9999, "length_penalty": 1.0}
    options |= {"return_dict_in_generate": True, "output_scores": True}
    with steered(model, written, PROMPTS, trace):
        together = model.generate(input_ids=ids, attention_mask=mask, **options)
    for site in SITES:
        tokens = trace.tokens(site)
        assert len(tokens) == 9
        for beam, found in enumerate(tokens):
            begin = ids.shape[1] - 2
            assert found == [beam // 3 != 1 and at >= begin for at in range(ids.shape[1] + 3)]
    for number, prompt in enumerate(prompts):
        with steered(model, row(written, number), [len(prompt)]):
            one = model.generate(input_ids=torch.tensor([prompt]), **options)
        answer = together.sequences[number, ids.shape[1] :].tolist()
        assert one.sequences[0, len(prompt) :].tolist() == answer
        begin = len(prompt) - 2
        logits = alone(model, prompt + answer, written, begin, number).log_softmax(-1)
        likelihood = sum(float(logits[len(prompt) - 1 + at, token]) for at, token in enumerate(answer))
        assert float(together.sequences_scores[number]) * len(answer) == pytest.approx(likelihood, abs=1e-3)


@torch.no_grad()
def test_chunked_prefill_of_generate() -> None:
    model, trace = network(), Tracer()
    prompts = [tokens[:length] for tokens, length in zip(ROWS, PROMPTS, strict=True)]
    ids, mask = padded(prompts)
    written = vectors(model, 3, "last_3")
    options = {"input_ids": ids, "attention_mask": mask, "max_new_tokens": 3, "do_sample": False, "eos_token_id": 9999}
    with steered(model, written, PROMPTS):
        whole = model.generate(**options)
    with steered(model, written, PROMPTS, trace):
        parts = model.generate(**options, prefill_chunk_size=3)
    assert torch.equal(whole, parts)
    assert [tokens.shape[1] for tokens in trace.passes[SITES[0]]] == [3, 3, 2, 1, 1]
    assert trace.tokens(SITES[0]) == [[at >= ids.shape[1] - 3 for at in range(10)]] * 3


@torch.no_grad()
def test_embeddings_and_positional_arguments() -> None:
    model, trace = network(), Tracer()
    ids, mask = padded(ROWS)
    decoder, written = model.get_decoder(), vectors(model, 3)
    with steered(model, written, PROMPTS, trace):
        decoder(ids, mask, counted(mask))
        decoder(inputs_embeds=model.get_input_embeddings()(ids), attention_mask=mask, position_ids=counted(mask))
    for site in SITES:
        first, second = trace.passes[site]
        assert torch.equal(first, second)
        assert first.sum(1).tolist() == [len(tokens) - prompt for tokens, prompt in zip(ROWS, PROMPTS, strict=True)]


@torch.no_grad()
def test_a_batch_that_is_no_multiple_of_the_rows() -> None:
    model = network()
    written = vectors(model, 2)
    for batch in (1, 3):
        ids = torch.tensor(texts(*[5] * batch))
        with steered(model, written, [2, 2]), pytest.raises(InputError, match=f"a batch of {batch} rows for an"):
            model(input_ids=ids)
    # A prefix that several rows share is out of scope, and may be read once for all.
    with steered(model, written, [8, 9]):
        model(input_ids=torch.tensor(texts(5)))


@torch.no_grad()
def test_a_row_for_the_whole_batch() -> None:
    model, trace = network(), Tracer()
    ids = torch.tensor(texts(6, 6, 6))
    one = vectors(model, 1)
    many = Intervention(stack([one] * 3).edits)  # type: ignore[union-attr]
    with steered(model, one, [4], trace):
        shared = model(input_ids=ids).logits
    with steered(model, many, [4] * 3):
        assert torch.equal(model(input_ids=ids).logits, shared)
    assert trace.tokens(SITES[0]) == [[False] * 4 + [True] * 2] * 3
