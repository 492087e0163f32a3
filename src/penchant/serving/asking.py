"""The user of a request to the server, by the operator's rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from pydantic import BaseModel

from penchant.serving.access import key_of
from penchant.serving.identity import Identity
from penchant.serving.service import Service


def asked_by(service: Service, request: Request) -> Identity | None:
    """Return who is asking in a request without a body, whose query may have `user` or `user_id`; see `identify`."""
    return _find(service, request, {name: request.query_params.get(name) for name in ("user", "user_id")})


def identify(service: Service, request: Request, body: BaseModel) -> Identity | None:
    """Return who is asking; None: the request names nobody. Raises `ApiError`; see `IdentityRules.find`."""
    return _find(service, request, body.model_dump(exclude_unset=True))


def _find(service: Service, request: Request, given: Mapping[str, Any]) -> Identity | None:
    return service.rules.find(
        given,
        request.headers,
        peer=request.client.host if request.client else None,
        url_user=request.scope.get("penchant.user"),
        key=key_of(request),
    )
