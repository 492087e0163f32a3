import threading

import pytest
import torch
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.likelihood import Exchange, losses
from penchant.inference.sites import Site
from penchant.models.loading import LoadedModel
from penchant_lab.steering.learning import Head, TrainingData, all_heads, as_training_data, at_heads, learn, set_aside
from tests.families import FAMILIES, tiny
from tests.steering.methods.cases import exchanges, hooks
from tests.steering.users import plain_nll

SCOPES = ("after_prompt", "last_1", "last_3")


@pytest.mark.parametrize("family", [*FAMILIES, "gpt2"])
@pytest.mark.parametrize("scope", SCOPES)
def test_losses_are_those_of_the_runtime(family: str, scope: str) -> None:
    loaded = tiny(family)
    given = exchanges(5)
    data = TrainingData(loaded, given, scope=scope, rows=2)
    draw = torch.Generator().manual_seed(1)
    site = Site(1, "heads")
    edit = Edit(torch.randn(1, 4 * loaded.head_dim, generator=draw), torch.rand(1, 4 * loaded.head_dim, generator=draw))
    written = [Intervention({site: Edit(edit.add.expand(5, -1), edit.scale.expand(5, -1))}, scope)]  # type: ignore[union-attr]
    plain, steered = losses(
        loaded,
        given,
        [None, written[0]],
        tail=3 if scope == "last_3" else 1,
    )
    assert data.mean({}) == pytest.approx(float(plain.mean()), abs=1e-5)
    assert data.mean({site: edit}) == pytest.approx(float(steered.mean()), abs=1e-5)
    assert float((plain - steered).abs().max()) > 0.1
    assert data.mean({}) == pytest.approx(float(plain.mean()), abs=1e-5)  # reading leaves the prompts as they were


def test_prompts_shorter_than_the_scope_and_answers_of_one_token() -> None:
    loaded = tiny("llama")
    given = [Exchange((9,), (7,)), Exchange((9, 8, 7), (7, 6)), Exchange((5, 6), (4,))]
    wanted = losses(loaded, given, [None], tail=1).mean()
    for scope in ("after_prompt", "last_1", "last_9"):
        assert TrainingData(loaded, given, scope=scope).mean({}) == pytest.approx(float(wanted), abs=1e-5)
    only = TrainingData(loaded, given[:1])  # nothing of it is in the scope
    assert only.mean(_one(loaded, 3.0)) == only.mean({})


def test_gradients_reach_the_vectors_and_nothing_else() -> None:
    loaded = tiny("llama")
    data = TrainingData(loaded, exchanges(3))
    vectors = torch.zeros(2, loaded.head_dim, requires_grad=True)
    heads = [Head(0, 1), Head(2, 3)]
    data.losses(0, {site: Edit(row) for site, row in at_heads(loaded, heads, vectors).items()}).mean().backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None and bool((vectors.grad.norm(dim=1) > 0).all())
    assert all(parameter.grad is None for parameter in loaded.model.parameters())
    small = 1e-3 * vectors.grad / vectors.grad.norm()
    up, down = (
        data.mean({s: Edit(row) for s, row in at_heads(loaded, heads, sign * small).items()}) for sign in (1, -1)
    )
    assert (up - down) / 2e-3 == pytest.approx(float(vectors.grad.norm()), rel=0.02)


def test_everything_is_undone_and_other_threads_are_not_touched() -> None:
    loaded = tiny("llama")
    data, ids = TrainingData(loaded, exchanges(2)), torch.tensor([[3, 4, 5]])
    before = loaded.model(ids).logits
    seen: list[Tensor] = []

    def beside(module: object, args: object) -> None:
        if threading.current_thread() is threading.main_thread() and not seen:
            thread = threading.Thread(target=lambda: seen.append(loaded.model(ids).logits))
            thread.start()
            thread.join()

    handle = loaded.base.register_forward_pre_hook(beside)
    data.mean(_one(loaded, 5.0))
    handle.remove()
    assert torch.equal(seen[0], before) and hooks(loaded) == 0
    with pytest.raises(InputError, match=r"add at 1\.heads has shape"):
        data.mean({Site(1, "heads"): Edit(torch.ones(1, 7))})
    assert hooks(loaded) == 0 and torch.equal(loaded.model(ids).logits, before)


def test_learning_keeps_the_best_pass_and_stops() -> None:
    loaded = tiny("llama")
    given = exchanges(6)
    told: list[tuple[int, float]] = []
    value = torch.zeros(1, loaded.head_dim, requires_grad=True)

    def edits() -> dict[Site, Edit]:
        return {site: Edit(row) for site, row in at_heads(loaded, [Head(1, 1)], value).items()}

    held = TrainingData(loaded, exchanges(3, seed=9))
    run = learn(
        TrainingData(loaded, given, rows=2),
        [value],
        edits,
        held_out=held,
        lr=0.3,
        passes=40,
        patience=2,
        progress=lambda number, loss: told.append((number, loss)),
    )
    assert run.kept + 2 == len(run.losses) - 1 < 40
    assert min(run.losses) == run.losses[run.kept] == pytest.approx(held.mean(edits()), abs=1e-6)
    assert told == list(enumerate(run.losses))
    assert run.gain == run.losses[0] - run.losses[run.kept]


def test_heads_stand_where_they_belong() -> None:
    loaded = tiny("qwen3")
    values = torch.arange(1.0, 4.0)[:, None] * torch.ones(1, loaded.head_dim)
    found = at_heads(loaded, [Head(2, 3), Head(0, 1), Head(2, 0)], values, neutral=-1.0)
    assert list(found) == [Site(0, "heads"), Site(2, "heads")]
    assert [int(part[0]) for part in found[Site(2, "heads")].reshape(4, -1)] == [3, -1, -1, 1]
    assert found[Site(0, "heads")].reshape(4, -1)[:, 5].tolist() == [-1, 2, -1, -1]
    assert len(all_heads(loaded)) == 16 and all_heads(loaded, [3])[1] == Head(3, 1)
    for wrong in (Head(4, 0), Head(0, 4), Head(-1, 0)):
        with pytest.raises(InputError, match="expected one of 4 layers of 4 heads"):
            at_heads(loaded, [wrong], values[:1])


def test_setting_aside() -> None:
    given = exchanges(9)
    learned, aside = set_aside(given)
    assert aside == [given[3], given[7]] and learned == [one for one in given if one not in aside]
    assert set_aside(given[:2]) == ([given[0]], [given[1]])
    assert set_aside(given[:1]) == ([given[0]], [given[0]])
    with pytest.raises(InputError, match="nothing to learn from"):
        set_aside([])


def test_what_cannot_be_learned_from() -> None:
    loaded = tiny("llama")
    with pytest.raises(InputError, match="leaves the prompt alone"):
        TrainingData(loaded, exchanges(1), scope="all")
    for wrong in ([], [Exchange((), (1,))], [Exchange((1,), ())]):
        with pytest.raises(InputError, match="nothing to learn from"):
            TrainingData(loaded, wrong)
    data = TrainingData(loaded, exchanges(1))
    behind = {Site(1, "mlp"): Edit(torch.ones(1, 64))}  # not at heads: learned all the same
    assert data.mean(behind) == pytest.approx(float(plain_nll(loaded, exchanges(1)[0], Intervention(behind))), abs=1e-5)
    assert as_training_data(loaded, data, "after_prompt") is data
    with pytest.raises(InputError, match="data for scope after_prompt: expected last_1"):
        as_training_data(loaded, data, "last_1")


def _one(loaded: LoadedModel, value: float) -> dict[Site, Edit]:
    return {Site(1, "heads"): Edit(torch.full((1, 4 * loaded.head_dim), value))}


def _rows(one: Intervention, count: int) -> Intervention:
    return Intervention({s: Edit(e.add[:count], e.scale[:count]) for s, e in one.edits.items()}, one.scope)  # type: ignore[index]
