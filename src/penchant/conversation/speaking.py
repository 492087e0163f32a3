"""Who says the answers of a conversation: the local model, or an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

from penchant.conversation.attention_priority import attention_priority
from penchant.conversation.context import Context
from penchant.inference.endpoint import Endpoint, EndpointStream
from penchant.inference.generation import AnswerStream, generate_stream
from penchant.inference.sampling import own_sampling
from penchant.lens.calibration import Calibration
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.steering.apply.context import StepContext, wrapped_stream
from penchant.text.reasoning import opened_reasoning


class Speech(NamedTuple):
    """An answer as it is said. stream: knows why it ended, and ends it when it is closed. pieces: its text, reasoning
    included.
    """

    stream: AnswerStream | EndpointStream
    pieces: Iterator[str]


Say = Callable[[Context], Speech]
"""Begins the answer to a prompt."""


@dataclass(frozen=True)
class Speaker:
    """Says answers. priority: nats added to the attention of the local model on the instructions, in the heads of
    `calibration`.
    """

    loaded: LoadedModel
    endpoint: Endpoint | None = None
    priority: float = 0.0
    calibration: Calibration | None = None

    def ready(self, *, max_tokens: int, temperature: float | None, seed: int | None) -> Say:
        """Return what begins answers with these options (see `Conversation.stream`). Raises `InputError` for a value
        out of range.
        """
        sampling = own_sampling(self.loaded, temperature=temperature, seed=seed)

        def local(context: Context) -> Speech:
            prompt = render_chat(self.loaded, context.messages)
            step: StepContext = nullcontext
            if self.calibration is not None:
                step = attention_priority(self.loaded, prompt, context, self.calibration, nats=self.priority)
            stream = generate_stream(self.loaded, prompt, max_new_tokens=max_tokens, sampling=sampling)
            return Speech(stream, _opened(prompt, wrapped_stream(stream, step)))

        def remote(endpoint: Endpoint, context: Context) -> Speech:
            stream = endpoint.stream(context.messages, max_tokens=max_tokens, temperature=temperature, seed=seed)
            return Speech(stream, stream)

        endpoint = self.endpoint
        return local if endpoint is None else lambda context: remote(endpoint, context)


def _opened(prompt: str, pieces: Iterator[str]) -> Iterator[str]:
    """Yield the pieces, behind the mark of reasoning that the prompt ends in."""
    opened = opened_reasoning(prompt)
    for piece in pieces:
        yield opened + piece
        opened = ""
