"""Batched reading equals one forward pass after the other, for every family."""

from dataclasses import replace

import pytest
import torch

from penchant.errors import InputError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.runtime import steered
from penchant.inference.sites import Site
from penchant.inference.stopping import cut_answer
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import continuation_ids
from penchant_lab.bench.answering import Answerer, Prompt
from tests.families import tiny

pytestmark = pytest.mark.slow

FAMILIES = ("llama", "qwen3", "gemma3", "gpt_neox")


ENDS = "penchant.inference.generation.end_tokens"


def tokens(seed: int, count: int) -> tuple[int, ...]:
    return tuple(torch.randint(6, 300, (count,), generator=torch.Generator().manual_seed(seed)).tolist())


@torch.no_grad()
def plain_nll(loaded: LoadedModel, prompt: tuple[int, ...], continuation: tuple[int, ...]) -> float:
    logits = loaded.model(input_ids=torch.tensor([prompt + continuation]), use_cache=False).logits[0].float()
    rows = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return -float(rows.gather(1, torch.tensor(continuation)[:, None]).sum())


@torch.no_grad()
def plain_greedy(loaded: LoadedModel, prompt: tuple[int, ...], count: int) -> list[int]:
    made: list[int] = []
    for _ in range(count):
        logits = loaded.model(input_ids=torch.tensor([[*prompt, *made]]), use_cache=False).logits[0, -1]
        made.append(int(logits.argmax()))
    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_of_different_lengths_equals_reading_one_by_one(family: str) -> None:
    loaded = tiny(family)
    prompts = [
        Prompt(tokens(1, 40), (tokens(2, 5),)),
        Prompt(tokens(3, 7), (tokens(4, 1), tokens(5, 9), tokens(6, 3))),
        Prompt(tokens(7, 23), ()),
    ]
    counts: list[int] = []
    replies = Answerer(loaded).read(prompts, counts.append)
    assert sum(counts) == 3
    for prompt, reply in zip(prompts, replies, strict=True):
        wanted = [plain_nll(loaded, prompt.ids, one) for one in prompt.continuations]
        assert reply.nlls == pytest.approx(wanted, abs=2e-3)
        assert reply.lengths == tuple(map(len, prompt.continuations))
        assert reply.tokens_fed == len(prompt.ids) + sum(reply.lengths)


@pytest.mark.parametrize("family", FAMILIES)
def test_generating_in_a_batch_equals_greedy_decoding(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny(family)
    prompts = [Prompt(tokens(1, 30), (tokens(2, 5),), 6), Prompt(tokens(3, 12), (), 9), Prompt(tokens(4, 12), (), 0)]
    answerer = Answerer(loaded)
    monkeypatch.setattr(ENDS, lambda _: set())
    texts = [reply.text for reply in answerer.read(prompts)]
    for prompt, text in zip(prompts, texts, strict=True):
        made = plain_greedy(loaded, prompt.ids, prompt.max_new_tokens)
        # Tokens that close a reasoning trace in some family stay in the text.
        plain = cut_answer(loaded, loaded.tokenizer.decode(made, skip_special_tokens=True))
        assert text.replace("<|end|>", "") == plain


def test_generation_ends_at_an_end_token(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny("llama")
    prompt = Prompt(tokens(1, 30), (), 8)
    made = plain_greedy(loaded, prompt.ids, 8)
    answerer = Answerer(loaded)
    at = next(place for place in range(1, 8) if made[place] not in made[:place])
    monkeypatch.setattr(ENDS, lambda _: {made[at]})
    assert answerer.read([prompt])[0].text == loaded.tokenizer.decode(made[:at], skip_special_tokens=True).strip()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shared_beginning_changes_nothing_and_is_read_once(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penchant_lab.bench.answering.SHARED", 64)
    loaded = tiny(family)
    beginning = tokens(9, 200)
    prompts = [Prompt(beginning + tokens(n, 4 + n), (tokens(50 + n, 6), tokens(60 + n, 2)), 5) for n in range(3)]
    answerer = Answerer(loaded)
    fed: list[int] = []
    forward = loaded.model.forward

    def counting(*args: object, **options: object) -> object:
        fed.append(options["input_ids"].numel())  # type: ignore[attr-defined]
        return forward(*args, **options)

    monkeypatch.setattr(loaded.model, "forward", counting)
    for _ in range(2):  # the second time the beginning is there already
        fed.clear()
        replies = answerer.read(prompts)
        for prompt, reply in zip(prompts, replies, strict=True):
            wanted = [plain_nll(loaded, prompt.ids, one) for one in prompt.continuations]
            assert reply.nlls == pytest.approx(wanted, abs=2e-3)
            assert reply.tokens_fed < 40
    fed.clear()
    answerer.read(prompts)
    assert max(fed) < 40  # the beginning wasn't fed again
    single = Answerer(loaded).read(prompts[:1])[0]  # alone: no beginning is shared
    assert single.nlls == pytest.approx(replies[0].nlls, abs=2e-3)
    assert single.text == replies[0].text


def test_a_long_prompt_is_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penchant.inference.cached_rows.PREFILL", 16)
    loaded = tiny("gemma3")
    prompt = Prompt(tokens(1, 75), (tokens(2, 5),))
    other = Prompt(tokens(3, 50), (tokens(4, 5),))
    replies = Answerer(loaded).read([prompt, other])
    assert replies[0].nlls[0] == pytest.approx(plain_nll(loaded, prompt.ids, prompt.continuations[0]), abs=2e-3)
    assert replies[1].nlls[0] == pytest.approx(plain_nll(loaded, other.ids, other.continuations[0]), abs=2e-3)


def test_batches_keep_to_their_limits() -> None:
    answerer = Answerer(tiny("llama"), rows=2, batch_tokens=60)
    prompts = [Prompt(tokens(n, length)) for n, length in enumerate((10, 50, 55, 12, 14))]
    sizes: list[int] = []
    answerer.read(prompts, sizes.append)
    assert sizes == [2, 1, 1, 1]


def test_a_prompt_that_leaves_no_room_is_refused() -> None:
    loaded = tiny("llama")
    with pytest.raises(InputError, match="window"):
        Answerer(loaded).read([Prompt(tokens(1, loaded.window - 3), (tokens(2, 4),))])
    with pytest.raises(InputError, match="expected 1 to"):
        Answerer(loaded).read([Prompt(())])


def test_an_answer_follows_what_its_prompt_ends_with() -> None:
    assert tiny("llama").tokenizer.decode(continuation_ids(tiny("llama"), "the sea")) == "the sea"
    plain = tiny("llama", chat=False)  # its prompt ends with "Assistant:"
    assert plain.tokenizer.decode(continuation_ids(plain, "the sea")) == " the sea"
    assert cut_answer(plain, " the sea\nUser: and then?") == "the sea"


def test_an_empty_answer_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        continuation_ids(tiny("llama"), " ")


def written(loaded: LoadedModel, seed: int, scope: str = "last_1", layer: int = 1) -> Intervention:
    add = torch.randn(1, 64, generator=torch.Generator().manual_seed(seed))
    return Intervention({Site(layer, "block"): Edit(2 * add)}, scope)


@torch.no_grad()
def plain_steered(loaded: LoadedModel, prompt: Prompt) -> tuple[list[float], str]:
    """One forward pass after the other, without a cache, in the same context."""
    with steered(loaded.model, prompt.intervention, [len(prompt.ids)]):
        nlls = [plain_nll(loaded, prompt.ids, one) for one in prompt.continuations]
        made = plain_greedy(loaded, prompt.ids, prompt.max_new_tokens)
    return nlls, cut_answer(loaded, loaded.tokenizer.decode(made, skip_special_tokens=True))


@pytest.mark.parametrize("scope", ["last_1", "after_prompt", "all"])
@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_each_row_of_a_batch_is_steered_by_its_own(family: str, scope: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny(family)
    prompts = [
        Prompt(tokens(1, 40), (tokens(2, 5), tokens(3, 2)), 6, written(loaded, 0, scope)),
        Prompt(tokens(1, 40), (tokens(2, 5), tokens(3, 2)), 6),
        Prompt(tokens(4, 9), (tokens(5, 7),), 6, written(loaded, 1, scope, layer=2)),
        Prompt(tokens(6, 23), (tokens(7, 3),), 6, Intervention()),
        Prompt(tokens(1, 40), (tokens(2, 5),), 6, written(loaded, 2, scope)),
    ]
    answerer, sizes = Answerer(loaded), list[int]()
    monkeypatch.setattr(ENDS, lambda _: set())
    replies = answerer.read(prompts, sizes.append)
    assert sizes == [len(prompts)]
    for prompt, reply in zip(prompts, replies, strict=True):
        nlls, text = plain_steered(loaded, prompt)
        assert reply.nlls == pytest.approx(nlls, abs=2e-3)
        assert reply.text == text
    assert len({reply.nlls[0] for reply in (replies[0], replies[1], replies[4])}) == 3
    if family == "llama":  # the other's random tokens are no text
        assert len({reply.text for reply in (replies[0], replies[1], replies[4])}) == 3


def test_nothing_is_written_once_a_batch_is_read() -> None:
    loaded = tiny("llama")
    answerer, bare = Answerer(loaded), Prompt(tokens(1, 12), (tokens(2, 5),), 4)
    before = answerer.read([bare])
    steered_ones = [replace(bare, intervention=written(loaded, seed)) for seed in (0, 1)]
    assert answerer.read(steered_ones)[0] != before[0]
    assert answerer.read([bare]) == before


def test_a_beginning_is_not_shared_by_prompts_that_are_steered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penchant_lab.bench.answering.SHARED", 64)
    loaded = tiny("llama")
    bare = [Prompt(tokens(9, 200) + tokens(n, 4 + n), (tokens(50 + n, 6),), 3) for n in range(3)]
    answerer = Answerer(loaded)
    monkeypatch.setattr(ENDS, lambda _: set())
    kept = answerer.read(bare)  # now there is a beginning that would serve
    some = [bare[0], *(replace(one, intervention=written(loaded, n, "all")) for n, one in enumerate(bare[1:]))]
    replies = answerer.read(some)
    for prompt, reply in zip(some, replies, strict=True):
        nlls, text = plain_steered(loaded, prompt)
        assert reply.nlls == pytest.approx(nlls, abs=2e-3)
        assert reply.text == text
        assert reply.tokens_fed == len(prompt.ids) + sum(reply.lengths)  # read in full
    again = answerer.read(bare)  # and what was kept is as it was
    assert [one.nlls for one in again] == [one.nlls for one in kept]


def test_rows_of_different_scopes_are_refused() -> None:
    loaded = tiny("llama")
    prompts = [
        Prompt(tokens(n, 12), (tokens(9, 5),), 0, written(loaded, n, scope))
        for n, scope in enumerate(("last_1", "all"))
    ]
    with pytest.raises(InputError, match="different scopes"):
        Answerer(loaded).read(prompts)
