"""`/v1/responses`: OpenAI's newer API, the default of several clients."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from itertools import takewhile
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from penchant.conversation.retention import wish_in
from penchant.history.dialogue import Role, Turn
from penchant.serving.access import key_of, needs
from penchant.serving.asking import asked_by, chosen, identify
from penchant.serving.chains import Chain, Chains, Spoken
from penchant.serving.description import STREAMED
from penchant.serving.errors import named_as
from penchant.serving.exchange import Exchange, answered, check, take
from penchant.serving.identity import Identity
from penchant.serving.schemas import ChatRequest, Message
from penchant.serving.service import Service
from penchant.serving.wire import response_object
from penchant.serving.wire.responses import FIELDS, ResponsesRequest, messages_of, to_chat


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["responses"])
    chains = Chains(service.store)

    @routes.post("/v1/responses", response_model=None, responses=STREAMED)
    async def create(body: ResponsesRequest, request: Request) -> Response:
        """Answer an input, going on from an earlier response or conversation, with what matters in its user's history.
        What was said is kept, unless the request or the user wants otherwise.
        """
        body = chosen(request, body).with_conversation()
        body.check()
        identity, key = identify(service, request, body), key_of(request)
        if key is not None and not key.allows("write"):
            body = body.model_copy(update={"store": False})
        with named_as(FIELDS):
            asked = to_chat(body)
            check(service, asked)  # before anything is kept or erased
            async with _erasing(service, body, identity):
                chain, messages = await asyncio.to_thread(_begin, chains, body, identity)
            exchange = await _exchange(service, asked, identity, chain, messages)
        head = _head(service, body, chain)

        async def keep() -> None:
            (written,) = exchange.written
            if chain is not None:
                service.check_erasing(chain.user)
                await asyncio.to_thread(chains.keep, chain, written.answer, written.finish or "stop")

        if body.stream:
            events = response_object.events(head, exchange, keep, time.time)
            return StreamingResponse(events, media_type="text/event-stream", headers=exchange.headers)
        await exchange.whole(request)
        await keep()
        return JSONResponse(response_object.whole(head, exchange, time.time()), headers=exchange.headers)

    @routes.get("/v1/responses/{response}")
    async def retrieve(response: str, request: Request) -> dict[str, Any]:
        """Return a stored response of the user who is named by a header, the URL or the query."""
        identity = asked_by(service, request)
        answer, before = await asyncio.to_thread(chains.find, identity.user if identity else None, response)
        body = ResponsesRequest.model_construct(previous_response_id=before)
        assert answer.when is not None  # chains store no other
        head = response_object.Head(response, answer.when.timestamp(), service.model, body, kept=True)
        status = "incomplete" if answer.cut else "completed"
        item = response_object.message_item(head.item("msg"), [response_object.text_part(answer.text)], status)
        more = {"incomplete_details": {"reason": "max_output_tokens"}} if answer.cut else {}
        return response_object.response(head, status, [item], **more)

    @routes.delete("/v1/responses/{response}", dependencies=[needs("write")])
    async def erase(response: str, request: Request) -> dict[str, Any]:
        """Erase a stored response with what was said in its request."""
        identity = asked_by(service, request)
        user = identity.user if identity else None
        await asyncio.to_thread(chains.find, user, response)  # a 404, before anything is dropped
        async with service.erasing(user or ""):
            await asyncio.to_thread(chains.erase, user, response)
        return {"id": response, "object": "response", "deleted": True}

    return routes


def _erasing(service: Service, body: ResponsesRequest, identity: Identity | None) -> AbstractAsyncContextManager[None]:
    """Return the context in which a request begins: that of an erasure, if its newest turn asks to forget something."""
    wish = None if identity is None or body.store is False else wish_in(body.newest)
    return nullcontext() if identity is None or wish is None or not wish.forget else service.erasing(identity.user)


def _begin(chains: Chains, body: ResponsesRequest, identity: Identity | None) -> tuple[Chain | None, list[Message]]:
    """Return the chain of a request (None: nothing is kept), and all of its messages."""
    user = None if identity is None else identity.user
    named = body.conversation.get("id") if isinstance(body.conversation, dict) else body.conversation
    place = chains.place(user, body.previous_response_id, named)
    given = messages_of(body.items, partial(chains.text, user))
    messages = [one.message for one in given]
    system: str | None = None
    past: tuple[Turn, ...] = ()
    chain: Chain | None = None
    if user is not None and body.store is not False:
        spoken = [Spoken(role, one.message.text, one.item) for one in given if (role := _side(one.message)) is not None]
        opening = takewhile(lambda one: one.role in _SYSTEM, messages)
        chain = chains.begin(user, spoken, place=place, system="\n\n".join(one.text for one in opening) or None)
        system, past = (chain.system if place is not None else None), chain.past
        messages = _without_wish(messages, chain.rest)
    elif user is not None and place is not None:
        system, past = chains.before(user, place)
    before = [Message(role="system", content=text) for text in (body.instructions, system) if text]
    return chain, [*before, *(Message(role=turn.role, content=turn.text) for turn in past), *messages]


def _without_wish(messages: list[Message], rest: str | None) -> list[Message]:
    """Return messages whose newest user turn is `rest`; None leaves it as it is."""
    at = next((at for at in reversed(range(len(messages))) if messages[at].role == "user"), None)
    if rest is None or at is None:
        return messages
    return [*messages[:at], messages[at].model_copy(update={"content": rest}), *messages[at + 1 :]]


_SYSTEM = {"system", "developer"}


def _side(message: Message) -> Role | None:
    """Return whose turn of a conversation a message is; None: it isn't stored (a system prompt, a tool's call)."""
    return message.role if message.role in {"user", "assistant"} and message.text.strip() else None


def _head(service: Service, body: ResponsesRequest, chain: Chain | None) -> response_object.Head:
    name = f"resp_{uuid.uuid4().hex}" if chain is None else chain.id
    about = {"notice": chain.notice, "off_record": not chain.kept} if chain is not None and chain.notice else {}
    kept = chain is not None and chain.kept
    return response_object.Head(name, time.time(), body.model or service.model, body, kept, about)


async def _exchange(
    service: Service, asked: ChatRequest, identity: Identity | None, chain: Chain | None, messages: list[Message]
) -> Exchange:
    asked = asked.model_copy(update={"messages": messages})
    if chain is not None and chain.rest == "":
        # Nothing but a wish: Penchant tells what was done, not the model, which might promise the opposite.
        return answered(service, asked, identity, chain.notice)
    return await take(service, asked, identity)
