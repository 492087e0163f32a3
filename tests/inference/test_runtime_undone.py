"""What a runtime leaves behind, whom else it touches, what it refuses."""

import contextvars
import threading
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from penchant.errors import InputError, ModelError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.runtime import Runtime, steered
from penchant.inference.sites import Site, site_module
from tests.steering.oracle import SITES, alone, bits, network, texts, vectors


@torch.no_grad()
def test_vectors_of_callers_stay_as_they_are() -> None:
    model = network()
    written = vectors(model, 2, "all")
    copies = {site: (edit.add.clone(), edit.scale) for site, edit in written.edits.items() if edit.add is not None}
    with steered(model, written, [3, 3]):
        model(input_ids=torch.tensor(texts(5, 5)))
    for site, edit in written.edits.items():
        assert edit.add is not None
        assert torch.equal(bits(edit.add), bits(copies[site][0]))
    # Nor does the runtime follow what a caller does to them meanwhile.
    site, ids = SITES[0], torch.tensor(texts(5))
    one = vectors(model, 1, "all", sites=[site], scaled=[site])
    with steered(model, one, [3]):
        before = model(input_ids=ids).logits
        for tensor in (one.edits[site].add, one.edits[site].scale):
            assert tensor is not None
            tensor.zero_()
        assert torch.equal(model(input_ids=ids).logits, before)


@torch.no_grad()
def test_everything_is_undone() -> None:
    model, ids = network(), torch.tensor(texts(6, 6))
    plain = model(input_ids=ids).logits
    hooks = _hooks(model)
    one, two = vectors(model, 2, seed=1), vectors(model, 2, seed=2)
    with pytest.raises(ZeroDivisionError), steered(model, one, [3, 3]):
        assert not torch.equal(model(input_ids=ids).logits, plain)
        raise ZeroDivisionError
    assert torch.equal(model(input_ids=ids).logits, plain)
    with pytest.raises(InputError), steered(model, one, [3, 3]):
        model(input_ids=ids[:1].repeat(3, 1))  # raised within a pass
    assert torch.equal(model(input_ids=ids).logits, plain)
    assert _hooks(model) == hooks
    with Runtime(model, SITES) as runtime:
        assert torch.equal(model(input_ids=ids).logits, plain)
        with runtime.steering(one, [3, 3]):
            first = model(input_ids=ids).logits
            with runtime.steering(two, [3, 3]):
                second = model(input_ids=ids).logits
            with steered(model, two, [3, 3]):
                assert torch.equal(model(input_ids=ids).logits, second)
            for nothing in (None, Intervention()):
                with steered(model, nothing, []):
                    assert torch.equal(model(input_ids=ids).logits, plain)
            assert torch.equal(model(input_ids=ids).logits, first)
        assert not torch.equal(first, second)
        assert torch.equal(model(input_ids=ids).logits, plain)
    assert _hooks(model) == hooks
    with steered(model, two, [3, 3]):
        assert torch.equal(model(input_ids=ids).logits, second)


def _hooks(model: PreTrainedModel) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules())


@torch.no_grad()
def test_two_models_and_two_runtimes() -> None:
    """A model isn't steered by what another one is steered by, nor twice by two runtimes."""
    first, second, ids = network(), network("qwen3"), torch.tensor(texts(6))
    site = [Site(1, "attention")]
    plain = second(input_ids=ids).logits
    expected = alone(first, ids[0].tolist(), vectors(first, 1, sites=site), 0)
    one, *others = (Runtime(model, site) for model in (first, first, second))
    with one.steering(vectors(first, 1, "all", sites=site), [3]):
        torch.testing.assert_close(first(input_ids=ids).logits[0], expected, atol=1e-4, rtol=1e-4)
        assert torch.equal(second(input_ids=ids).logits, plain)
    for runtime in (one, *others):
        runtime.close()


def test_another_thread_is_not_steered() -> None:
    """Two threads run the same model at the same time, in step."""
    model, ids = network(), torch.tensor(texts(6, 6))
    barrier, found = threading.Barrier(2, timeout=60), {}

    def run(name: str, intervention: Intervention | None) -> None:
        with torch.no_grad(), steered(model, intervention, [3, 3]):
            for step in range(20):
                barrier.wait()
                found[name, step] = model(input_ids=ids).logits

    one, two = vectors(model, 2, seed=1), vectors(model, 2, "all", seed=2)
    with torch.no_grad():
        plain = model(input_ids=ids).logits
        wanted = {}
        for name, written in (("one", one), ("two", two)):
            with steered(model, written, [3, 3]):
                wanted[name] = model(input_ids=ids).logits
    for pair in ({"one": one, "none": None}, {"one": one, "two": two}):
        threads = [threading.Thread(target=run, args=item) for item in pair.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 60
    for (name, _), logits in found.items():
        assert torch.equal(logits, wanted.get(name, plain))


@torch.no_grad()
def test_a_pass_that_overlaps_the_placing_of_hooks() -> None:
    """PyTorch runs the decoder's hook without keywords for a moment, in other threads."""
    model, ids = network(), torch.tensor(texts(6))
    plain = model(input_ids=ids).logits
    with Runtime(model, SITES):
        model.get_decoder()._forward_pre_hooks_with_kwargs.clear()
        assert torch.equal(model(input_ids=ids).logits, plain)


@torch.no_grad()
def test_what_was_started_inside_ends_with_it() -> None:
    """A task that copied the context is steered while it lasts; two of them at once don't mix their positions."""
    model, ids = network(), torch.tensor(texts(6, 6))
    plain = model(input_ids=ids).logits
    barrier, found = threading.Barrier(2, timeout=60), {}

    def run(scope_end: int) -> None:
        with torch.no_grad():
            for step in range(20):
                barrier.wait()
                found[scope_end, step] = model(input_ids=ids[:, :scope_end]).logits

    runtime = Runtime(model, SITES)  # stays, so that it isn't missing hooks which keep the copies from being steered
    with runtime.steering(vectors(model, 2), [3, 3]):
        wanted = {end: model(input_ids=ids[:, :end]).logits for end in (4, 6)}
        copies = [contextvars.copy_context() for _ in range(3)]
        threads = [
            threading.Thread(target=copy.run, args=(run, end)) for copy, end in zip(copies, (4, 6), strict=False)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 40
    for (end, _), logits in found.items():
        assert torch.equal(logits, wanted[end])
    assert torch.equal(copies[2].run(lambda: model(input_ids=ids).logits), plain)


@torch.no_grad()
def test_a_context_that_is_closed_from_elsewhere() -> None:
    model, ids = network(), torch.tensor(texts(6))
    plain = model(input_ids=ids).logits
    manager = Runtime(model, SITES).steering(vectors(model, 1, "all"), [3])
    elsewhere = contextvars.copy_context()
    elsewhere.run(manager.__enter__)
    assert torch.equal(model(input_ids=ids).logits, plain)
    assert not torch.equal(elsewhere.run(lambda: model(input_ids=ids).logits), plain)
    manager.__exit__(None, None, None)
    assert torch.equal(elsewhere.run(lambda: model(input_ids=ids).logits), plain)


def test_gradients_reach_vectors_that_are_zero() -> None:
    model, ids, site = network(), torch.tensor(texts(5)), Site(1, "attention")
    add = torch.zeros(1, 64, requires_grad=True)
    scale = torch.ones(1, 64, requires_grad=True)

    def loss(add: Tensor, scale: Tensor) -> Tensor:
        with steered(model, Intervention({site: Edit(add, scale)}, "last_2"), [4]):
            value: Tensor = model(input_ids=ids).logits.double().square().mean()
        return value

    loss(add, scale).backward()  # type: ignore[no-untyped-call]
    for tensor, other in ((add, lambda moved: loss(moved, scale)), (scale, lambda moved: loss(add, moved))):
        assert tensor.grad is not None
        step = torch.zeros(1, 64)
        step[0, 7] = 1e-2
        with torch.no_grad():
            slope = (other(tensor + step) - other(tensor - step)) / 2e-2
        assert float(tensor.grad[0, 7]) == pytest.approx(float(slope), rel=0.02, abs=1e-4)
        assert abs(float(slope)) > 0.001


@torch.no_grad()
def test_what_can_not_be_written() -> None:
    model, ids = network(), torch.tensor(texts(6, 6))
    site = Site(1, "attention")

    def refused(add: Tensor | None, prompts: list[int], match: str, where: Site = site, scale: Any = None) -> None:
        written = Intervention({where: Edit(add, scale)})
        with Runtime(model, [site]) as runtime, pytest.raises(InputError, match=match):  # noqa: SIM117
            with runtime.steering(written, prompts):
                pass

    refused(torch.ones(2, 64), [3], "for 2 rows of vectors: expected one each")
    refused(torch.ones(2, 64), [3, -1], "0 or more")
    refused(torch.ones(2, 63), [3, 3], r"add at 1.attention has shape \[2, 63\]")
    refused(torch.ones(2, 64).fill_diagonal_(float("nan")), [3, 3], "finite in torch.float32, 64 a row")
    refused(torch.full((2, 64), 1e39, dtype=torch.float64), [3, 3], "finite in torch.float32")
    refused(None, [3, 3], "scale at 1.attention", scale=torch.full((2, 64), float("inf")))
    refused(torch.ones(2, 64), [3, 3], "no hook at 2.mlp: this runtime was made for 1.attention", Site(2, "mlp"))
    with pytest.raises(ModelError, match="layers 0 to 3"):
        Runtime(model, [site, Site(9, "mlp")])
    closed = Runtime(model, [site])
    closed.close()
    with pytest.raises(InputError, match="was closed"), closed.steering(vectors(model, 2, sites=[site]), [3, 3]):
        pass
    assert _hooks(model) == _hooks(network())
    layer = site_module(model, Site(1, "mlp"))
    with steered(model, vectors(model, 2, sites=[Site(1, "mlp")]), [3, 3]):
        model(input_ids=ids)
        with pytest.raises(ModelError, match="outside of the decoder's forward pass"):
            layer(torch.ones(2, 6, 64))
        handle = model.model.layers[1].mlp.register_forward_pre_hook(lambda m, args: (args[0].repeat(1, 2, 1),))
        with pytest.raises(ModelError, match=r"1.mlp gives \[2, 12, 64\] in a pass of 6 tokens"):
            model(input_ids=ids)
        handle.remove()
