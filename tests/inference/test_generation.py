"""Batched generation is what each prompt alone gives, greedy and sampled."""

import pytest
import torch

from penchant.inference.generation import Start, batches, generate
from penchant.models.chat import end_tokens, generate_stream, prompt_ids, render_chat
from tests.families import FAMILIES, tiny

TEXTS = ["Hi.", "I like long walks by the sea, and the report.", "What should I read next? " * 8]


def prompts(loaded):
    return [render_chat(loaded, [{"role": "user", "content": text}]) for text in TEXTS]


@pytest.mark.parametrize("family", [*FAMILIES, "gpt2"])  # gpt2: its positions are absolute
def test_greedy_batches_are_the_stream_of_each_prompt(family):
    loaded = tiny(family)
    starts = [Start(tuple(prompt_ids(loaded, text)), 6 + n) for n, text in enumerate(prompts(loaded))]
    expected = ["".join(generate_stream(loaded, text, max_new_tokens=6 + n)) for n, text in enumerate(prompts(loaded))]
    assert generate(loaded, starts) == [text.strip() for text in expected]


def test_a_sample_depends_on_its_own_seed_and_not_on_its_neighbours():
    loaded = tiny("llama")
    ids = [tuple(prompt_ids(loaded, text)) for text in prompts(loaded)]
    starts = [Start(one, 12, f"seed {n}") for n, one in enumerate(ids)]
    alone = [generate(loaded, [start])[0] for start in starts]
    assert generate(loaded, starts) == generate(loaded, starts[::-1])[::-1] == alone
    assert generate(loaded, [Start(ids[0], 12, "other")])[0] != alone[0]
    greedy = generate(loaded, [Start(ids[0], 12)])[0]
    assert generate(loaded, [Start(ids[0], 12, "seed")], temperature=1e-6)[0] == greedy != alone[0]


def test_samples_follow_the_probabilities():
    loaded = tiny("llama")
    ids = tuple(prompt_ids(loaded, prompts(loaded)[0]))
    with torch.no_grad():
        wanted = torch.softmax(loaded.model(torch.tensor([ids])).logits[0, -1] / 0.5, -1)
    token = int(wanted.argmax())
    text = str(loaded.tokenizer.decode([token], skip_special_tokens=True)).strip()
    made = [t for n in range(4) for t in generate(loaded, [Start(ids, 1, f"{n} {i}") for i in range(100)], 0.5)]
    texts = [str(loaded.tokenizer.decode([t], skip_special_tokens=True)).strip() for t in range(len(wanted))]
    same = sum(float(p) for t, p in zip(texts, wanted, strict=True) if t == text)
    assert made.count(text) / 400 == pytest.approx(same, abs=0.08)
    assert 0.05 < same < 0.95


def test_a_row_ends_at_an_end_token_while_others_go_on(monkeypatch):
    loaded = tiny("llama")
    starts = [Start(tuple(prompt_ids(loaded, text)), 8) for text in prompts(loaded)]
    full = generate(loaded, starts)
    tokens = loaded.tokenizer(full[1], add_special_tokens=False)["input_ids"]
    assert end_tokens(loaded)
    monkeypatch.setattr("penchant.inference.generation.end_tokens", lambda loaded: {tokens[3]})
    ended = generate(loaded, starts)
    assert ended[1] != full[1]
    assert full[1].startswith(ended[1])


def test_a_model_without_a_template_stops_at_the_next_turn(monkeypatch):
    loaded = tiny("llama", chat=False)
    starts = [Start(tuple(prompt_ids(loaded, "User: Hi.\nAssistant:")), 60)]
    script = iter(loaded.tokenizer(" Yes.\nUser: more and more", add_special_tokens=False)["input_ids"])
    monkeypatch.setattr("penchant.inference.generation._pick", lambda *_: [next(script)])
    assert generate(loaded, starts) == ["Yes."]


def test_batches_are_of_similar_length_and_bounded():
    starts = [Start((1,) * n, 10) for n in (50, 3, 40, 5, 4, 300)]
    assert list(batches(starts, rows=2, tokens=200)) == [[1, 4], [3, 2], [0], [5]]
    assert list(batches(starts, rows=9, tokens=10**6)) == [[1, 4, 3, 2, 0, 5]]
    assert list(batches([])) == []
    for batch in batches(starts, rows=4, tokens=130):
        width = max(len(starts[p].ids) for p in batch)
        assert len(batch) == 1 or len(batch) * (width + 10) <= 130
