"""What all APIs that answer share: a request becomes a prompt with what matters in its user's history, and answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from penchant.compression.budget import count_tokens
from penchant.inference.answer_row import TokenChoice
from penchant.models.tokenization import opening_ids
from penchant.serving.answers import Written, explanation, stream, while_listening, write
from penchant.serving.engine import Begun, Ended, Piece, Prompt
from penchant.serving.errors import ApiError
from penchant.serving.generation import chat_prompt, prompts_of
from penchant.serving.identity import Identity
from penchant.serving.schemas import ChatRequest
from penchant.serving.service import Answering, PersonalPrompt, Service, headers_of, owner_of
from penchant.serving.structured import grammar_of
from penchant.text.reasoning import Part, ReasoningSplitter, opened_reasoning


@dataclass(frozen=True)
class Said:
    """New text of an answer, separated from its reasoning, and the tokens that were chosen, if the request asks."""

    parts: tuple[Part, ...]
    choices: tuple[TokenChoice, ...] = ()


@dataclass(frozen=True)
class Exchange:
    """A request that was taken, in the form of chat completions, which the other APIs are translated to. answerings:
    its answers, which are being generated (none: Penchant has answered itself). written: as far as they were read.
    """

    service: Service
    asked: ChatRequest
    personal: PersonalPrompt
    answerings: Sequence[Answering]
    written: Sequence[Written] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        """The response's headers: who was taken for the user, and what was put in."""
        return dict(headers_of(self.personal))

    async def whole(self, request: Request) -> Sequence[Written]:
        """Return the answers when they are complete. They are given up when the client goes away."""
        if not self.answerings:
            return self.written
        return await while_listening(request, write(self.answerings, self.written))

    async def events(self) -> AsyncIterator[tuple[int, Begun | Said | Ended]]:
        """Yield what happens to the answers as it comes, each with its number."""
        for number, one in enumerate([] if self.answerings else self.written):
            yield number, Said((Part("answer", one.text),))
            yield number, Ended("stop", 0)
        splitters = [ReasoningSplitter(one.opened) for one in self.written]
        async for number, event in stream(self.answerings, self.written):
            if isinstance(event, Piece):
                said = Said(tuple(splitters[number].add(event.text)), event.choices)
                if said.parts or said.choices:
                    yield number, said
                continue
            if isinstance(event, Ended) and (rest := splitters[number].finish()):
                yield number, Said(tuple(rest))
            yield number, event

    def about(self) -> dict[str, Any]:
        """Return the object `penchant` of an answer: the explanation, if the request asks for it, and what cut it."""
        options = self.asked.penchant
        about = explanation(self.personal) if options is not None and options.explain else {}
        if any(one.finish == "repetition" for one in self.written):
            about["finish"] = [one.finish for one in self.written]
        return about

    def reasoning_tokens(self) -> int:
        """Return how many tokens the models' reasoning has, without its marks."""
        texts = [one.reasoning for one in self.written if one.reasoning]
        return sum(count_tokens(self.service.loaded.tokenizer, text) for text in texts)


async def take(service: Service, asked: ChatRequest, identity: Identity | None) -> Exchange:
    """Take a request: mark, compress, render, and ask for its answers.

    Raises `ApiError` for a model, tools or parts of messages that aren't here, `InputError` for options out of range
    and a prompt that doesn't fit, and `BusyError`; a stream has not begun then, so that each has a status of its own.
    """
    check(service, asked)
    personal = await service.personal(asked.messages, identity, asked.penchant)
    opened, prompts = await service.run(lambda: _prompts(service, asked, personal))
    answerings = service.ask(prompts)
    return Exchange(service, asked, personal, answerings, [Written(opened) for _ in answerings])


def answered(service: Service, asked: ChatRequest, identity: Identity | None, text: str) -> Exchange:
    """Return an exchange that no model takes part in."""
    personal = PersonalPrompt([one.model_dump(exclude_unset=True) for one in asked.messages], identity, "off")
    return Exchange(service, asked, personal, (), [Written(text=text, finish="stop")])


def _prompts(service: Service, asked: ChatRequest, personal: PersonalPrompt) -> tuple[str, list[Prompt]]:
    rendered = chat_prompt(service.loaded, personal.messages)
    prompts = prompts_of(
        service.loaded,
        rendered,
        asked,
        max_tokens=asked.max_completion_tokens or asked.max_tokens or service.settings.max_tokens,
        owner=owner_of(personal.identity),
        intervention=personal.steering.intervention if personal.steering else None,
        likeliest=(asked.top_logprobs or 0) if asked.logprobs else None,
        grammar=grammar_of(service.loaded, asked.response_format),
    )
    return opened_reasoning(rendered), prompts


async def prompt_size(service: Service, personal: PersonalPrompt) -> int:
    """Return the size of a prompt in tokens, as the model reads it."""
    messages = personal.messages
    return await service.run(lambda: len(opening_ids(service.loaded, chat_prompt(service.loaded, messages))))


def check(service: Service, asked: ChatRequest) -> None:
    """Raise `ApiError` for a model that isn't here, and for tools that might be called."""
    service.check_model(asked.model)
    choice = asked.tool_choice
    if asked.tools and choice != "none" and not (isinstance(choice, dict) and choice.get("type") == "none"):
        raise ApiError(
            400,
            "the local model can't call tools: leave tools out or set tool_choice to 'none'",
            param="tools",
            code="unsupported_tools",
        )
