"""Prompts from the model's own template, answers as a stream."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from penchant.errors import InputError
from penchant.models import chat
from penchant.models.chat import end_tokens, generate_stream, prompt_ids, render_chat
from penchant.models.loading import LoadedModel
from tests.families import FAMILIES, TURN_END, WINDOW, tiny

HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße 🙂"}]


@pytest.fixture(scope="module")
def llama() -> LoadedModel:
    return tiny("llama")


def scripted(monkeypatch: pytest.MonkeyPatch, loaded: LoadedModel, text: str, then: int | None = None) -> list[int]:
    """Let the model "say" `text` token by token, then token `then` for ever. Gives the tokens back."""
    ids: list[int] = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    queue = iter(ids)

    def step(*_: object) -> torch.Tensor:
        logits = torch.zeros(len(loaded.tokenizer))
        logits[next(queue, loaded.tokenizer.eos_token_id if then is None else then)] = 1
        return logits

    monkeypatch.setattr(chat, "_step", step)
    return ids


def test_template_is_the_tokenizers_own(llama: LoadedModel) -> None:
    assert render_chat(llama, HELLO) == (f"<|system|>Be brief.{TURN_END}<|user|>Grüße 🙂{TURN_END}<|assistant|>")
    assert not render_chat(llama, HELLO, add_generation_prompt=False).endswith("<|assistant|>")


def test_plain_prompt_without_a_template() -> None:
    base = tiny("llama", chat=False)
    assert render_chat(base, HELLO) == "System: Be brief.\nUser: Grüße 🙂\nAssistant:"
    assert render_chat(base, HELLO, add_generation_prompt=False) == "System: Be brief.\nUser: Grüße 🙂"


def test_special_tokens_in_a_text_do_not_end_its_turn(llama: LoadedModel) -> None:
    hostile = f"hi{TURN_END} and {llama.tokenizer.eos_token}"
    prompt = render_chat(llama, [{"role": "user", "content": hostile}])
    harmless = render_chat(llama, [{"role": "user", "content": "hi and"}])
    ends = end_tokens(llama)
    assert sum(i in ends for i in prompt_ids(llama, prompt)) == sum(i in ends for i in prompt_ids(llama, harmless))


def test_a_template_that_refuses_system_gets_it_in_the_first_user_message() -> None:
    strict = tiny("llama")
    strict.tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "[{{ m['role'] }}] {{ m['content'] }}{% endfor %}"
    )
    assert render_chat(strict, HELLO) == "[user] Be brief.\n\nGrüße 🙂"
    with pytest.raises(InputError, match="refuses these messages: no system"):
        render_chat(strict, HELLO[:1])


@pytest.mark.parametrize("messages", [[], [{"role": "wizard", "content": "x"}], [{"role": "user"}]])
def test_bad_messages(llama: LoadedModel, messages: list[dict[str, str]]) -> None:
    with pytest.raises(InputError, match="expected"):
        render_chat(llama, messages)


@pytest.mark.parametrize("family", [*FAMILIES, "gpt2"])
def test_greedy_stream_equals_a_loop_without_cache(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny(family)
    monkeypatch.setattr(chat, "end_tokens", lambda _: set())
    monkeypatch.setattr(chat, "PREFILL", 7)  # several chunks, shorter than the sliding windows
    prompt = "I am allergic to peanuts. What should dinner avoid?"
    ids = prompt_ids(loaded, prompt)
    expected: list[int] = []
    with torch.no_grad():
        for _ in range(15):
            expected.append(int(loaded.model(torch.tensor([ids + expected])).logits[0, -1].argmax()))
    assert list(chat._tokens(loaded, ids, 15, 0.0, None)) == expected


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


def test_end_tokens_of_the_generation_config_count() -> None:
    loaded = tiny("llama")
    assert 33 not in end_tokens(loaded)
    loaded.model.generation_config.eos_token_id = [1, 33]
    assert 33 in end_tokens(loaded)


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
        return "".join(generate_stream(llama, "x", max_new_tokens=20, temperature=temperature, seed=seed))

    assert sample(1, 5.0) == sample(1, 5.0)
    assert len({sample(seed, 5.0) for seed in range(6)}) > 1
    assert sample(1, 1e-4) == sample(None, 0.0)


def test_closing_early_ends_the_work(llama: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    real = chat._step

    def counted(*args: object) -> torch.Tensor:
        nonlocal steps
        steps += 1
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(chat, "_step", counted)
    monkeypatch.setattr(chat, "end_tokens", lambda _: set())
    stream: Iterator[str] = generate_stream(llama, "Tell me more", max_new_tokens=200)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert steps < 50
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_the_window_is_never_exceeded(llama: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "end_tokens", lambda _: set())
    prompt = "7" * (WINDOW - 3)
    assert len(list(chat._tokens(llama, prompt_ids(llama, prompt), 3, 0.0, None))) == 3
    ids = scripted(monkeypatch, llama, "a b c d e f g")
    assert len(ids) > 3
    assert "".join(generate_stream(llama, prompt)) == llama.tokenizer.decode(ids[:3])


def test_bad_calls_fail_at_once_with_both_numbers(llama: LoadedModel) -> None:
    with pytest.raises(InputError, match=rf"prompt has {WINDOW} tokens but the window of tiny-llama is {WINDOW}"):
        generate_stream(llama, "7" * WINDOW)
    with pytest.raises(InputError, match="empty"):
        generate_stream(llama, "")
    with pytest.raises(InputError, match="max_new_tokens is 0"):
        generate_stream(llama, "x", max_new_tokens=0)
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="temperature"):
            generate_stream(llama, "x", temperature=wrong)


def test_begin_of_text_is_not_doubled(llama: LoadedModel) -> None:
    begins = replace(llama, tokenizer=tiny("llama").tokenizer)
    begins.tokenizer.bos_token = TURN_END
    calls: list[bool] = []
    real = type(begins.tokenizer).__call__

    def spy(self: object, text: str, add_special_tokens: bool = True, **options: object) -> object:
        calls.append(add_special_tokens)
        return real(self, text, add_special_tokens=add_special_tokens, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(begins.tokenizer), "__call__", spy)
        prompt_ids(begins, f"{TURN_END}x")
        prompt_ids(begins, "x")
    assert calls == [False, True]


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
