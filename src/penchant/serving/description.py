"""The description of the API: errors of all routes, and what a stream looks like."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class ErrorDetail(BaseModel):
    """What went wrong. type: its kind in the words of the API; see `ApiError` for the rest."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every error."""

    error: ErrorDetail


_REASONS = {
    400: "The request can't be used; the message says why",
    401: "A key is needed",
    403: "The key or the address may not do this",
    404: "There is no such route, model or user",
    405: "The route has no such method",
    413: "The body is too large",
    415: "The body has another type or is compressed",
    429: "Too many requests; Retry-After says when to try again",
    500: "The server failed; its log says why",
    503: "The store can't be reached; Retry-After says when to try again",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    **{status: {"model": ErrorBody, "description": reason} for status, reason in _REASONS.items()},
    "default": {"model": ErrorBody, "description": "Any other error"},  # also: no 422 of FastAPI's
}
"""Errors of all routes, for the description of the API."""
_EVENT = {"type": "object", "properties": {"data": {"type": "string"}, "event": {"type": "string"}}}
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer, or its chunks as server-sent events if the request has stream: true",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "text/event-stream": {"schema": _EVENT},
        },
    }
}
"""The answer of routes that stream, for the description of the API: one event of a stream is an object there."""
