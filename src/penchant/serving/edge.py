"""What every request meets first: a limit of its size, and the user in its path."""

from __future__ import annotations

import re

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penchant.serving.errors import ApiError, response
from penchant.store.api_keys import ApiKey

_USER = re.compile(r"^/u/([^/]+)(/.*)$")
_ENCODINGS = {"", "identity"}


class Edge:
    """Middleware. A body of more than `limit` bytes, or of the key's limit, is refused while it is read: a chunked one
    has no length. A path
    "/u/alice/v1/..." is that of "/v1/..." with the user alice.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if found := _USER.match(scope["path"]):
            user, path = found.groups()
            scope = {**scope, "path": path, "raw_path": path.encode(), "penchant.user": user}
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


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"the body is over {limit:,} bytes: send less, or in parts", code="too_large")


async def _refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    await response(error)(scope, receive, send)
