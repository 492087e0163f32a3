"""The user of a request to the server, by the operator's rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from penchant.serving.access import key_of
from penchant.serving.errors import ApiError
from penchant.serving.identity import Identity
from penchant.serving.schemas import PenchantOptions
from penchant.serving.service import Service

B = TypeVar("B", bound=BaseModel)


def chosen(request: Request, body: B) -> B:
    """Return a body with what headers choose ("X-Penchant-Budget: 100"), for clients that can't add to a body. Raises
    `ApiError` for a bad value, and for one that differs from the body's.
    """
    names = PenchantOptions.model_fields
    found = {name: value for name in names if (value := request.headers.get(f"x-penchant-{name}"))}
    if not found:
        return body
    given: PenchantOptions | None = getattr(body, "penchant", None)
    known = {} if given is None else given.model_dump(exclude_unset=True)
    for name, value in found.items():
        if name in known and str(known[name]).lower() != value.lower():
            message = f"the header x-penchant-{name} says {value!r:.60}, the body {known[name]!r:.60}: send one of them"
            raise ApiError(400, message, param=f"penchant.{name}", code="two_values")
    try:
        options = PenchantOptions.model_validate({**found, **known})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise ApiError(
            400, f"the header x-penchant-{name}: {first['msg']}", param=f"penchant.{name}", code="invalid_value"
        ) from None
    return body.model_copy(update={"penchant": options})


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
