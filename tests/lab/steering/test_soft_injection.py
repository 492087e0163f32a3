import pytest
import torch

from penchant.errors import InputError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.likelihood import losses
from penchant.inference.sites import Site
from penchant.lens.activations import pooled_activations
from penchant_lab.steering.learning import Head, TrainingData, all_heads
from penchant_lab.steering.soft_injection import Embedding, Injection, embed_user, learn_gates
from tests.families import FAMILIES, tiny
from tests.steering.methods.cases import answered, exchanges, hooks


@pytest.mark.parametrize("family", [*FAMILIES, "gpt2"])
def test_an_embedding_is_the_mean_at_the_last_token(family: str) -> None:
    loaded = tiny(family)
    prompts = [one.prompt for one in exchanges(5)]
    found = embed_user(loaded, prompts, layers=[1, 3], rows=2)
    assert found.heads == tuple(all_heads(loaded, [1, 3])) and found.vectors.dtype == torch.float32
    for layer in (1, 3):
        alone = []
        for prompt in prompts:
            last = torch.zeros(1, len(prompt))
            last[0, -1] = 1
            site = Site(layer, "heads")
            alone.append(pooled_activations(loaded, torch.tensor([prompt]), last, [site])[site])
        mean = torch.cat(alone).mean(0).reshape(4, -1)
        mine = found.vectors[[head.layer == layer for head in found.heads]]
        assert torch.allclose(mine, mean, atol=1e-4)


def _embedding(size: float = 8.0, seed: int = 3) -> Embedding:
    heads = (Head(1, 0), Head(2, 1), Head(2, 3))
    return Embedding(heads, size * torch.randn(3, 16, generator=torch.Generator().manual_seed(seed)))


def test_gates_open_where_the_embedding_was_mixed_in() -> None:
    loaded = tiny("llama")
    embedding = _embedding()
    true = Injection(embedding, torch.tensor([0.0, 0.8, 0.0])).intervention(loaded)
    given, held = (
        TrainingData(loaded, answered(loaded, 32, true.edits, true.scope, seed), scope=true.scope) for seed in (0, 1)
    )
    found = learn_gates(loaded, given, embedding, passes=8, lr=0.1)
    assert int(found.gates.argmax()) == 1 and found.gates[1] > 2 * found.gates[[0, 2]].max()
    possible = held.mean({}) - held.mean(true.edits)
    assert held.mean({}) - held.mean(found.intervention(loaded).edits) > 0.6 * possible > 0.1
    assert hooks(loaded) == 0


def test_gates_stay_between_none_and_all() -> None:
    loaded = tiny("llama")
    embedding = _embedding(40.0)
    # What the answers were given under asks for more than all, and for less than nothing.
    add = torch.zeros(1, 64)
    add[0, 16:32] = 2 * embedding.vectors[1]
    add[0, 48:64] = -2 * embedding.vectors[2]
    given = answered(loaded, 32, {Site(2, "heads"): Edit(add)}, "last_1")
    gates = learn_gates(loaded, given, embedding, passes=6, lr=0.6).gates
    assert float(gates.min()) == 0 and float(gates.max()) <= 1 and gates[2] == 0 < gates[1]


def test_the_intervention_mixes() -> None:
    loaded = tiny("qwen3")
    embedding = Embedding((Head(1, 0), Head(2, 1)), torch.randn(2, 32, generator=torch.Generator().manual_seed(0)))
    shut = Injection(embedding, torch.zeros(2))
    assert shut.intervention(loaded).edits == {} and shut.bytes == 2 * 2
    injection = Injection(embedding, torch.tensor([0.0, 0.25]))
    written = injection.intervention(loaded)
    assert (list(written.edits), written.rows, written.scope) == ([Site(2, "heads")], 1, "last_1")
    edit = written.edits[Site(2, "heads")]
    assert edit.scale is not None and edit.add is not None
    assert torch.equal(edit.scale.reshape(4, -1)[:, 0], torch.tensor([1.0, 0.75, 1.0, 1.0]))
    assert torch.equal(edit.add.reshape(4, -1)[1], 0.25 * embedding.vectors[1])
    assert not bool(edit.add.reshape(4, -1)[[0, 2, 3]].any()) and injection.bytes == (32 + 2) * 2
    given = exchanges(4)
    every = Intervention({Site(2, "heads"): Edit(edit.add.expand(4, -1), edit.scale.expand(4, -1))}, "last_1")
    by_runtime = losses(loaded, given, [every]).mean()
    assert TrainingData(loaded, given, scope="last_1").mean(written.edits) == pytest.approx(float(by_runtime), abs=1e-5)


def test_another_users_embedding_behind_the_same_gates() -> None:
    injection = Injection(_embedding(), torch.tensor([0.1, 0.2, 0.3]))
    other = _embedding(seed=4)
    changed = injection.of(other)
    assert changed.embedding is other and torch.equal(changed.gates, injection.gates)
    with pytest.raises(InputError, match="other heads"):
        injection.of(Embedding(other.heads[:2], other.vectors[:2]))


def test_held_out_exchanges_may_decide_for_no_injection() -> None:
    loaded = tiny("llama")
    embedding = _embedding()
    true = Injection(embedding, torch.tensor([0.0, 0.8, 0.0])).intervention(loaded)
    given = answered(loaded, 16, true.edits, true.scope)
    found = learn_gates(loaded, given, embedding, held_out=answered(loaded, 32, {}, true.scope, 1), passes=9, lr=0.2)
    assert found.run is not None and found.run.kept == 0 and not bool(found.gates.any())
    assert found.intervention(loaded).edits == {}
    again, other = (learn_gates(loaded, given, embedding, passes=2, seed=seed).gates for seed in (0, 0))
    assert torch.equal(again, other)


def test_nothing_to_embed() -> None:
    for wrong in ([], [[]]):
        with pytest.raises(InputError, match="nothing to embed"):
            embed_user(tiny("llama"), wrong)
