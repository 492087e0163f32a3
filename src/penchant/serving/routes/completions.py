"""`/v1/completions`: text that goes on from a prompt. Some clients call it unless told otherwise."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from penchant.inference.answer_row import TokenChoice
from penchant.models.loading import LoadedModel
from penchant.serving.answers import FINISH, Written, sse, stream, usage_of, while_listening, write
from penchant.serving.asking import chosen, identify
from penchant.serving.description import STREAMED
from penchant.serving.engine import Begun, Ended, Piece, Prompt
from penchant.serving.errors import ApiError
from penchant.serving.generation import chat_prompt, prompts_of
from penchant.serving.schemas import CompletionRequest, Message
from penchant.serving.service import Answering, Service, headers_of, owner_of


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["completions"])

    @routes.post("/v1/completions", response_model=None, responses=STREAMED)
    async def complete(body: CompletionRequest, request: Request) -> Response:
        """Answer a prompt, with what matters in its user's history: the prompt is the user's only turn."""
        body = chosen(request, body)
        service.check_model(body.model)
        if body.suffix:
            raise ApiError(400, "suffix isn't supported: leave it out", param="suffix", code="unsupported")
        identity = identify(service, request, body)
        texts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
        personal = [
            await service.personal([Message(role="user", content=text)], identity, body.penchant) for text in texts
        ]

        def prompts() -> list[Prompt]:
            return [
                prompt
                for text, one in zip(texts, personal, strict=True)
                for prompt in prompts_of(
                    service.loaded,
                    # Without a profile the prompt is what the client wrote: it may have a form of its own.
                    chat_prompt(service.loaded, one.messages) if one.profile else text,
                    body,
                    max_tokens=body.max_tokens or service.settings.max_tokens,
                    owner=owner_of(identity),
                    intervention=one.steering.intervention if one.steering else None,
                    likeliest=body.logprobs,
                )
            ]

        asked = service.ask(await service.run(prompts))
        echoed = [text if body.echo else "" for text in texts for _ in range(body.n or 1)]
        about = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": body.model or service.model,
            "system_fingerprint": service.fingerprint,
        }
        headers = dict(headers_of(personal[0]))
        if body.stream:
            chunks = _chunks(service, body, asked, about, echoed)
            return StreamingResponse(sse(chunks), media_type="text/event-stream", headers=headers)
        written = await while_listening(request, write(asked, [Written() for _ in asked]))
        choices = [
            {
                "index": number,
                "text": echoed[number] + one.text,
                "logprobs": _logprobs(service.loaded, one.choices) if body.logprobs is not None else None,
                "finish_reason": FINISH[one.finish or "stop"],
            }
            for number, one in enumerate(written)
        ]
        return JSONResponse({**about, "choices": choices, "usage": usage_of(written, personal[0])}, headers=headers)

    return routes


async def _chunks(
    service: Service, body: CompletionRequest, asked: Sequence[Answering], about: dict[str, Any], echoed: Sequence[str]
) -> AsyncIterator[dict[str, Any]]:
    written = [Written() for _ in asked]
    for number, text in enumerate(echoed):
        if text:
            yield {**about, "choices": [{"index": number, "text": text, "logprobs": None, "finish_reason": None}]}
    async for number, event in stream(asked, written):
        if isinstance(event, Begun):
            continue
        choice: dict[str, Any] = {"index": number, "text": "", "logprobs": None, "finish_reason": None}
        if isinstance(event, Piece):
            choice["text"] = event.text
            choice["logprobs"] = _logprobs(service.loaded, event.choices) if body.logprobs is not None else None
        if isinstance(event, Ended):
            choice["finish_reason"] = FINISH[event.finish]
        yield {**about, "choices": [choice]}
    if body.stream_options is not None and body.stream_options.include_usage:
        yield {**about, "choices": [], "usage": usage_of(written)}


def _logprobs(loaded: LoadedModel, choices: Sequence[TokenChoice]) -> dict[str, Any]:
    texts = [str(loaded.tokenizer.decode([one.token])) for one in choices]
    ends = [sum(map(len, texts[:at])) for at in range(len(texts))]
    return {
        "tokens": texts,
        "token_logprobs": [one.logprob for one in choices],
        "top_logprobs": [
            {str(loaded.tokenizer.decode([token])): value for token, value in one.likeliest} for one in choices
        ],
        "text_offset": ends,
    }
