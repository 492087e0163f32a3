"""Batched reading equals one forward pass after the other, for every family."""

import pytest
import torch

from penchant.errors import InputError
from penchant.evaluation.answering import Answerer, Prompt, cut_answer
from penchant.models.chat import continuation_ids
from penchant.models.loading import LoadedModel
from tests.families import tiny

FAMILIES = ("llama", "qwen3", "gemma3", "gpt_neox")


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
    monkeypatch.setattr(answerer, "_ends", set())
    texts = [reply.text for reply in answerer.read(prompts)]
    for prompt, text in zip(prompts, texts, strict=True):
        made = plain_greedy(loaded, prompt.ids, prompt.max_new_tokens)
        assert text == cut_answer(loaded, loaded.tokenizer.decode(made, skip_special_tokens=True))


def test_generation_ends_at_an_end_token(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny("llama")
    prompt = Prompt(tokens(1, 30), (), 8)
    made = plain_greedy(loaded, prompt.ids, 8)
    answerer = Answerer(loaded)
    at = next(place for place in range(1, 8) if made[place] not in made[:place])
    monkeypatch.setattr(answerer, "_ends", {made[at]})
    assert answerer.read([prompt])[0].text == loaded.tokenizer.decode(made[:at], skip_special_tokens=True).strip()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shared_beginning_changes_nothing_and_is_read_once(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penchant.evaluation.answering.SHARED", 64)
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
    monkeypatch.setattr("penchant.evaluation.answering.PREFILL", 16)
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
