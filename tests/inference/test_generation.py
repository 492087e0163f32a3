"""Answers as a stream and in batches: greedy, sampled, and where they end."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from penchant.errors import InputError
from penchant.inference import cached_rows, generation
from penchant.inference.answer_row import PromptTokens
from penchant.inference.generation import Generated, batches, generate, generate_stream
from penchant.inference.sampling import Sampling
from penchant.inference.stopping import end_tokens
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import prompt_ids
from tests.families import FAMILIES, TURN_END, WINDOW, tiny

HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße 🙂"}]


@pytest.fixture(scope="module")
def llama() -> LoadedModel:
    return tiny("llama")


def scripted(monkeypatch: pytest.MonkeyPatch, loaded: LoadedModel, text: str, then: int | None = None) -> list[int]:
    """Let the model "say" `text` token by token, then token `then` for ever. Gives the tokens back."""
    ids: list[int] = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    queue = iter(ids)

    def pick(*_: object) -> list[int]:
        return [next(queue, loaded.tokenizer.eos_token_id if then is None else then)]

    monkeypatch.setattr(generation, "pick", pick)
    return ids


def watched(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """A list that gets the tokens of every step."""
    steps: list[list[int]] = []
    real = generation.pick

    def pick(*given: Any) -> list[int]:
        steps.append(real(*given))
        return steps[-1]

    monkeypatch.setattr(generation, "pick", pick)
    return steps


@pytest.mark.parametrize("family", [*FAMILIES, "gpt2"])
def test_greedy_stream_equals_a_loop_without_cache(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny(family)
    monkeypatch.setattr(generation, "end_tokens", lambda _: set())
    monkeypatch.setattr(cached_rows, "PREFILL", 7)  # several chunks, shorter than the sliding windows
    prompt = "I am allergic to peanuts. What should dinner avoid?"
    ids = prompt_ids(loaded, prompt)
    expected: list[int] = []
    with torch.no_grad():
        for _ in range(15):
            expected.append(int(loaded.model(torch.tensor([ids + expected])).logits[0, -1].argmax()))
    steps = watched(monkeypatch)
    list(generate_stream(loaded, prompt, max_new_tokens=15))
    assert [token for (token,) in steps] == expected


def test_pieces_join_to_the_text_and_never_split_a_character(
    llama: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = " Grüße aus 東京 🙂🇩🇪 e\u0301, عربي"
    ids = scripted(monkeypatch, llama, text)
    pieces = list(generate_stream(llama, "x"))
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)
    assert 1 < len(pieces) < len(ids)  # streamed, and byte tokens were held until whole


def test_half_a_character_at_the_end_is_shown_as_such(llama: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = scripted(monkeypatch, llama, "ok 🙂")
    pieces = list(generate_stream(llama, "x", max_new_tokens=len(ids) - 1))
    assert "".join(pieces).startswith("ok ")
    assert "".join(pieces).endswith("\ufffd")


@pytest.mark.parametrize("token", ["<|end|>", TURN_END])
def test_ends_at_end_of_text_and_at_end_of_turn(
    llama: LoadedModel, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    ident = llama.tokenizer.convert_tokens_to_ids(token)
    assert ident in end_tokens(llama)
    scripted(monkeypatch, llama, "Yes.", then=ident)
    assert "".join(generate_stream(llama, "x")) == "Yes."


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        ("\nUser:", "one two"),
        (["never", "two"], "one "),
        ("three!", "one two\nUser: three"),  # only its beginning comes: nothing may be lost
        ("o", ""),
    ],
)
def test_stop_texts(llama: LoadedModel, monkeypatch: pytest.MonkeyPatch, stop: str | list[str], expected: str) -> None:
    scripted(monkeypatch, llama, "one two\nUser: three")
    assert "".join(generate_stream(llama, "x", stop=stop)) == expected


def test_a_base_model_stops_before_it_speaks_for_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    base = tiny("llama", chat=False)
    scripted(monkeypatch, base, " Hello.\nUser: more")
    assert "".join(generate_stream(base, render_chat(base, HELLO))) == " Hello."
    scripted(monkeypatch, base, " Hello.\nUser: more")
    assert "".join(generate_stream(base, "a script")) == " Hello.\nUser: more"


def test_sampling_is_repeatable_by_seed(llama: LoadedModel) -> None:
    def sample(seed: int | None, temperature: float) -> str:
        return "".join(generate_stream(llama, "x", max_new_tokens=20, sampling=Sampling(temperature, seed=seed)))

    assert sample(1, 5.0) == sample(1, 5.0)
    assert len({sample(seed, 5.0) for seed in range(6)}) > 1
    assert sample(1, 1e-4) == sample(None, 0.0)


def test_closing_early_ends_the_work(llama: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = watched(monkeypatch)
    monkeypatch.setattr(generation, "end_tokens", lambda _: set())
    stream: Iterator[str] = generate_stream(llama, "Tell me more", max_new_tokens=200)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert len(steps) < 50
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_the_window_is_never_exceeded(llama: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "end_tokens", lambda _: set())
    prompt = "7" * (WINDOW - 3)
    assert len(prompt_ids(llama, prompt)) == WINDOW - 3
    steps = watched(monkeypatch)
    list(generate_stream(llama, prompt))
    assert len(steps) == 3
    ids = scripted(monkeypatch, llama, "a b c d e f g")
    assert len(ids) > 3
    assert "".join(generate_stream(llama, prompt)) == llama.tokenizer.decode(ids[:3])


def test_bad_calls_fail_at_once_with_both_numbers(llama: LoadedModel) -> None:
    with pytest.raises(InputError, match=rf"prompt has {WINDOW} tokens but the window of tiny-llama is {WINDOW}"):
        generate_stream(llama, "7" * WINDOW)
    with pytest.raises(InputError, match="empty"):
        generate_stream(llama, "")
    with pytest.raises(InputError, match="an answer of at most 0 tokens"):
        generate_stream(llama, "x", max_new_tokens=0)
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="temperature"):
            Sampling(wrong)


def test_spaces_between_words_survive_a_tokenizer_that_drops_the_first(
    llama: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = Tokenizer(models.WordLevel({"?": 0, "<|end|>": 1, "▁good": 2, "▁day": 3}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    words.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<|end|>", unk_token="?")
    loaded = replace(llama, tokenizer=tokenizer)
    scripted(monkeypatch, loaded, "good day good")
    assert list(generate_stream(loaded, "good")) == ["good", " day", " good"]


TEXTS = ["Hi.", "I like long walks by the sea, and the report.", "What should I read next? " * 8]


def prompts(loaded):
    return [render_chat(loaded, [{"role": "user", "content": text}]) for text in TEXTS]


@pytest.mark.parametrize("family", [*FAMILIES, "gpt2"])  # gpt2: its positions are absolute
def test_greedy_batches_are_the_stream_of_each_prompt(family):
    loaded = tiny(family)
    starts = [PromptTokens(tuple(prompt_ids(loaded, text)), 6 + n) for n, text in enumerate(prompts(loaded))]
    expected = ["".join(generate_stream(loaded, text, max_new_tokens=6 + n)) for n, text in enumerate(prompts(loaded))]
    assert [one.text for one in generate(loaded, starts)] == [text.strip() for text in expected]


def test_a_sample_depends_on_its_own_seed_and_not_on_its_neighbours():
    loaded = tiny("llama")
    ids = [tuple(prompt_ids(loaded, text)) for text in prompts(loaded)]
    starts = [PromptTokens(one, 12, Sampling(1.0, seed=f"seed {n}")) for n, one in enumerate(ids)]
    alone = [generate(loaded, [start])[0] for start in starts]
    assert generate(loaded, starts) == generate(loaded, starts[::-1])[::-1] == alone
    assert generate(loaded, [PromptTokens(ids[0], 12, Sampling(1.0, seed="other"))])[0] != alone[0]
    greedy = generate(loaded, [PromptTokens(ids[0], 12)])[0]
    assert generate(loaded, [PromptTokens(ids[0], 12, Sampling(1e-6, seed="seed"))])[0] == greedy != alone[0]


def test_samples_follow_the_probabilities():
    loaded = tiny("llama")
    ids = tuple(prompt_ids(loaded, prompts(loaded)[0]))
    with torch.no_grad():
        wanted = torch.softmax(loaded.model(torch.tensor([ids])).logits[0, -1] / 0.5, -1)
    token = int(wanted.argmax())
    text = str(loaded.tokenizer.decode([token], skip_special_tokens=True)).strip()
    made = []
    for n in range(4):
        starts = [PromptTokens(ids, 1, Sampling(0.5, seed=f"{n} {i}")) for i in range(100)]
        made += [one.text for one in generate(loaded, starts)]
    texts = [str(loaded.tokenizer.decode([t], skip_special_tokens=True)).strip() for t in range(len(wanted))]
    same = sum(float(p) for t, p in zip(texts, wanted, strict=True) if t == text)
    assert made.count(text) / 400 == pytest.approx(same, abs=0.08)
    assert 0.05 < same < 0.95


def test_a_row_ends_at_an_end_token_while_others_go_on(monkeypatch):
    loaded = tiny("llama")
    starts = [PromptTokens(tuple(prompt_ids(loaded, text)), 8) for text in prompts(loaded)]
    full = generate(loaded, starts)
    tokens = loaded.tokenizer(full[1].text, add_special_tokens=False)["input_ids"]
    assert end_tokens(loaded)
    monkeypatch.setattr("penchant.inference.generation.end_tokens", lambda loaded: {tokens[3]})
    ended = generate(loaded, starts)
    assert full[1].text.startswith(ended[1].text) and ended[1].text != full[1].text
    assert (full[1].finish, ended[1].finish) == ("length", "stop")


def test_a_model_without_a_template_stops_at_the_next_turn(monkeypatch):
    loaded = tiny("llama", chat=False)
    starts = [PromptTokens(tuple(prompt_ids(loaded, "User: Hi.\nAssistant:")), 60)]
    script = iter(loaded.tokenizer(" Yes.\nUser: more and more", add_special_tokens=False)["input_ids"])
    monkeypatch.setattr("penchant.inference.generation.pick", lambda *_: [next(script)])
    assert generate(loaded, starts) == [Generated("Yes.", "stop")]


def test_batches_are_of_similar_length_and_bounded():
    starts = [PromptTokens((1,) * n, 10) for n in (50, 3, 40, 5, 4, 300)]
    assert list(batches(starts, rows=2, tokens=200)) == [[1, 4], [3, 2], [0], [5]]
    assert list(batches(starts, rows=9, tokens=10**6)) == [[1, 4, 3, 2, 0, 5]]
    assert list(batches([])) == []
    for batch in batches(starts, rows=4, tokens=130):
        width = max(len(starts[p].ids) for p in batch)
        assert len(batch) == 1 or len(batch) * (width + 10) <= 130
