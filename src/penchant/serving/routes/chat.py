"""`/v1/chat/completions`, and `/v1/render`, which returns the messages that would be sent."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from penchant.serving.answers import FINISH, Written, explanation, logprobs_of, sse, usage_of
from penchant.serving.asking import chosen, identify
from penchant.serving.description import STREAMED
from penchant.serving.engine import Begun, Ended
from penchant.serving.exchange import Exchange, Said, prompt_size, take
from penchant.serving.schemas import ChatRequest
from penchant.serving.service import Service


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["chat"])

    @routes.post("/v1/chat/completions", response_model=None, responses=STREAMED)
    async def chat(body: ChatRequest, request: Request) -> Response:
        """Answer a conversation, with what matters in its user's history."""
        body = chosen(request, body)
        exchange = await take(service, body, identify(service, request, body))
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": body.model or service.model,
            "system_fingerprint": service.fingerprint,
        }
        if body.stream:
            chunks = sse(_chunks(exchange, {**head, "object": "chat.completion.chunk"}))
            return StreamingResponse(chunks, media_type="text/event-stream", headers=exchange.headers)
        await exchange.whole(request)
        choices = [_choice(exchange, number, one) for number, one in enumerate(exchange.written)]
        made = {**head, "object": "chat.completion", "choices": choices, **_used(exchange)}
        return JSONResponse(made, headers=exchange.headers)

    @routes.post("/v1/render")
    async def render(body: ChatRequest, request: Request) -> dict[str, Any]:
        """Return the messages that would be sent to the model, and what was put into them; nothing is generated."""
        body = chosen(request, body)
        personal = await service.personal(body.messages, identify(service, request, body), body.penchant)
        return {
            "messages": personal.messages,
            "prompt_tokens": await prompt_size(service, personal),
            "user": personal.identity.shown if personal.identity else None,
            "penchant": explanation(personal),
        }

    return routes


def _choice(exchange: Exchange, number: int, one: Written) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": one.answer, "refusal": None}
    if one.reasoning:
        message["reasoning_content"] = one.reasoning
    return {
        "index": number,
        "message": message,
        "logprobs": logprobs_of(exchange.service.loaded, one.choices) if exchange.asked.logprobs else None,
        "finish_reason": FINISH[one.finish or "stop"],
    }


def _used(exchange: Exchange) -> dict[str, Any]:
    used = usage_of(exchange.written, exchange.personal)
    used["completion_tokens_details"] = {"reasoning_tokens": exchange.reasoning_tokens()}
    about = exchange.about()
    return {"usage": used, **({"penchant": about} if about else {})}


async def _chunks(exchange: Exchange, head: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    for number in range(len(exchange.answerings)):
        delta = {"role": "assistant", "content": "", "refusal": None}
        yield {**head, "choices": [{"index": number, "delta": delta, "logprobs": None, "finish_reason": None}]}
    async for number, event in exchange.events():
        if isinstance(event, Begun):
            continue
        choice: dict[str, Any] = {"index": number, "delta": {}, "logprobs": None, "finish_reason": None}
        if isinstance(event, Said):
            for kind, text in event.parts:
                name = "content" if kind == "answer" else "reasoning_content"
                choice["delta"][name] = choice["delta"].get(name, "") + text
            if exchange.asked.logprobs:
                choice["logprobs"] = logprobs_of(exchange.service.loaded, event.choices)
        if isinstance(event, Ended):
            choice["finish_reason"] = FINISH[event.finish]
        yield {**head, "choices": [choice]}
    if exchange.asked.stream_options is not None and exchange.asked.stream_options.include_usage:
        yield {**head, "choices": [], **_used(exchange)}
