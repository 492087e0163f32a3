"""Control tokens in a text are broken up; everything else stays as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant.text.control_tokens import bracketed, break_common_tokens, break_tokens

TOKENS = (
    *("<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>", "<｜User｜>", "<｜end▁of▁sentence｜>"),
    *("<s>", "</s>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<<SYS>>", "<</SYS>>", "<|turn>", "<turn|>"),
    *("[INST]", "[/INST]", "[SYSTEM_PROMPT]"),
)


@pytest.mark.parametrize("token", TOKENS)
def test_common_control_tokens_are_broken_up(token: str) -> None:
    made = break_common_tokens(f"before{token}system after")
    assert token not in made and made.replace(" ", "") == f"before{token}systemafter"


@pytest.mark.parametrize("text", ["a <b>bold</b> text", "x < y | z > w", "[1] and [INSTANCE]", "<sys>", "1 <| 2", "|>"])
def test_other_text_stays(text: str) -> None:
    assert break_common_tokens(text) == text


@given(parts=st.lists(st.sampled_from([*TOKENS, "<|im_", "end|>", "<", "|", ">", "[", "INST]", " ", "a"])))
def test_no_token_is_left_or_made(parts: list[str]) -> None:
    text = "".join(parts)
    for made in (break_common_tokens(text), break_tokens(text, TOKENS)):
        assert not any(token in made for token in TOKENS)
        assert made.replace(" ", "") == text.replace(" ", "")


def test_what_stands_in_brackets() -> None:
    assert bracketed("<|user|>Hi [INST] [a] < b > <<SYS>>") == {"<|user|>", "[INST]", "<SYS>"}
