"""Requests for the models of upstreams: a profile is put in, and everything else is passed on as it is, both ways."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import httpx
from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penchant.errors import PenchantError
from penchant.serving.access import key_of
from penchant.serving.answers import while_listening
from penchant.serving.errors import ApiError, check_type, error_body, response
from penchant.serving.identity import Identity
from penchant.serving.observation import observed
from penchant.serving.prompt import newest_user_turn, with_profile
from penchant.serving.schemas import PenchantOptions
from penchant.serving.service import Outcome, PersonalPrompt, Service, headers_of, note
from penchant.serving.upstreams import Upstream

log = logging.getLogger(__name__)
PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/messages/count_tokens")
SENT = ("accept", "anthropic-version", "anthropic-beta", "idempotency-key", "openai-beta")
"""Headers of a client that are passed on. Keys and names of users aren't."""
_HOP_BY_HOP = "connection keep-alive proxy-authenticate proxy-connection te trailer transfer-encoding upgrade"
_KEPT_BACK = frozenset({*_HOP_BY_HOP.split(), "set-cookie"})
_HASHES = ("safety_identifier", "prompt_cache_key")  # of the user, where a client does as it is told
_NUMBER = "x-request-id"
Body = dict[str, Any]


class Forwarding:
    """Middleware. Requests for models of upstreams are answered by them; all others pass."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        upstreams = self._service.upstreams
        if scope["type"] != "http" or not upstreams or scope["method"] != "POST" or scope["path"] not in PATHS:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            raw = await request.body()
        except ClientDisconnect:  # or the body is too large, which the edge says in place of this
            await response(ApiError(400, "the body ended early"))(scope, receive, send)
            return
        body = _parsed(raw)
        model, _ = self._service.rules.split_model(body.get("model"))
        upstream = upstreams.find(model, {self._service.model, "default"})
        if upstream is None:
            await self._app(scope, _replaying(raw, receive), send)
            return
        try:
            made = await self._answer(request, upstream, raw, body)
        except PenchantError as error:
            made = response(error)
        except ClientDisconnect:
            return
        await made(scope, receive, send)

    async def _answer(self, request: Request, upstream: Upstream, raw: bytes, body: Body) -> Response:
        check_type(request, "application/json")
        observed().route = request.scope["path"]
        identity = self._service.rules.find(
            body,
            request.headers,
            peer=request.client.host if request.client else None,
            url_user=request.scope.get("penchant.user"),
            key=key_of(request),
        )
        sent, personal = await while_listening(request, self._personal(upstream, body, identity))
        note(personal)
        content = raw if sent == body else json.dumps(sent, ensure_ascii=False).encode("utf-8", "surrogatepass")
        path = request.scope["path"].removeprefix("/v1")
        headers = {name: value for name in SENT if (value := request.headers.get(name))}
        headers |= {"content-type": "application/json", "accept-encoding": "identity", **upstream.headers(path)}
        asked = upstream.client.build_request("POST", upstream.url + path, content=content, headers=headers)
        answer = await while_listening(request, _send(upstream, asked))
        kept = {name: value for name, value in answer.headers.items() if name not in _KEPT_BACK}
        if number := kept.pop(_NUMBER, None):  # this server's request has a number of its own
            kept[f"x-upstream{_NUMBER.removeprefix('x')}"] = number
        streamed = kept.get("content-type", "").startswith("text/event-stream")
        pieces = _events(upstream, answer, path) if streamed else _bytes(upstream, answer)
        return StreamingResponse(pieces, answer.status_code, {**kept, **headers_of(personal)})

    async def _personal(self, upstream: Upstream, body: Body, identity: Identity | None) -> tuple[Body, PersonalPrompt]:
        """Return the body for an upstream, and what was put in."""
        options = _options(body.get("penchant"))
        sent = self._without_names(upstream, body, identity)
        texts = _turn(body)
        query = "\n".join(texts).strip()
        about = partial(PersonalPrompt, [], identity)
        if identity is None or not query or options.knowledge == "none":
            return sent, about("no-user" if identity is None else "off")
        began = time.perf_counter()
        found = await self._service.in_time(self._service.marked(identity.user, query, options, upstream.sharing))
        about = partial(about, seconds=time.perf_counter() - began)
        if found is None:
            return sent, about("deadline")
        outcome: Outcome = found[0]
        profile = found[1]
        if outcome != "used" or profile is None:
            return sent, about(outcome)
        if "messages" in sent:
            sent["messages"] = with_profile(sent["messages"], profile.text)
        else:
            sent["prompt"] = with_profile([{"role": "user", "content": sent["prompt"]}], profile.text)[0]["content"]
        return sent, about(outcome, profile)

    def _without_names(self, upstream: Upstream, body: Body, identity: Identity | None) -> Body:
        """Return a body without what is meant for this server, and without the user unless the upstream may know."""
        sent = {name: value for name, value in body.items() if name != "penchant"}
        if isinstance(sent.get("model"), str):
            sent["model"] = self._service.rules.split_model(sent["model"])[0]
        if upstream.send_users:
            return sent
        names = () if identity is None else (identity.user, identity.shown)
        for field in ("user", "user_id", *(one for one in _HASHES if sent.get(one) in names)):
            sent.pop(field, None)
        if isinstance(metadata := sent.get("metadata"), dict) and "user_id" in metadata:
            sent["metadata"] = {name: value for name, value in metadata.items() if name != "user_id"}
            if not sent["metadata"]:
                del sent["metadata"]
        return sent


def _parsed(raw: bytes) -> Body:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):  # the route says what is wrong with it
        return {}
    return body if isinstance(body, dict) else {}


def _replaying(raw: bytes, receive: Receive) -> Receive:
    """Return a body that was read to who reads it next."""
    left: list[Message] = [{"type": "http.request", "body": raw, "more_body": False}]

    async def replay() -> Message:
        return left.pop() if left else await receive()

    return replay


def _options(given: Any) -> PenchantOptions:
    try:
        options = PenchantOptions.model_validate(given or {})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(["penchant", *map(str, first["loc"])])
        raise ApiError(400, f"{place}: {first['msg']}", param=place, code="invalid_request") from None
    if options.steer is not None or options.explain:
        name = "steer" if options.steer is not None else "explain"
        raise ApiError(
            400,
            f"penchant.{name} isn't offered for the model of an upstream, whose answers pass as they are: leave it out",
            param=f"penchant.{name}",
            code="unsupported",
        )
    return options


def _turn(body: Mapping[str, Any]) -> list[str]:
    """Return the texts of the newest user turn; none for what isn't text, or in no known form."""
    messages = body.get("messages")
    if messages is None:
        return [prompt] if isinstance(prompt := body.get("prompt"), str) else []
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        return []
    at = newest_user_turn(messages)
    content = messages[at].get("content") if at is not None else None
    parts = content if isinstance(content, list) else [{"text": content}]
    return [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]


async def _send(upstream: Upstream, asked: httpx.Request) -> httpx.Response:
    """Send once: what was sent may have had an effect, so that only the client knows whether to try again."""
    try:
        return await upstream.client.send(asked, stream=True)
    except httpx.TimeoutException:
        raise ApiError(504, f"{upstream.title} doesn't answer: try again later", code="upstream_timeout") from None
    except httpx.HTTPError as error:
        log.warning("%s can't be reached: %s", upstream.title, type(error).__name__)
        raise ApiError(502, f"{upstream.title} can't be reached: try again later", code="upstream_failed") from None


async def _bytes(upstream: Upstream, answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()


async def _events(upstream: Upstream, answer: httpx.Response, path: str) -> AsyncIterator[bytes]:
    """Yield the bytes of a stream. If it breaks, the last event is an error, so that no client takes half for whole."""
    try:
        async for piece in answer.aiter_raw():
            yield piece
    except httpx.HTTPError:
        error = error_body(502, f"{upstream.title} broke off: ask again", code="upstream_failed")
        named = "event: error\n" if path == "/messages" else ""
        typed = {"type": "error", **error} if named else error
        yield f"\n\n{named}data: {json.dumps(typed)}\n\n".encode()
    finally:
        await answer.aclose()
