"""Where answers end, on logits that a script gives."""

import copy
from dataclasses import replace

import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel

from penchant.inference.answer_row import PromptTokens
from penchant.inference.generation import Generated, answers
from penchant.inference.stopping import AnswerText, cut_answer, end_tokens
from tests.families import tiny

LOADED = tiny("llama")
WORDS = LOADED.tokenizer("walks by the sea and more", add_special_tokens=False)["input_ids"]
END = 1


def run(script: list[list[int]], limits: list[int]) -> tuple[list[str], list[list[int]]]:
    """Answers to logits whose likeliest tokens are the script's, and what was fed."""
    fed: list[list[int]] = []

    def logits(step: int) -> torch.Tensor:
        table = torch.zeros(len(limits), LOADED.model.config.vocab_size)
        for row, token in enumerate(script[step]):
            table[row, token] = 1.0
        return table

    def feed(tokens: list[int]) -> torch.Tensor:
        fed.append(tokens)
        return logits(len(fed))

    made = answers(LOADED, feed, logits(0), [PromptTokens((), limit) for limit in limits])
    return [one.text for one in made], fed


def text(tokens: list[int]) -> str:
    return str(LOADED.tokenizer.decode(tokens, skip_special_tokens=True)).strip()


def test_rows_end_at_their_limits_and_nothing_more_is_fed() -> None:
    found, fed = run([[WORDS[0], WORDS[1]], [WORDS[1], WORDS[2]], [WORDS[2], WORDS[3]]], [1, 3])
    assert found == [text(WORDS[:1]), text(WORDS[1:4])]
    assert fed == [[WORDS[0], WORDS[1]], [WORDS[1], WORDS[2]]]


def test_an_end_token_ends_its_row_alone_and_is_not_said() -> None:
    found, fed = run([[WORDS[0], WORDS[1]], [END, WORDS[2]], [WORDS[3], END]], [9, 9])
    assert found == [text(WORDS[:1]), text(WORDS[1:3])]
    assert len(fed) == 2


@pytest.mark.parametrize("limits", [[0], [0, 0]])
def test_nothing_wanted_is_nothing_made(limits: list[int]) -> None:
    assert run([[WORDS[0]] * len(limits)], limits) == ([""] * len(limits), [])


def test_a_next_turn_is_cut_off_without_a_template_only() -> None:
    plain = tiny("llama", chat=False)
    assert cut_answer(plain, " the sea\nUser: and then?") == "the sea"
    assert cut_answer(LOADED, " the sea\nUser: and then?") == "the sea\nUser: and then?"


def test_end_tokens_of_the_generation_config_count() -> None:
    loaded = tiny("llama")
    assert 33 not in end_tokens(loaded)
    loaded.model.generation_config.eos_token_id = [1, 33]
    assert 33 in end_tokens(loaded)


TEXTS = ["one STOP two", "STOP", "no end", "ST", "a\nUs\nUser: b", "Grüße STOP 🙂", "xSSTOPy", "🙂STOP"]
STOPS = ["STOP", "\nUser:", "never"]


@pytest.mark.parametrize("given", TEXTS)
def test_nothing_of_a_stop_text_is_handed_out_however_tokens_cut_it(given: str) -> None:
    letters = "".join(piece for piece, _ in ByteLevel(add_prefix_space=False).pre_tokenize_str(given))
    byte_tokens = [LOADED.tokenizer.convert_tokens_to_ids(one) for one in letters]
    for ids in (LOADED.tokenizer(given, add_special_tokens=False)["input_ids"], byte_tokens):
        text, pieces = AnswerText(LOADED, STOPS), []
        for token in ids:
            if text.stop is not None:
                break
            pieces.append(text.add(token))
            assert not any(stop in "".join(pieces) for stop in STOPS)
        expected = min((given.partition(stop)[0] for stop in STOPS), key=len)
        shown = "".join(pieces)
        assert expected.startswith(shown)  # no piece ran ahead into a stop text that came
        assert shown + text.finish() == expected
        assert (text.stop is not None) == (expected != given)
        assert given.startswith(expected + (text.stop or ""))


def test_stop_texts_end_one_row_of_a_batch_before_its_limit() -> None:
    rows = [WORDS, [*WORDS[:2], END]]
    script = [[row[min(step, len(row) - 1)] for row in rows] for step in range(len(WORDS))]
    fed: list[list[int]] = []

    def logits(step: int) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.tensor(script[step]), LOADED.model.config.vocab_size).float()

    def feed(tokens: list[int]) -> torch.Tensor:
        fed.append(tokens)
        return logits(len(fed))

    prompts = [PromptTokens((), len(WORDS), stop=(" the",)), PromptTokens((), len(WORDS))]
    made = answers(LOADED, feed, logits(0), prompts)
    assert made == [Generated("walks by", "stop"), Generated(text(rows[1][:2]), "stop")]
    assert len(fed) < len(WORDS) - 1


def test_a_row_that_repeats_itself_ends_alone_and_says_so() -> None:
    loop = LOADED.tokenizer(" by the sea", add_special_tokens=False)["input_ids"]
    counted = "".join(f" {n} apples and {n * n} pears" for n in range(99))
    plain, steps = LOADED.tokenizer(counted, add_special_tokens=False)["input_ids"], 300

    def rows(**options: bool) -> list[Generated]:
        script = [[loop[step % len(loop)], plain[step]] for step in range(steps)]
        fed: list[list[int]] = []

        def logits(step: int) -> torch.Tensor:
            return torch.nn.functional.one_hot(torch.tensor(script[step]), LOADED.model.config.vocab_size).float()

        def feed(tokens: list[int]) -> torch.Tensor:
            fed.append(tokens)
            return logits(len(fed))

        return answers(LOADED, feed, logits(0), [PromptTokens((), steps, **options) for _ in range(2)])

    looping, other = rows()
    assert (looping.finish, other.finish) == ("repetition", "length")
    assert text(loop * steps).startswith(looping.text)
    assert len(looping.text) < len(text(loop * steps)) / 2
    assert [one.finish for one in rows(stop_repetition=False)] == ["length", "length"]


def test_special_tokens_that_mark_reasoning_are_kept() -> None:
    loaded = replace(LOADED, tokenizer=copy.deepcopy(LOADED.tokenizer))
    loaded.tokenizer.add_special_tokens({"extra_special_tokens": ["[THINK]", "[/THINK]", "[OTHER]"]})
    given = "[THINK]walks[OTHER][/THINK]by the sea"
    reader = AnswerText(loaded)
    pieces = [reader.add(token) for token in loaded.tokenizer(given, add_special_tokens=False)["input_ids"]]
    assert "".join([*pieces, reader.finish()]) == given.replace("[OTHER]", "")
