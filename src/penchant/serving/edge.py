"""What every request meets first: the host that it names, a limit of its size, and the ids in its path."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import quote, unquote

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penchant.serving.errors import ApiError, response
from penchant.serving.path_ids import HELD_SLASH, with_slashes
from penchant.store.api_keys import ApiKey

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_SLASH = re.compile(rb"%2f", re.IGNORECASE)
_IDS = ("/u/", "/v1/users/")  # paths with ids of users
_USER = re.compile(r"^/u/([^/]+)(/.*)$")
_PORT = re.compile(r":\d*$")
_ENCODINGS = {"", "identity"}


class Edge:
    """Middleware. A body of more than `limit` bytes, or of the key's limit, is refused while it is read: a chunked one
    has no length. A path "/u/alice/v1/..." is that of "/v1/..." with the user alice; "%2F" in it belongs to an id
    (`PathId`). A server without keys answers to the names of this machine and `hosts` only ("*": to all): otherwise a
    page of any web site could reach it under the site's own name (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, limit: int, hosts: Collection[str] = ()) -> None:
        self._app, self._limit = app, limit
        self._hosts = {*LOCAL_HOSTS, *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (error := self._stranger(scope)) is not None:
            await _refuse(error, scope, receive, send)
            return
        if scope["path"].startswith(_IDS) and _SLASH.search(raw := scope.get("raw_path") or b""):
            scope = {**scope, "path": unquote(_SLASH.sub(HELD_SLASH.encode(), raw).decode("latin-1"))}
        if found := _USER.match(scope["path"]):
            user, path = found.groups()
            path = path if path.startswith(_IDS) else with_slashes(path)
            scope = {**scope, "path": path, "raw_path": quote(path).encode(), "penchant.user": with_slashes(user)}
        key: ApiKey | None = scope.get("penchant.key")
        limit = min(self._limit, (key.body_bytes if key is not None else None) or self._limit)
        headers = dict(scope["headers"])
        encoding = headers.get(b"content-encoding", b"").decode("latin-1").lower()
        length = headers.get(b"content-length", b"").decode("latin-1")
        if encoding not in _ENCODINGS:
            await _refuse(ApiError(415, f"a body in {encoding!r:.40}: send it uncompressed"), scope, receive, send)
            return
        if length.isdecimal() and int(length) > limit:
            await _refuse(_too_large(limit), scope, receive, send)
            return
        read, refused = 0, False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            # To what reads the body, the client has gone away.
            return message if read <= limit else {"type": "http.disconnect"}

        async def sent(message: Message) -> None:
            nonlocal refused
            if read > limit and not refused and message["type"] == "http.response.start":
                refused = True
                await _refuse(_too_large(limit), scope, receive, send)
            if not refused:
                await send(message)

        try:
            await self._app(scope, counted, sent)
        except ClientDisconnect:
            if read > limit and not refused:
                await _refuse(_too_large(limit), scope, receive, send)
            # Otherwise nobody is left to be answered.

    def _stranger(self, scope: Scope) -> ApiError | None:
        if scope.get("penchant.key", "public") is not None or "*" in self._hosts:  # a key protects it, or all may know
            return None
        given = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
        name = _PORT.sub("", given).strip("[]")
        if name in self._hosts or name.endswith(".localhost"):
            return None
        return ApiError(
            403,
            f"the host {given!r:.80} isn't a name of this server: use localhost, or let the operator add it "
            "(--allowed-host)",
            code="unknown_host",
        )


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"the body is over {limit:,} bytes: send less, or in parts", code="too_large")


async def _refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    await response(error)(scope, receive, send)
