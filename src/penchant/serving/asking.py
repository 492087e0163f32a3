"""The user of a request to the server, by the operator's rules."""

from __future__ import annotations

from fastapi import Request
from pydantic import BaseModel

from penchant.serving.access import key_of
from penchant.serving.identity import Identity
from penchant.serving.service import Service


def identify(service: Service, request: Request, body: BaseModel) -> Identity | None:
    """Return who is asking; None: the request names nobody. See `IdentityRules.find`."""
    return service.rules.find(
        body.model_dump(exclude_unset=True),
        request.headers,
        peer=request.client.host if request.client else None,
        url_user=request.scope.get("penchant.user"),
        key=key_of(request),
    )
