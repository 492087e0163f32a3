"""Priority changes what is read from the question on, and nothing before it."""

from __future__ import annotations

import pytest
import torch

from penchant.conversation.attention_priority import attention_priority
from penchant.conversation.context import Dialogue
from penchant.conversation.registry import make_memory
from penchant.models.chat import render_chat
from penchant.models.tokenization import prompt_ids
from tests.conversation.dialogues import dialogue_of, instruction, resources

QUESTION = "What should I read?"


def states(dialogue: Dialogue, nats: float, question: str = QUESTION) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Last hidden states of the prompt without and with priority, and the question's first token."""
    loaded = resources().loaded
    context = make_memory("full", resources()).context(dialogue, question, 400)
    prompt = render_chat(loaded, list(context.messages))
    ids = torch.tensor([prompt_ids(loaded, prompt)])
    step = attention_priority(loaded, prompt, context, resources().calibration, nats=nats)
    with torch.inference_mode():
        plain = loaded.base(input_ids=ids)[0][0]
        with step():
            changed = loaded.base(input_ids=ids)[0][0]
        after = loaded.base(input_ids=ids)[0][0]
    assert torch.equal(plain, after)
    return plain, changed, len(prompt_ids(loaded, prompt[: prompt.rfind(question)]))


def told(*texts: str) -> Dialogue:
    given = tuple(instruction(text, number) for number, text in enumerate(texts))
    return dialogue_of([("I like the sea.", "So do I.")], instructions=given)


def test_from_the_question_on() -> None:
    plain, changed, begin = states(told("End with OK.", "Be brief."), 2.0)
    assert torch.equal(plain[:begin], changed[:begin])
    assert not torch.allclose(plain[begin:], changed[begin:], atol=1e-3)


@pytest.mark.parametrize("case", ["no instructions", "no nats"])
def test_nothing_to_put_first(case: str) -> None:
    dialogue, nats = (told(), 2.0) if case == "no instructions" else (told("Be brief."), 0.0)
    plain, changed, _ = states(dialogue, nats)
    assert torch.equal(plain, changed)


def test_a_question_with_special_tokens_is_none_that_fails() -> None:
    loaded = resources().loaded
    context = make_memory("full", resources()).context(told("Be brief."), "What is <|end|>?", 400)
    prompt = render_chat(loaded, list(context.messages))
    with attention_priority(loaded, prompt, context, resources().calibration)():
        assert loaded.base(input_ids=torch.tensor([prompt_ids(loaded, prompt)]))[0].isfinite().all()
