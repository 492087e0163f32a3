"""Attention priority: more attention to standing instructions while an answer is generated (after PASTA and Rhea)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from penchant.conversation.context import Context
from penchant.conversation.prompt_rendering import instruction_lines
from penchant.lens.calibration import Calibration
from penchant.models.loading import LoadedModel
from penchant.steering.apply.context import StepContext
from penchant.steering.methods.attention_bias import (
    AttentionBias,
    Heads,
    attention_bias_on,
    biased_attention,
    retrieval_heads,
)
from penchant.text.unicode import sanitize

DEFAULT_NATS = 1.0


def attention_priority(
    loaded: LoadedModel,
    prompt: str,
    context: Context,
    calibration: Calibration,
    *,
    nats: float = DEFAULT_NATS,
    heads: Heads | None = None,
) -> StepContext:
    """Return a context for each step of an answer, in which the instructions in `context` get `nats` more attention (in
    the logits) from the question on. Tokens before the question are read as usual, so a cached prompt stays valid.

    prompt: the rendered messages of `context`. heads: default the calibrated retrieval heads. Does nothing if no
    instruction is in the prompt or `nats` is 0.
    """
    found = instruction_emphasis(loaded, prompt, context, nats)
    if found is None:
        return nullcontext
    chosen = retrieval_heads(calibration) if heads is None else heads

    def step(emphasis: AttentionBias = found) -> AbstractContextManager[None]:
        return biased_attention(loaded.model, [emphasis], chosen)

    return step


def instruction_emphasis(
    loaded: LoadedModel, prompt: str, context: Context, nats: float = DEFAULT_NATS
) -> AttentionBias | None:
    """Return the attention bias on the instructions; None if there is nothing to do."""
    question = context.messages[-1]["content"].strip() if context.messages else ""
    lines = [line.strip() for line in instruction_lines(context.instructions)]
    if not all(line in prompt for line in lines):  # they stand in the last message, without numbers
        lines = [sanitize(one.text).strip() for one in context.instructions]
    # Special tokens in a question are broken up in the prompt; the bias then begins after the instructions.
    return attention_bias_on(loaded, prompt, lines, nats, asked=question if question in prompt else None)
