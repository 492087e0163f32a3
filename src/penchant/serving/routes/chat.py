"""`/v1/chat/completions`, and `/v1/render`, which returns the messages that would be sent."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from penchant.models.tokenization import opening_ids
from penchant.serving.answers import (
    FINISH,
    Written,
    explanation,
    logprobs_of,
    sse,
    stream,
    usage_of,
    while_listening,
    write,
)
from penchant.serving.asking import identify
from penchant.serving.engine import Ended, Piece, Prompt
from penchant.serving.errors import ApiError
from penchant.serving.generation import chat_prompt, prompts_of
from penchant.serving.schemas import ChatRequest
from penchant.serving.service import Answering, PersonalPrompt, Service, headers_of, owner_of
from penchant.serving.structured import grammar_of


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["chat"])

    @routes.post("/v1/chat/completions", response_model=None)
    async def chat(body: ChatRequest, request: Request) -> Response:
        """Answer a conversation, with what matters in its user's history."""
        service.check_model(body.model)
        _check_tools(body)
        personal = await service.personal(body.messages, identify(service, request, body), body.penchant)
        prompts = await service.run(lambda: _prompts(service, body, personal))
        asked = service.ask(prompts)  # before the response begins: a refusal has a status of its own
        headers, about = dict(headers_of(personal)), _head(service, body)
        if body.stream:
            chunks = _chunks(service, body, personal, asked, about)
            return StreamingResponse(sse(chunks), media_type="text/event-stream", headers=headers)
        written = await while_listening(request, write(asked))
        choices = [_choice(service, body, number, one) for number, one in enumerate(written)]
        made = {**about, "object": "chat.completion", "choices": choices, "usage": usage_of(written, personal)}
        return JSONResponse({**made, **_penchant(body, personal, written)}, headers=headers)

    @routes.post("/v1/render")
    async def render(body: ChatRequest, request: Request) -> dict[str, Any]:
        """Return the messages that would be sent to the model, and what was put into them; nothing is generated."""
        personal = await service.personal(body.messages, identify(service, request, body), body.penchant)

        def count() -> int:
            return len(opening_ids(service.loaded, chat_prompt(service.loaded, personal.messages)))

        return {
            "messages": personal.messages,
            "prompt_tokens": await service.run(count),
            "user": personal.identity.user if personal.identity else None,
            "penchant": explanation(personal),
        }

    return routes


def _check_tools(body: ChatRequest) -> None:
    if body.tools and body.tool_choice != "none":
        raise ApiError(
            400,
            "the local model can't call tools: leave tools out or set tool_choice to 'none'",
            param="tools",
            code="unsupported_tools",
        )


def _prompts(service: Service, body: ChatRequest, personal: PersonalPrompt) -> list[Prompt]:
    return prompts_of(
        service.loaded,
        chat_prompt(service.loaded, personal.messages),
        body,
        max_tokens=body.max_completion_tokens or body.max_tokens or service.settings.max_tokens,
        owner=owner_of(personal.identity),
        intervention=personal.steering.intervention if personal.steering else None,
        likeliest=(body.top_logprobs or 0) if body.logprobs else None,
        grammar=grammar_of(service.loaded, body.response_format),
    )


def _head(service: Service, body: ChatRequest) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": body.model or service.model,
        "system_fingerprint": service.fingerprint,
    }


def _choice(service: Service, body: ChatRequest, number: int, one: Written) -> dict[str, Any]:
    return {
        "index": number,
        "message": {"role": "assistant", "content": one.text.strip(), "refusal": None},
        "logprobs": logprobs_of(service.loaded, one.choices) if body.logprobs else None,
        "finish_reason": FINISH[one.finish or "stop"],
    }


def _penchant(body: ChatRequest, personal: PersonalPrompt, written: Sequence[Written]) -> dict[str, Any]:
    about = explanation(personal) if body.penchant is not None and body.penchant.explain else {}
    if any(one.finish == "repetition" for one in written):
        about["finish"] = [one.finish for one in written]
    return {"penchant": about} if about else {}


async def _chunks(
    service: Service, body: ChatRequest, personal: PersonalPrompt, asked: Sequence[Answering], about: dict[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    about = {**about, "object": "chat.completion.chunk"}
    written = [Written() for _ in asked]
    for number in range(len(asked)):
        delta = {"role": "assistant", "content": "", "refusal": None}
        yield {**about, "choices": [{"index": number, "delta": delta, "logprobs": None, "finish_reason": None}]}
    async for number, event in stream(asked, written):
        choice: dict[str, Any] = {"index": number, "delta": {}, "logprobs": None, "finish_reason": None}
        if isinstance(event, Piece):
            choice["delta"] = {"content": event.text}
            choice["logprobs"] = logprobs_of(service.loaded, event.choices) if body.logprobs else None
        if isinstance(event, Ended):
            choice["finish_reason"] = FINISH[event.finish]
        yield {**about, "choices": [choice]}
    if body.stream_options is not None and body.stream_options.include_usage:
        used = usage_of(written, personal)
        yield {**about, "choices": [], "usage": used, **_penchant(body, personal, written)}
