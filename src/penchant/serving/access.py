"""Who may ask: keys, what each of them may do, and how much."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from cachetools import LRUCache, TTLCache
from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from penchant.errors import PenchantError
from penchant.serving.errors import ApiError, response
from penchant.serving.path_ids import PathId
from penchant.store import Store
from penchant.store.api_keys import ApiKey
from penchant.store.api_keys import Scope as KeyScope

FRESH = 5.0
"""Seconds after which a key is looked up again: a revoked one ends within them."""
PUBLIC = frozenset({"/livez", "/readyz", "/metrics", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"})
"""Paths without a key. Which peers may read `/metrics` is a matter of that route."""
_SLOWEST = 10  # seconds of Retry-After
_HELD = 10_000
_UNKNOWN = "not looked up"


class Gate:
    """Middleware. As soon as the store has had a key, every request needs one: in `Authorization: Bearer`, `x-api-key`
    or `api-key`. The key is in the scope's "penchant.key" then. Requests over a key's rate are refused.
    """

    def __init__(self, app: ASGIApp, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._app, self._keys = app, store.api_keys
        self._found: TTLCache[str, ApiKey | None] = TTLCache(_HELD, FRESH, clock)
        self._needed: TTLCache[str, bool] = TTLCache(1, FRESH, clock)
        self._rates = _Rates(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in PUBLIC:
            try:
                scope = {**scope, "penchant.key": await self._check(scope)}
            except PenchantError as error:
                await response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _check(self, scope: Scope) -> ApiKey | None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        text = _given(headers)
        if not await self._are_needed():
            return None
        if not text:
            raise ApiError(401, "a key is needed: send it as 'Authorization: Bearer KEY'", code="missing_api_key")
        key = await self._find(text)
        if key is None:
            raise ApiError(
                401, "the key is unknown or was revoked: ask the operator for another", code="invalid_api_key"
            )
        if (wait := self._rates.wait(key)) is not None:
            raise ApiError(
                429,
                f"the key's {key.rate} requests a minute are used up: try again in {wait} s",
                code="rate_limit_exceeded",
                retry_after=wait,
            )
        return key

    async def _find(self, text: str) -> ApiKey | None:
        digest = hashlib.sha256(text.encode()).hexdigest()  # no secrets in memory
        found = self._found.get(digest, _UNKNOWN)
        if isinstance(found, str):
            found = self._found[digest] = await asyncio.to_thread(self._keys.find, text)
        return found

    async def _are_needed(self) -> bool:
        if (known := self._needed.get("")) is None:
            known = self._needed[""] = await asyncio.to_thread(self._keys.exist)
        return known


class _Rates:
    """Token buckets: a key may use up its requests of a minute at once, and gets new ones evenly."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left: LRUCache[str, tuple[float, float]] = LRUCache(_HELD)

    def wait(self, key: ApiKey) -> int | None:
        """Count a request. None if it may pass; otherwise the seconds until the next one may, at most ten."""
        if key.rate is None:
            return None
        now, a_second = self._clock(), key.rate / 60
        left, at = self._left.get(key.id, (float(key.rate), now))
        left = min(float(key.rate), left + (now - at) * a_second)
        passes = left >= 1
        self._left[key.id] = (left - 1 if passes else left, now)
        return None if passes else min(_SLOWEST, max(1, math.ceil((1 - left) / a_second)))


def key_of(request: Request) -> ApiKey | None:
    """Return the key of a request; None: the server has none."""
    key: ApiKey | None = request.scope.get("penchant.key")
    return key


@dataclass(frozen=True)
class Needs:
    """A dependency of routes that only keys of a scope may use. All others take any key."""

    scope: KeyScope

    def __call__(self, request: Request) -> None:
        key = key_of(request)
        if key is not None and not key.allows(self.scope):
            raise ApiError(
                403,
                f"the key's scope is {key.scope!r}: this needs {self.scope!r}; ask the operator for another key",
                code="insufficient_scope",
            )


def needs(scope: KeyScope) -> Any:
    """Return `Needs` for the `dependencies` of a route."""
    return Depends(Needs(scope))


def _stored_user(request: Request, user: PathId) -> str:
    key = key_of(request)
    if key is None:
        return user
    if key.user is not None and user != key.user:
        raise ApiError(403, "the key is for another user: name the key's own", param="user", code="other_user")
    return key.stored_user(user)


StoredUser = Annotated[str, Depends(_stored_user)]
"""The parameter {user} of a path as the store names that user: behind the tenant of the key."""


def _given(headers: Mapping[str, str]) -> str:
    scheme, _, value = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return (headers.get("x-api-key") or headers.get("api-key") or "").strip()
