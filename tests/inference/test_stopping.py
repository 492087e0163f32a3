"""Where answers end, on logits that a script gives."""

import pytest
import torch

from penchant.inference.generation import PromptTokens, answers
from penchant.inference.stopping import cut_answer, end_tokens
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

    return answers(LOADED, feed, logits(0), [PromptTokens((), limit) for limit in limits]), fed


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
