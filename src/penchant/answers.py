"""Answers: from a prepared prompt to the text, one at a time or many in a batch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace

from penchant.compression.profile import Profile
from penchant.errors import InputError
from penchant.history.dialogue import Finish
from penchant.history.records import Request
from penchant.inference.answer_row import PromptTokens
from penchant.inference.chat_completions import Messages
from penchant.inference.endpoint import Endpoint, Served
from penchant.inference.generation import batches, generate, generate_stream, prompt_tokens
from penchant.inference.recurrence import recurrence
from penchant.inference.sampling import Sampling
from penchant.lens.calibration import Calibration
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import prompt_ids
from penchant.progress import Progress
from penchant.steering.apply.context import (
    Steering,
    StepContext,
    attention_bias_for,
    batch_context,
    steering_context,
    wrapped_stream,
)
from penchant.steering.methods.attention_bias import AttentionBias, biased_attention, retrieval_heads
from penchant.text.reasoning import opened_reasoning, split_reasoning


@dataclass(frozen=True)
class Answer:
    """An answer. text: what the model said; reasoning: what it wrote before ("": nothing). finish: why the answer ended
    ("stop": it was complete). profile: what it was based on (None: no profile). prompt_tokens: size of the prompt.

    dropped_records: how many of the oldest records didn't fit the window (knowledge "full" only). seconds: wall time by
    phase. steering: the intervention that was applied, and why (None: no steering was asked for). served: which model
    of an endpoint answered (None: the local one); if it doesn't count, prompt_tokens are the local model's.
    """

    text: str
    profile: Profile | None
    prompt_tokens: int
    dropped_records: int
    seconds: dict[str, float]
    steering: Steering | None = None
    finish: Finish = "stop"
    reasoning: str = ""
    served: Served | None = None


@dataclass(frozen=True)
class Prepared:
    """Everything before the first token of an answer: the messages, rendered as a prompt of the local model, what they
    are based on (see `Answer`), and how it will be steered. bias: attention bias (None: none).
    """

    messages: Messages
    prompt: str
    profile: Profile | None = None
    dropped_records: int = 0
    steering: Steering | None = None
    bias: AttentionBias | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def emphasised(self, loaded: LoadedModel, calibration: Calibration, request: Request) -> Prepared:
        """Return the same with more attention to the segments of the profile. Raises `InputError` without a profile."""
        if self.profile is None:
            raise InputError("emphasis needs a profile to emphasise: expected knowledge 'profile'")
        began = time.perf_counter()
        pairs = zip(self.profile.segments, self.profile.scores, strict=True)
        marked = [(segment.record_id, segment.text, score) for segment, score in pairs]
        bias, steering = attention_bias_for(loaded, calibration, self.prompt, marked, request)
        return replace(self, steering=steering, bias=bias, seconds={"steer": time.perf_counter() - began})

    @contextmanager
    def step_context(self, loaded: LoadedModel, calibration: Calibration | None) -> Iterator[StepContext]:
        """Return the context in which each piece of the answer is generated. calibration: names the heads of the
        attention bias.
        """
        bias = self.bias
        if bias is not None and calibration is not None:
            heads = retrieval_heads(calibration)
            yield lambda: biased_attention(loaded.model, [bias], heads)
            return
        with steering_context(loaded, self.steering.intervention if self.steering else None, self.prompt) as step:
            yield step

    def stream(
        self, loaded: LoadedModel, *, max_tokens: int, sampling: Sampling, calibration: Calibration | None
    ) -> Iterator[str | Answer]:
        """Yield the pieces of the model's answer, and the `Answer` at the end. calibration: names the heads of the
        attention bias. Raises `InputError` for a prompt that doesn't fit.
        """
        with self.step_context(loaded, calibration) as step:
            began = time.perf_counter()
            made = generate_stream(loaded, self.prompt, max_new_tokens=max_tokens, sampling=sampling)
            opened, pieces = opened_reasoning(self.prompt), list[str]()
            for piece in wrapped_stream(made, step):
                pieces.append(piece if pieces else opened + piece)
                yield pieces[-1]
        yield self.answer(loaded, "".join(pieces), made.finish, time.perf_counter() - began)

    def stream_from(
        self, endpoint: Endpoint, loaded: LoadedModel, *, max_tokens: int, temperature: float | None, seed: int | None
    ) -> Iterator[str | Answer]:
        """Yield the pieces of an endpoint's answer, and the `Answer` at the end. Raises `EndpointError`."""
        began, pieces = time.perf_counter(), list[str]()
        made = endpoint.stream(self.messages, max_tokens=max_tokens, temperature=temperature, seed=seed)
        with closing(made):
            for piece in made:
                pieces.append(piece)
                yield piece
        yield self.answer(loaded, "".join(pieces), made.finish, time.perf_counter() - began, made.served)

    def answer(
        self, loaded: LoadedModel, said: str, finish: Finish | None, seconds: float, served: Served | None = None
    ) -> Answer:
        """Return the answer. said: everything after the prompt. seconds: the time that it took. served: as in
        `Answer`.
        """
        text, reasoning = split_reasoning(said)
        counted = served.usage.prompt if served is not None else None
        return Answer(
            text,
            self.profile,
            len(prompt_ids(loaded, self.prompt)) if counted is None else counted,
            self.dropped_records,
            {**(self.profile.seconds if self.profile else {}), **self.seconds, "answer": seconds},
            self.steering,
            finish or "stop",
            reasoning,
            served,
        )


def answer_batch(
    loaded: LoadedModel,
    prepared: Sequence[Prepared],
    *,
    max_tokens: int,
    sampling: Sampling,
    calibration: Calibration | None,
    progress: Progress,
) -> list[Answer]:
    """Answer many prompts in shared forward passes, each steered by its own intervention or attention bias.

    max_tokens, sampling: of each answer. calibration: names the heads of attention biases. The seconds of a batch are
    divided among its answers. Raises `InputError` for a prompt that doesn't fit.
    """
    prompts = [prompt_tokens(loaded, one.prompt, max_new_tokens=max_tokens, sampling=sampling) for one in prepared]
    found: dict[int, Answer] = {}
    for batch in _batches(loaded, prepared, prompts):
        rows = [prepared[number] for number in batch]
        began = time.perf_counter()
        interventions = [one.steering.intervention if one.steering else None for one in rows]
        texts = [one.prompt for one in rows]
        with batch_context(loaded, texts, interventions, [one.bias for one in rows], calibration):
            generated = generate(loaded, [prompts[number] for number in batch])
        each = (time.perf_counter() - began) / len(batch)
        for number, one, made in zip(batch, rows, generated, strict=True):
            said = opened_reasoning(one.prompt) + made.text if made.text else ""
            found[number] = one.answer(loaded, said, made.finish, each)
        progress("answering", len(found), len(prepared))
    return [found[number] for number in range(len(prepared))]


def answers_from(
    endpoint: Endpoint,
    loaded: LoadedModel,
    prepared: Sequence[Prepared],
    *,
    max_tokens: int,
    temperature: float | None,
    seed: int | None,
    progress: Progress,
) -> list[Answer]:
    """Let an endpoint answer many prompts, a few at a time; the time that it took is divided among the answers. Raises
    `EndpointError`.
    """
    began = time.perf_counter()
    replies = endpoint.complete_many(
        [one.messages for one in prepared],
        max_tokens=max_tokens,
        temperature=temperature,
        seed=seed,
        done=lambda count: progress("answering", count, len(prepared)),
    )
    each = (time.perf_counter() - began) / max(1, len(prepared))
    pairs = zip(prepared, replies, strict=True)
    return [one.answer(loaded, reply.text, reply.finish, each, reply.served) for one, reply in pairs]


def _batches(loaded: LoadedModel, prepared: Sequence[Prepared], prompts: Sequence[PromptTokens]) -> Iterator[list[int]]:
    """Group prompts of similar length. Those of one batch share the scope of their interventions, and their length if
    the model can't read padding.
    """
    able = recurrence(loaded)
    groups: dict[tuple[str | None, int | None], list[int]] = {}
    for number, (one, prompt) in enumerate(zip(prepared, prompts, strict=True)):
        intervention = one.steering.intervention if one.steering else None
        length = len(prompt.ids) if able is not None and not able.padding else None
        groups.setdefault((intervention.scope if intervention else None, length), []).append(number)
    for numbers in groups.values():
        for batch in batches([prompts[number] for number in numbers]):
            yield [numbers[index] for index in batch]
