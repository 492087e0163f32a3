"""Errors on the wire: one shape for all of them, which every OpenAI client shows."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from penchant.errors import InputError, ModelError, PenchantError, StoreError, UnknownUserError
from penchant.serving.engine import BusyError, ErasedError
from penchant.store.api_keys import ApiKey

log = logging.getLogger(__name__)
RETRY_AFTER = 2
"""Seconds after which a refused request may be tried again. Clients obey values up to a minute, and some multiply their
tries.
"""


class ApiError(PenchantError):
    """An error with its place on the wire. param: the field that it is about; code: a name for programs; retry_after:
    seconds after which the request may be tried again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int = RETRY_AFTER,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.retry_after = status, param, code, retry_after


@contextmanager
def named_as(names: Mapping[str, str]) -> Iterator[None]:
    """Let errors name fields as another API does. names: fields of chat completions, and what they are called there."""
    try:
        yield
    except ApiError as error:
        first, dot, rest = (error.param or "").partition(".")
        error.param = f"{names.get(first, first)}{dot}{rest}" or None
        raise


def error_body(status: int, message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """Return the body of an error, in OpenAI's form and in Anthropic's. A stream carries the same as a data line."""
    return {"type": "error", "error": {"message": message, "type": _type(status), "param": param, "code": code}}


def describe(error: Exception) -> tuple[int, dict[str, Any]]:
    """Return the status and the body of an error. One that nobody expected is logged, and says nothing of its cause."""
    if isinstance(error, ApiError):
        return error.status, error_body(error.status, str(error), error.param, error.code)
    for kind, status, code, message in _KINDS:
        if isinstance(error, kind):
            if status >= 500:
                log_failure(error)
            return status, error_body(status, message or _PLACES.sub(r"`\1`", str(error)), code=code)
    log_failure(error)
    return 500, error_body(500, "the server failed; its log says why", code="internal_error")


def log_failure(error: Exception) -> None:
    """Log an error that is no client's fault: where it happened, and its message only if it is one of ours. Others may
    quote what a user said.
    """
    message = str(error) if isinstance(error, PenchantError) else type(error).__name__
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("a request failed: %s\n%s", message, where)


# The server's folders and the tenant's name are no matter of a client: where an error may name them, another message
# goes out, and the log has the error's own.
_KINDS: tuple[tuple[type[Exception], int, str, str | None], ...] = (
    (UnknownUserError, 404, "unknown_user", "no such user: add records first"),
    (ModelError, 500, "model_error", "the model failed; the server's log says why"),
    (InputError, 400, "invalid_value", None),
    (BusyError, 429, "busy", None),
    (ErasedError, 409, "conflict", None),
    (StoreError, 503, "store_unavailable", "the store can't be read or written now: try again"),
    (PenchantError, 500, "internal_error", None),
    (RecursionError, 400, "too_deep", None),
)
_PLACES = re.compile(r"`(penchant [^`]*?) --[^`]*`")
"""A command with options in a message: they say where the store is."""


def response(error: Exception, tenant: str | None = None) -> JSONResponse:
    """Return an error as a response. tenant: of the key, whose clients know nothing of it: their users go by the names
    that they gave.
    """
    status, body = describe(error)
    if tenant is not None:
        body["error"]["message"] = re.sub(rf"(?<![\w/-]){re.escape(tenant)}/", "", body["error"]["message"])
    headers = {}
    if status in {429, 503}:
        headers["Retry-After"] = str(error.retry_after if isinstance(error, ApiError) else RETRY_AFTER)
    elif status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, status, headers)


def check_type(request: Request, *types: str) -> None:
    """Raise `ApiError` for a body of another type. A page of any web site can let a browser send the types of forms, or
    none at all, to a server on the same machine.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in types:
        raise ApiError(
            415, f"the body has the type {given or 'none'!r:.60}: send it as {' or '.join(types)}", code="content_type"
        )


def install(app: FastAPI) -> None:
    """Let every error of an app, also those of the framework, have the one shape."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if isinstance(first.get("input"), bytes):  # FastAPI reads no JSON of another type: a browser's form may send it
            return response(
                ApiError(415, "the body has another type: send it as application/json", code="content_type")
            )
        place = ".".join(str(part) for part in first["loc"][1:])
        message = f"{place}: {first['msg']}" if place else str(first["msg"])
        return JSONResponse(error_body(400, message, place or None, "invalid_request"), 400)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        message = str(error.detail)
        if error.status_code == 404:
            message = f"no route {request.method} {request.url.path}: see /docs for all"
        elif error.status_code == 405:
            message = f"{request.method} is not allowed at {request.url.path}: see /docs"
        return JSONResponse(error_body(error.status_code, message), error.status_code, error.headers)

    for kind in (PenchantError, RecursionError):

        @app.exception_handler(kind)
        async def failed(request: Request, error: Exception) -> JSONResponse:
            key: ApiKey | None = request.scope.get("penchant.key")
            return response(error, None if key is None else key.tenant)


def _type(status: int) -> str:
    names = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
    return names.get(status, "invalid_request_error" if status < 500 else "server_error")
