"""Reasoning and answer are told apart, however a family marks them."""

import pytest

from penchant.text.reasoning import MARKS, opened_reasoning, split_reasoning

HARMONY = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes."


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nHm.\n</think>\n\nYes.",
        "Hm. So it is.\n</think>\nYes.",  # the template wrote the opening mark
        "<thinking>Hm.</thinking>Yes.",
        "<reasoning>\nHm.</reasoning>\nYes.",
        "[THINK]Hm.[/THINK]Yes.",
        "◁think▷Hm.◁/think▷Yes.",
        "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>",
        "<|channel>thought\nHm.<channel|>Yes.",
        "Here is my thought process: Hm. Here is my response: Yes.",
        "Yes.\n<think>Did I say that?",
        HARMONY,
        HARMONY + "<|return|>",
    ],
)
def test_the_answer_is_what_is_said_to_the_user(text: str) -> None:
    answer, reasoning = split_reasoning(text)
    assert answer == "Yes."
    assert reasoning and "Yes" not in reasoning


@pytest.mark.parametrize("text", ["<think>Hm. And", "<thinking>\nHm.", "[THINK]Hm.", "◁think▷Hm.", HARMONY[:30]])
def test_an_answer_that_ended_while_reasoning_is_empty(text: str) -> None:
    assert split_reasoning(text) == ("", text)


@pytest.mark.parametrize(
    "text",
    ["Yes.", "I think </b> not.", "Write `</think>` at the end.", "The tag <think> begins it.", "Let me <i>think</i>."],
)
def test_what_is_said_about_marks_stays(text: str) -> None:
    assert split_reasoning(text) == (text, "")


def test_reasoning_that_the_prompt_opened() -> None:
    assert opened_reasoning("<|im_start|>assistant\n<think>\n") == "<think>\n"
    assert opened_reasoning("<|im_start|>assistant\n<think>\n\n</think>\n\n") == ""
    assert "<|channel|>" in MARKS and "[/THINK]" in MARKS
