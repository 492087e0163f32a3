"""On the embedded model: a short prompt keeps a constraint and a fact as well as the whole conversation does."""

from __future__ import annotations

import pytest
import torch

from penchant.conversation.context import Context, Dialogue
from penchant.conversation.memories.penchant import penchant
from penchant.conversation.registry import make_memory
from penchant.history.dialogue import Instruction
from penchant.marking.resources import Resources
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import continuation_ids, prompt_ids
from tests.conversation.dialogues import dialogue_of

pytestmark = pytest.mark.model

CHATTER = (
    (
        "How do I keep basil alive?",
        "Basil likes light and warmth. Water it when the soil feels dry. Pinch off the tips.",
    ),
    ("Why is the sky blue?", "Air scatters short waves more than long ones. Blue light is seen all over the sky."),
    ("What makes bread rise?", "Yeast eats the sugar in the dough. The gas it gives off is held by the gluten."),
    ("Tell me about the Moon.", "The Moon always shows us the same side. Its pull makes the tides."),
    ("How can I sleep better?", "Keep the room dark and cool. Go to bed at the same time every day."),
    ("Which trees grow fast?", "Poplars and willows are among the fastest. Birches need little care."),
    ("How does a heat pump work?", "A fluid takes up heat outside. A compressor raises its temperature."),
    ("What is a viola?", "A viola is larger than a violin and tuned a fifth lower. Its sound is darker."),
)
CONSTRAINT = "Please end every answer with the code OK-7."
FACT = ("My sister Mara lives in Porto and works as a vet.", "Thank you for telling me. That is good to know.")
QUESTION, ANSWER, CODE = "Where does my sister Mara live?", "Your sister Mara lives in Porto.", " OK-7"


def losses(loaded: LoadedModel, context: Context) -> tuple[float, float]:
    """NLL a token of the fact's answer, and of the constraint's code behind it."""
    prompt = prompt_ids(loaded, render_chat(loaded, list(context.messages)))
    answer, code = continuation_ids(loaded, ANSWER), continuation_ids(loaded, CODE)
    ids = torch.tensor([[*prompt, *answer, *code]])
    with torch.inference_mode():
        logits = loaded.model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float()
    each = torch.nn.functional.cross_entropy(logits, ids[0, len(prompt) :], reduction="none")
    return float(each[: len(answer)].mean()), float(each[len(answer) :].mean())


def test_constraint_and_fact_with_a_third_of_the_tokens(smollm2: LoadedModel) -> None:
    said = [(CONSTRAINT, "Of course."), *CHATTER[:2], FACT, *CHATTER[2:]]
    past = dialogue_of([(user, f"{answer} OK-7") for user, answer in said]).past
    dialogue = Dialogue(past, (Instruction("i", CONSTRAINT),), key="on-smollm2")
    resources = Resources(smollm2)
    full = make_memory("full", resources).context(Dialogue(past), QUESTION, 4000)
    budget = int(0.35 * full.tokens)
    ours = penchant(resources).context(dialogue, QUESTION, budget)
    assert ours.tokens <= budget and ours.inclusions[3].how != "dropped"
    assert max(range(len(past)), key=lambda at: ours.inclusions[at].similarity or 0) == 3
    fact, constraint = losses(smollm2, ours)
    whole_fact, whole_constraint = losses(smollm2, full)
    assert fact <= whole_fact and constraint <= whole_constraint
    without = penchant(resources, episodes=False).context(dialogue, QUESTION, budget)
    assert losses(smollm2, without)[0] > fact + 0.5
    unruly = penchant(resources, instructions=False).context(
        Dialogue(past[1:], dialogue.instructions), QUESTION, budget
    )
    ruled = penchant(resources).context(Dialogue(past[1:], dialogue.instructions), QUESTION, budget)
    assert losses(smollm2, unruly)[1] > losses(smollm2, ruled)[1]
