"""What the operator sees of requests: an id, a line in the log, and counts. Never what a user said, nor who."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penchant.serving.engine import Engine
from penchant.serving.errors import log_failure, response

log = logging.getLogger("penchant.requests")
"""A line of JSON for each request."""
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NO_ROUTE = "none"
_NOBODY = 499
"""The status of a request whose client went away before it was answered, as nginx says it."""


@dataclass
class Observed:
    """What is known of a request. route: its template, such as "/v1/users/{user}/records". outcome: what became of the
    profile. marking, first_token: seconds, of marking and until the first text of an answer. The rest: tokens.
    """

    began: float = field(default_factory=time.perf_counter)
    route: str = _NO_ROUTE
    outcome: str | None = None
    marking: float | None = None
    first_token: float | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    answer_tokens: int = 0
    saved_tokens: int = 0

    def saw_text(self) -> None:
        """A piece of an answer came."""
        if self.first_token is None:
            self.first_token = time.perf_counter() - self.began


_current: ContextVar[Observed | None] = ContextVar("observed", default=None)


def observed() -> Observed:
    """Return what is known of the request that is being answered; its routes add to it."""
    return _current.get() or Observed()


class Metrics:
    """Counts of one server, for Prometheus. There is one process, and so nothing to add up."""

    def __init__(self, engine: Engine) -> None:
        self.registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": self.registry}
        self._requests = Counter("penchant_requests", "Requests", ["route", "status"], **made)
        self._seconds = Histogram("penchant_request_seconds", "Until the last byte", ["route"], **made)
        self._first = Histogram("penchant_first_token_seconds", "Until the first text of an answer", **made)
        self._marking = Histogram("penchant_marking_seconds", "Marking and compressing", **made)
        self._profiles = Counter("penchant_profiles", "What became of profiles", ["outcome"], **made)
        self._tokens = Counter("penchant_tokens", "Tokens", ["kind"], **made)
        running = Gauge("penchant_answers_running", "Answers being generated", **made)
        waiting = Gauge("penchant_requests_waiting", "Requests waiting for the model", **made)
        running.set_function(lambda: engine.load[0])
        waiting.set_function(lambda: engine.load[1])

    def add(self, seen: Observed, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(seen.route, str(status)).inc()
        self._seconds.labels(seen.route).observe(seconds)
        for histogram, value in ((self._first, seen.first_token), (self._marking, seen.marking)):
            if value is not None:
                histogram.observe(value)
        if seen.outcome is not None:
            self._profiles.labels(seen.outcome).inc()
        for kind in ("prompt", "cached", "answer", "saved"):
            self._tokens.labels(kind).inc(getattr(seen, f"{kind}_tokens"))

    def text(self) -> bytes:
        """Return all counts in Prometheus' text format."""
        return generate_latest(self.registry)


class Observer:
    """Middleware, the outermost. Each response says its request's id: the client's own `X-Request-Id`, if it is short
    and plain, or a new one. Every request is counted and logged when its response has ended, also one that failed.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        name = given if _ID.fullmatch(given) else uuid.uuid4().hex
        seen, status = Observed(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], (b"x-request-id", name.encode())]}
            await send(message)

        token = _current.set(seen)
        try:
            await self._app(scope, receive, sent)
        except Exception as error:  # noqa: BLE001  # the outermost: nobody else would answer
            if status:  # the connection has to end where the response was cut
                log_failure(error)
                raise _CutError(f"the response to {name} was cut") from None
            await response(error)(scope, receive, sent)
        finally:
            _current.reset(token)
            status = status or _NOBODY
            seconds = time.perf_counter() - seen.began
            self._metrics.add(seen, status, seconds)
            log.info("%s", _line(name, scope["method"], seen, status, seconds))


class _CutError(RuntimeError):
    pass


def _line(name: str, method: str, seen: Observed, status: int, seconds: float) -> str:
    known: dict[str, Any] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "request": name,
        "method": method,
        "route": seen.route,
        "status": status,
        "ms": round(seconds * 1000, 1),
    }
    if seen.outcome is not None:
        known["profile"] = seen.outcome
    for stage, value in (("marking_ms", seen.marking), ("first_token_ms", seen.first_token)):
        if value is not None:
            known[stage] = round(value * 1000, 1)
    if seen.prompt_tokens:
        for kind in ("prompt", "cached", "answer", "saved"):
            known[f"{kind}_tokens"] = getattr(seen, f"{kind}_tokens")
    return json.dumps(known)
