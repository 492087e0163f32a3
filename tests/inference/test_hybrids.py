"""Models with recurrent layers: cached is uncached, batched is unbatched; what a family can't do is refused."""

from functools import wraps
from typing import Any

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaModel

from penchant.errors import ModelError
from penchant.inference import generation
from penchant.inference.answer_row import PromptTokens
from penchant.inference.batching import Padded, pad_left, pad_right
from penchant.inference.cached_rows import CachedRows
from penchant.inference.forward import hidden_states
from penchant.inference.generation import generate, generate_stream
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.kv_cache import growing_cache
from penchant.inference.likelihood import Exchange, losses
from penchant.inference.recurrence import Recurrence, recurrence
from penchant.inference.sites import Site
from penchant.models.loading import LoadedModel
from penchant.steering.extract.vectors import likelihood_gradients
from tests.families import FAMILIES, HYBRIDS, tiny
from tests.steering.users import plain_nll

pytestmark = pytest.mark.slow

LONG, SHORT = tuple(range(30, 70)), tuple(range(100, 117))
PADDED = tuple(family for family in HYBRIDS if family != "recurrent_gemma")


def uncached(loaded: LoadedModel, ids: tuple[int, ...], count: int) -> list[int]:
    made: list[int] = []
    with torch.no_grad():
        for _ in range(count):
            made.append(int(loaded.model(torch.tensor([[*ids, *made]]), use_cache=False).logits[0, -1].argmax()))
    return made


@pytest.fixture(autouse=True)
def steps(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The tokens of every step; nothing ends an answer."""
    made: list[list[int]] = []
    real = generation.pick

    def pick(*given: Any) -> list[int]:
        made.append(real(*given))
        return made[-1]

    monkeypatch.setattr(generation, "pick", pick)
    monkeypatch.setattr(generation, "end_tokens", lambda _: set())
    return made


@pytest.mark.parametrize("family", HYBRIDS)
def test_cached_generation_is_uncached_generation(family: str, steps: list[list[int]]) -> None:
    loaded = tiny(family)
    generate(loaded, [PromptTokens(LONG, 12)])
    assert [token for (token,) in steps] == uncached(loaded, LONG, 12)


@pytest.mark.parametrize("family", HYBRIDS)
def test_a_stream_in_chunks_too(family: str, steps: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny(family)
    monkeypatch.setattr("penchant.inference.cached_rows.PREFILL", 9)
    prompt = "I am allergic to peanuts. What should dinner avoid?"
    list(generate_stream(loaded, prompt, max_new_tokens=8))
    ids = loaded.tokenizer(prompt)["input_ids"]
    assert [token for (token,) in steps] == uncached(loaded, tuple(ids), 8)


@pytest.mark.parametrize("family", PADDED)
def test_batched_generation_is_unbatched_generation(family: str, steps: list[list[int]]) -> None:
    loaded = tiny(family)
    generate(loaded, [PromptTokens(LONG, 8), PromptTokens(SHORT, 8)])
    assert [list(row) for row in zip(*steps, strict=True)] == [uncached(loaded, ids, 8) for ids in (LONG, SHORT)]


@pytest.mark.parametrize("family", PADDED)
def test_likelihoods_are_those_of_plain_passes_steered_too(family: str) -> None:
    loaded = tiny(family)
    given = [Exchange(LONG, (5, 9, 77)), Exchange(SHORT, (8, 11, 12, 13, 14)), Exchange(SHORT[:3], (9,))]
    site, vectors = Site(1, "block"), torch.randn(3, 64, generator=torch.Generator().manual_seed(1))

    written = Intervention({site: Edit(vectors)}, "last_1")
    found = losses(loaded, given, [None, written, None])
    with torch.no_grad():
        for i, one in enumerate(given):
            wanted = torch.stack(
                [
                    plain_nll(loaded, one, None),
                    plain_nll(loaded, one, Intervention({site: Edit(vectors[[i]])}, "last_1")),
                ]
            )
            assert found[:2, i] == pytest.approx(wanted, abs=1e-3)
            assert float(found[2, i]) == pytest.approx(float(found[0, i]), abs=1e-6)


@pytest.mark.parametrize("family", HYBRIDS)
def test_going_back_and_branching(family: str) -> None:
    loaded, rows = tiny(family), CachedRows.empty(tiny(family), 1)
    with torch.no_grad():
        rows.read(pad_left([LONG]), last=0)
        restore = rows.checkpoint()
        wanted = loaded.model(torch.tensor([[*LONG, *SHORT]]), use_cache=False).logits[0, len(LONG) :]
        for _ in range(2):
            rows.read(pad_left([SHORT[::-1]]), last=0)
            restore()
        both = rows.branch(2).read(pad_left([SHORT, SHORT[::-1]]), last=len(SHORT))
        assert both[0] == pytest.approx(wanted, abs=2e-3)
        restore()
        assert rows.read(pad_left([SHORT]), last=len(SHORT))[0] == pytest.approx(wanted, abs=2e-3)


@pytest.mark.parametrize("family", ["bamba", "lfm2"])
def test_gradients_reach_vectors_behind_a_recurrent_cache(family: str) -> None:
    loaded, one, site = tiny(family), Exchange(LONG, (5, 9, 77, 8)), Site(1, "block")
    found = likelihood_gradients(loaded, [one], [site], scope="after_prompt")[site]
    step = 1e-2 * torch.nn.functional.normalize(found)

    def nll(vector: torch.Tensor) -> float:
        return float(plain_nll(loaded, one, Intervention({site: Edit(vector)})))

    with torch.no_grad():
        assert (nll(-step) - nll(step)) / 2e-2 == pytest.approx(float(found.norm()), rel=0.05)


def test_what_families_can_do_is_measured() -> None:
    for family in FAMILIES:
        assert recurrence(tiny(family)) is None
    for family in ("bamba", "lfm2", "qwen3_next", "granitemoehybrid", "falcon_h1"):
        assert recurrence(tiny(family)) == Recurrence(step=True, chunk=True, padding=True)
    assert recurrence(tiny("jamba")) == Recurrence(step=True, chunk=False, padding=True)
    assert recurrence(tiny("zamba2")) == Recurrence(step=False, chunk=True, padding=True)
    # Its state is in the model, where the next conversation finds it.
    assert recurrence(tiny("recurrent_gemma")) == Recurrence(step=False, chunk=False, padding=False)
    assert recurrence(tiny("minimax")) == Recurrence(step=False, chunk=False, padding=True, cache=False)
    assert recurrence(tiny("mamba")) == Recurrence(step=True, chunk=False, padding=True)
    assert recurrence(tiny("mamba2")) == Recurrence(step=True, chunk=True, padding=True)


def test_a_family_without_recurrence_is_tried_too(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, real = tiny("llama"), LlamaModel.forward

    @wraps(real)
    def forgetful(self: LlamaModel, *given: Any, **options: Any) -> Any:
        if options.get("past_key_values") is not None and options["past_key_values"].get_seq_length():
            options["position_ids"] = options["position_ids"] * 0
        return real(self, *given, **options)

    monkeypatch.setattr(LlamaModel, "forward", forgetful)
    assert recurrence(loaded) == Recurrence(step=False, chunk=False, padding=True)
    made = CachedRows.empty(loaded, 1)
    with torch.no_grad():
        made.read(pad_left([LONG]), last=0)
        found = made.read(pad_left([SHORT]))[:, -1]
        wanted = loaded.model(torch.tensor([[*LONG, *SHORT]]), use_cache=False).logits[:, -1]
        assert found == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("family", ["recurrent_gemma", "mamba", "minimax", "lfm2"])
def test_two_conversations_at_a_time_do_not_mix(family: str) -> None:
    loaded = tiny(family)
    both = [CachedRows.empty(loaded, 1, rewind=False) for _ in range(2)]
    texts = [list(LONG), list(SHORT)]
    with torch.no_grad():
        for rows, ids in zip(both, texts, strict=True):
            rows.prefill(pad_left([ids]))
        for token in (5, 9, 77):
            for rows, ids in zip(both, texts, strict=True):
                ids.append(token)
                wanted = loaded.model(torch.tensor([ids]), use_cache=False).logits[:, -1]
                assert rows.feed([token]) == pytest.approx(wanted, abs=2e-3)


def test_what_would_be_wrong_is_refused() -> None:
    with pytest.raises(ModelError, match="tiny-recurrent_gemma treats padding as text: expected rows of one length"):
        generate(tiny("recurrent_gemma"), [PromptTokens(LONG, 4), PromptTokens(SHORT, 4)])
    jamba = tiny("jamba")
    cache = growing_cache(jamba.model)
    hidden_states(jamba, torch.tensor([LONG]), cache=cache)
    with pytest.raises(ModelError, match="computes 17 tokens after a cache wrongly"):
        hidden_states(jamba, torch.tensor([SHORT]), cache=cache)
    rows = CachedRows.empty(tiny("bamba"), 2)
    rows.read(pad_right([LONG, SHORT]), last=0)
    with pytest.raises(ModelError, match="no padding between the tokens of a row"):
        rows.read(Padded(torch.ones(2, 3, dtype=torch.long), torch.ones(2, 3, dtype=torch.bool)))
