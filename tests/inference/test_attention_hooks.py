import threading

import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from penchant.errors import ModelError
from penchant.inference.attention_hooks import ATTENTION, EAGER, Call, editing, install, observing
from penchant.lens.lens import Lens, Wanted
from tests.families import FAMILIES, tiny, tiny_network
from tests.lens.cases import ALL, lens_of, tokens


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", [*FAMILIES, "gpt2"])
def test_without_a_probe_it_is_sdpa_to_the_bit(family: str, dtype: torch.dtype) -> None:
    plain, hooked = tiny_network(family, dtype=dtype).eval(), tiny_network(family, dtype=dtype).eval()
    plain.set_attn_implementation("sdpa")
    install(hooked)
    assert hooked.config._attn_implementation == ATTENTION
    ids = tokens(40, batch=2)
    mask = torch.ones_like(ids)
    mask[0, :7] = 0
    with torch.no_grad():
        assert torch.equal(plain(ids).logits, hooked(ids).logits)
        padded = [model(ids, attention_mask=mask).logits for model in (plain, hooked)]
    assert torch.equal(*padded)


@pytest.mark.parametrize("family", FAMILIES)
def test_generation_with_a_cache_is_that_of_sdpa(family: str) -> None:
    plain, hooked = tiny_network(family).eval(), tiny_network(family).eval()
    plain.set_attn_implementation("sdpa")
    install(hooked)
    ids = tokens(20, batch=2)
    mask = torch.ones_like(ids)
    mask[1, :5] = 0
    options = {"attention_mask": mask, "max_new_tokens": 12, "do_sample": False, "eos_token_id": 0, "pad_token_id": 0}
    assert torch.equal(plain.generate(ids, **options), hooked.generate(ids, **options))
    with torch.no_grad():  # a second block behind a cache: where a missing mask function shows
        logits = []
        for model in (plain, hooked):
            first = model(ids, use_cache=True)
            logits.append(model(tokens(9, 2, 1), past_key_values=first.past_key_values).logits)
    assert torch.equal(*logits)


def test_reading_leaves_the_model_as_it_was() -> None:
    lens = lens_of("gemma3")
    ids = tokens(30)
    with torch.no_grad():
        before = lens.loaded.model(ids).logits
        lens.read(ids, Wanted(row_layers=ALL))
        assert torch.equal(lens.loaded.model(ids).logits, before)


def test_installing_twice_changes_nothing() -> None:
    loaded = tiny("llama")
    Lens(loaded)
    Lens(loaded)
    assert loaded.model.config._attn_implementation == ATTENTION


@pytest.mark.parametrize("family", ["gemma2", "gpt_oss"])
def test_soft_caps_and_sinks_are_computed_by_the_family_itself(family: str) -> None:
    network, ids = tiny_network(family), tokens(30)
    with torch.no_grad():
        before = network(ids).logits
        install(network)
        assert network.config._attn_implementation == EAGER
        assert network(ids).logits == pytest.approx(before, abs=1e-5)


@pytest.mark.parametrize("family", ["bamba", "qwen3_next", "qwen3_5_text", "falcon_h1", "olmo_hybrid", "stablelm"])
def test_the_flags_of_transformers_are_not_asked(family: str) -> None:
    network = tiny_network(family)
    assert not network._supports_attention_backend
    install(network)
    assert network.config._attn_implementation == ATTENTION


@pytest.mark.parametrize(
    ("family", "reason"), [("bloom", "has no attention that goes through"), ("mamba", "has no attention that goes")]
)
def test_what_cannot_be_read_is_refused_and_stays_as_it_was(family: str, reason: str) -> None:
    network = tiny_network(family)
    before = network.config._attn_implementation
    with pytest.raises(ModelError, match=f"{type(network).__name__} can't be marked by attention: it {reason}"):
        install(network)
    assert network.config._attn_implementation == before


def test_attention_that_the_hooks_would_change_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_network("llama")
    for name in (ATTENTION, EAGER):
        real = ALL_ATTENTION_FUNCTIONS[name]
        monkeypatch.setitem(
            ALL_ATTENTION_FUNCTIONS._global_mapping,
            name,
            lambda *given, real=real, **options: (0.9 * real(*given, **options)[0], None),
        )
    with pytest.raises(ModelError, match="with Penchant's hooks in its attention it computes something else"):
        install(network)
    assert network.config._attn_implementation == "sdpa"


def test_two_threads_probing_one_model_see_only_their_own() -> None:
    lens = lens_of("llama")
    ids = [tokens(24 + 7 * i, seed=i) for i in range(4)]
    wanted = Wanted(queries=ALL, keys=ALL, rows=(-1,), row_layers=ALL)
    alone = [lens.read(one, wanted) for one in ids]
    with torch.no_grad():
        logits = lens.loaded.model(ids[0]).logits
    wrong: list[str] = []
    start = threading.Barrier(5)

    def reads(i: int) -> None:
        start.wait()
        for _ in range(8):
            reading = lens.read(ids[i], wanted)
            for layer in ALL:
                if not (
                    reading.keys[layer].shape == alone[i].keys[layer].shape
                    and torch.allclose(reading.keys[layer], alone[i].keys[layer], atol=1e-5)
                    and torch.allclose(reading.queries[layer], alone[i].queries[layer], atol=1e-5)
                    and torch.allclose(reading.rows[layer], alone[i].rows[layer], atol=1e-5)
                ):
                    wrong.append(f"thread {i}, layer {layer}")

    def runs() -> None:
        start.wait()
        for _ in range(8):
            with torch.no_grad():  # reaches the end: no other thread's early exit ends it
                if not torch.allclose(lens.loaded.model(ids[0]).logits, logits, atol=1e-4):
                    wrong.append("plain forward")

    threads = [threading.Thread(target=reads, args=(i,)) for i in range(4)] + [threading.Thread(target=runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_probe_sees_only_its_own_context() -> None:
    loaded = lens_of("llama").loaded

    class Count:
        calls = 0

        def see(self, layer: int, *_: object) -> None:
            self.calls += 1

    outer, inner = Count(), Count()
    with torch.no_grad(), observing(outer):
        loaded.base(tokens(3))
        other = threading.Thread(target=lambda: loaded.base(tokens(3)))
        other.start()
        other.join()
        with observing(inner):
            loaded.base(tokens(3))
        assert (outer.calls, inner.calls) == (4, 4)
        loaded.base(tokens(3))
    loaded.base(tokens(3))
    assert (outer.calls, inner.calls) == (8, 4)


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_an_exception_in_a_read_leaves_the_model_usable(error: BaseException) -> None:
    lens = lens_of("qwen3")
    ids = tokens(12)
    wanted = Wanted(queries=frozenset({3}), row_layers=frozenset({1}))
    before = lens.read(ids, wanted)
    with torch.no_grad():
        logits = lens.loaded.model(ids).logits

    class Breaks:
        def see(self, layer: int, *_: object) -> None:
            if layer == 2:
                raise error

    with pytest.raises(type(error)), observing(Breaks()):
        lens.loaded.base(ids)
    with pytest.raises(IndexError):
        lens.read(torch.tensor([[10_000]]), wanted)  # no such token
    after = lens.read(ids, wanted)
    assert torch.equal(after.queries[3], before.queries[3])
    assert torch.equal(after.rows[1], before.rows[1])
    with torch.no_grad():
        assert torch.equal(lens.loaded.model(ids).logits, logits)


class Doubles:
    """Doubles what one layer's attention gives; leaves the others alone."""

    def __init__(self, layer: int) -> None:
        self.layer, self.calls = layer, list[Call]()

    def edit(self, module: torch.nn.Module, call: Call) -> torch.Tensor:
        self.calls.append(call)
        return call.output * 2 if module.layer_idx == self.layer else call.output


def test_an_editor_is_shown_every_call_and_changes_what_it_gives() -> None:
    loaded = lens_of("llama").loaded
    ids = tokens(12, 2)
    outputs: list[torch.Tensor] = []
    layer = loaded.base.layers[2].self_attn.o_proj  # type: ignore[union-attr, index]
    handle = layer.register_forward_pre_hook(lambda _, args: outputs.append(args[0].clone()))
    editor, idle = Doubles(2), Doubles(9)
    with torch.no_grad():
        plain = loaded.model(ids).logits
        with editing(editor):
            doubled = loaded.model(ids).logits
        with editing(idle):
            assert torch.equal(loaded.model(ids).logits, plain)
    handle.remove()
    assert torch.equal(outputs[1], 2 * outputs[0])
    assert not torch.equal(doubled, plain)
    call = editor.calls[2]
    assert [*call.query.shape] == [2, 4, 12, 16] and [*call.key.shape] == [*call.value.shape] == [2, 2, 12, 16]
    assert call.scaling == 0.25 and call.mask is None and [*call.output.shape] == [2, 12, 4, 16]


def test_an_editor_edits_its_own_context_only() -> None:
    loaded = lens_of("llama").loaded
    ids = tokens(5)
    seen: list[torch.Tensor] = []
    with torch.no_grad():
        plain = loaded.model(ids).logits

    def runs() -> None:
        with torch.no_grad():
            seen.append(loaded.model(ids).logits)

    with torch.no_grad(), pytest.raises(KeyError), editing(Doubles(0)):
        thread = threading.Thread(target=runs)
        thread.start()
        thread.join()
        outer = loaded.model(ids).logits
        with editing(Doubles(9)):
            runs()
        assert torch.equal(loaded.model(ids).logits, outer) and not torch.equal(outer, plain)
        raise KeyError
    runs()
    assert len(seen) == 3 and all(torch.equal(one, plain) for one in seen)
