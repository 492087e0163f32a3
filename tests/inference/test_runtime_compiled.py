"""Compiled models, and what hooks may not do on a device."""

import importlib.util
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import DynamicCache, StaticCache

from penchant.inference import runtime as module
from penchant.inference.runtime import steered
from tests.steering.oracle import SITES, counted, network, padded, texts, vectors

ROWS, PROMPTS = texts(9, 7, 8, 9), (4, 3, 4, 5)


@pytest.fixture
def plain() -> Iterator[Any]:
    """The runtime as users have it: without the checks of shapes that tests put into it, which can't be compiled."""

    def load(name: str) -> Any:
        spec = importlib.util.find_spec(f"penchant.inference.{name}")
        assert spec is not None
        assert spec.origin is not None
        own = importlib.util.spec_from_file_location(f"plain_{name}", spec.origin)
        assert own is not None
        assert own.loader is not None
        loaded = importlib.util.module_from_spec(own)
        monkeypatch.setitem(sys.modules, own.name, loaded)
        own.loader.exec_module(loaded)
        return loaded

    torch._dynamo.reset()
    with pytest.MonkeyPatch.context() as monkeypatch:
        found = load("runtime")
        found.TokenPositions = load("positions").TokenPositions
        yield found
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.parametrize(("family", "backend"), [("llama", "aot_eager"), ("gemma3", "eager")])
@torch.no_grad()
def test_one_graph_for_all_vectors_and_prompts(family: str, backend: str, plain: Any) -> None:
    model, (ids, mask) = network(family), padded(ROWS)
    counter = CompileCounterWithBackend(backend)
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    given = {"input_ids": ids, "attention_mask": mask, "position_ids": counted(mask), "use_cache": False}
    with plain.Runtime(model, SITES) as runtime:
        calm = compiled(**given).logits
        assert torch.equal(calm, model(**given).logits)
        assert counter.frame_count == 1
        for seed, prompts in enumerate((PROMPTS, (1, 2, 3, 4), (7, 6, 2, 0), (40, 40, 40, 40))):
            for scope in ("after_prompt", "last_2", "all"):
                with runtime.steering(vectors(model, 4, scope, seed=seed), prompts):
                    logits = compiled(**given).logits
                    torch.testing.assert_close(logits, model(**given).logits, atol=1e-5, rtol=1e-5)
                assert torch.equal(logits, calm) == (prompts[0] == 40 and scope != "all")
        assert counter.frame_count == 2
        assert torch.equal(compiled(**given).logits, calm)
        with runtime.steering(vectors(model, 2), (4, 3)):  # beams
            torch.testing.assert_close(compiled(**given).logits, model(**given).logits, atol=1e-5, rtol=1e-5)
        with runtime.steering(vectors(model, 4), PROMPTS), plain.steered(model, None, ()):
            assert torch.equal(compiled(**given).logits, calm)


@pytest.mark.slow
@torch.no_grad()
def test_a_compiled_decode_step_with_a_static_cache(plain: Any) -> None:
    """Once for the prefill, once for each step: further steps, other vectors and other prompts compile nothing."""
    model, ids = network(), torch.tensor(texts(9, 9))
    counter = CompileCounterWithBackend("eager")
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    counts = []
    with plain.Runtime(model, SITES) as runtime:
        for seed, prompts in enumerate(((5, 3), (2, 5), (4, 4))):
            caches = StaticCache(model.config, max_cache_len=16), DynamicCache(config=model.config)
            written = vectors(model, 2, "last_1", seed=seed)
            with runtime.steering(written, prompts):
                for start, end in ((0, 5), (5, 6), (6, 7), (7, 8)):
                    part = {"input_ids": ids[:, start:end], "position_ids": torch.arange(start, end)[None]}
                    one, two = (
                        run(**part, past_key_values=cache).logits
                        for run, cache in zip((compiled, model), caches, strict=True)
                    )
                    torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)
            counts.append(counter.frame_count)
    assert counts == [counts[0]] * 3


class NoWaiting(TorchDispatchMode):
    """Refuses every operation whose result, or its shape, must be known on the host."""

    BANNED = ("_local_scalar_dense", "nonzero", "equal.default", "is_nonzero", "masked_select", "unique", "_assert")
    BANNED_TOO = ("_index_put_impl_", "index.Tensor", "bincount", "lift_fresh")
    seen: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).removeprefix("aten.")
        if name.startswith((*self.BANNED, *self.BANNED_TOO)) or ("device" in (kwargs or {}) and "_to_copy" in name):
            raise AssertionError(f"a hook called {name}")
        self.seen += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
@torch.no_grad()
def test_no_hook_waits_for_the_device(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for bad in (lambda: bool(torch.ones(1)), lambda: torch.ones(2)[torch.tensor([True, False])]):
        with pytest.raises(AssertionError, match="a hook called"), NoWaiting():
            bad()
    model = network(family)
    mode = NoWaiting()

    def watched(function: Any) -> Any:
        def call(*args: Any) -> Any:
            with mode:
                return function(*args)

        return call

    monkeypatch.setattr(module, "_mask", watched(module._mask))
    monkeypatch.setattr(module, "_edited", watched(module._edited))
    ids, mask = padded(ROWS)
    options = {"max_new_tokens": 2, "do_sample": False, "eos_token_id": 9999, "disable_compile": True}
    with steered(model, vectors(model, 4, "last_1"), PROMPTS):
        for more in ({}, {"num_beams": 2}, {"cache_implementation": "static"}):
            seen = mode.seen
            model.generate(input_ids=ids, attention_mask=mask, **options, **more)
            assert mode.seen > seen + 10
        model(input_ids=ids)
