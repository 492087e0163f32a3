"""Reasoning and answer are told apart, however a family marks them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant.text.reasoning import MARKS, ReasoningSplitter, opened_reasoning, separated, split_reasoning

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


TEXTS = [
    "<think>\nHm.\n</think>\n\nYes.",
    "<reasoning>\nHm.</reasoning>\nYes.\n  Twice.\n",
    "◁think▷Hm.◁/think▷Yes.",
    "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>",
    "<|channel>thought\nHm.<channel|>Yes.",
    "Here is my thought process: Hm. Here is my response: Yes.",
    "Yes.\n\t<think>Did I say that?</think>\nNo <think> here.\n<thinker>",
    HARMONY + "<|end|><|start|>assistant<|channel|>final<|message|>No.<|return|>",
    HARMONY[:40],
    "Write `</think>` at the end; a < b.\n<",
    "<|end|> alone is text.",
    "<think>Hm. And",
    "",
]
PIECES = st.lists(
    st.sampled_from(["<think>", "</think>", "[THINK]", "[/THINK]", "<th", "ink>", "\n", " ", "Hm.", "a<b", "Yes"]),
    max_size=12,
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_stream_is_separated_as_the_whole_is(text: str) -> None:
    for size in (1, 2, 3, 7, 1_000):
        splitter = ReasoningSplitter()
        parts = [one for at in range(0, len(text), size) for one in splitter.add(text[at : at + size])]
        parts += splitter.finish()
        said = {kind: "".join(one.text for one in parts if one.kind == kind) for kind in ("answer", "reasoning")}
        whole = separated(text)
        assert (said["answer"], said["reasoning"]) == whole
        assert whole.answer == split_reasoning(text).answer
        assert not any(mark in whole.reasoning for mark in MARKS)
        assert bool(whole.reasoning) == bool(split_reasoning(text).reasoning)


@given(PIECES)
def test_any_stream_is_separated_as_the_whole_is(pieces: list[str]) -> None:
    splitter = ReasoningSplitter()
    parts = [one for piece in pieces for one in splitter.add(piece)] + splitter.finish()
    answer = "".join(one.text for one in parts if one.kind == "answer")
    assert answer == answer.strip() and separated("".join(pieces)).answer == split_reasoning("".join(pieces)).answer
    assert all(one.text for one in parts)


def test_reasoning_that_the_prompt_opened_is_separated_in_a_stream() -> None:
    splitter = ReasoningSplitter("<think>\n")
    assert splitter.add("Hm. So") == [("reasoning", "Hm. So")]
    assert splitter.add("\n</thi") == [] and splitter.add("nk>\n\nYes") == [("answer", "Yes")]
    assert splitter.add(".  ") == [("answer", ".")] and splitter.finish() == []
    assert separated("Hm.</think>Yes.", "<think>\n") == separated("Hm.</think>Yes.") == ("Yes.", "Hm.")
