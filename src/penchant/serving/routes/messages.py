"""Anthropic's `/v1/messages` and `/v1/messages/count_tokens`."""

from __future__ import annotations

import uuid

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from penchant.serving.asking import chosen, identify
from penchant.serving.description import STREAMED
from penchant.serving.errors import named_as
from penchant.serving.exchange import check, prompt_size, take
from penchant.serving.service import Service, headers_of
from penchant.serving.wire import message_object
from penchant.serving.wire.messages import FIELDS, CountRequest, MessagesRequest, to_chat


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["messages"])

    @routes.post("/v1/messages", response_model=None, responses=STREAMED)
    async def create(body: MessagesRequest, request: Request) -> Response:
        """Answer a conversation in the form of Anthropic's API, with what matters in its user's history."""
        body = chosen(request, body)
        with named_as(FIELDS):
            exchange = await take(service, to_chat(body), identify(service, request, body))
        head = {"id": f"msg_{uuid.uuid4().hex}", "model": body.model or service.model}
        headers = {**exchange.headers, "request-id": head["id"]}
        if body.stream:
            events = message_object.events(head, exchange)
            return StreamingResponse(events, media_type="text/event-stream", headers=headers)
        await exchange.whole(request)
        return JSONResponse(message_object.whole(head, exchange), headers=headers)

    @routes.post("/v1/messages/count_tokens", response_model=None)
    async def count(body: CountRequest, request: Request) -> Response:
        """Count the tokens of the prompt that would be sent to the model, with what is put into it."""
        body = chosen(request, body)
        with named_as(FIELDS):
            asked = to_chat(body)
            check(service, asked)
            personal = await service.personal(asked.messages, identify(service, request, body), asked.penchant)
            size = await prompt_size(service, personal)
        return JSONResponse({"input_tokens": size}, headers=headers_of(personal))

    return routes
