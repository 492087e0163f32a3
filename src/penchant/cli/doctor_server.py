"""What `penchant doctor --server` checks: that a server answers, and believes who is asking, as clients need it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from penchant.errors import EndpointError
from penchant.inference.endpoint import base_url

Look = Callable[[], tuple[bool, str]]
CLOCK = 60.0
"""Seconds that two clocks may differ by: records get their times from either."""
_TIMEOUT = 60.0
_SYSTEM = "Answer briefly, and say so when you don't know. " * 8
"""Long enough for a prompt cache."""


def server_checks(url: str, key: str | None, facts: dict[str, object]) -> Iterator[tuple[str, Look]]:
    """Yield the checks of a server. They ask for a user whom nobody knows and store nothing. key: of a client (None:
    the server needs none).

    Raises `InputError` for a URL that is none.
    """
    address = base_url(url).removesuffix("/v1")
    facts["server"] = address
    user = f"doctor-{secrets.token_hex(4)}"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    send = _Sender(httpx.Client(base_url=address, headers=headers, timeout=_TIMEOUT, trust_env=False))

    def ready() -> tuple[bool, str]:
        return _seen(send("GET", "/readyz"), lambda found: f"model {found.get('model')}")

    def clocks() -> tuple[bool, str]:
        told = send("GET", "/livez").headers.get("date")
        if told is None:
            return False, "no Date in the response"
        apart = abs((datetime.now(UTC) - parsedate_to_datetime(told)).total_seconds())
        return apart < CLOCK, f"{apart:.0f} s apart"

    def answers() -> tuple[bool, str]:
        response = send("POST", "/v1/chat/completions", json=_asked())
        return _seen(response, lambda found: f"{found['usage']['completion_tokens']} tokens")

    def streams() -> tuple[bool, str]:
        lines = send("POST", "/v1/chat/completions", json=_asked(stream=True)).text.splitlines()
        data = [line for line in lines if line.startswith("data: ")]
        return bool(data) and data[-1] == "data: [DONE]", f"{len(data)} events"

    def users() -> tuple[bool, str]:
        ways: Mapping[str, dict[str, Any]] = {
            "body": {"json": _asked(user=user)},
            "metadata": {"json": _asked(metadata={"user_id": user})},
            "model name": {"json": _asked(model=f"{_read(send('GET', '/v1/models'))['data'][0]['id']}@{user}")},
            "URL": {"json": _asked(), "path": f"/u/{user}/v1/render"},
            "header": {"json": _asked(), "headers": {"X-Penchant-User": user}},
        }
        taken: list[str] = []
        refused: list[str] = []
        for name, given in ways.items():
            response = send("POST", given.pop("path", "/v1/render"), **given)
            right = response.is_success and response.json().get("user") == user
            (taken if right else refused).append(name)
        said = f"{', '.join(taken) or 'none'}" + (f"; not from {', '.join(refused)}" if refused else "")
        return not refused or refused == ["header"], said  # headers are for trusted addresses

    def two() -> tuple[bool, str]:
        response = send("POST", "/v1/render", json=_asked(user=user, user_id=f"not-{user}"))
        return response.status_code == 400, f"status {response.status_code}"

    def cached() -> tuple[bool, str]:
        found = {}
        for _ in range(2):
            found = _read(send("POST", "/v1/chat/completions", json=_asked(user=user)))["usage"]
        tokens = found.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        return tokens > 0, f"{tokens} of {found['prompt_tokens']} tokens of a prompt that was sent twice"

    def errors() -> tuple[bool, str]:
        response = send("GET", "/v1/no-such-route")
        shape = isinstance(_json(response).get("error"), dict)
        return response.status_code in {401, 404} and shape, f"status {response.status_code}"

    yield "the server takes requests", ready
    yield "its clock agrees with this one", clocks
    yield "it answers", answers
    yield "its streams end as clients need it", streams
    yield "it takes the user from", users
    yield "two users in one request are refused", two
    yield "the beginning of a prompt is cached", cached
    yield "errors have the one shape", errors


@dataclass(frozen=True)
class _Sender:
    client: httpx.Client

    def __call__(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            return self.client.request(method, path, **given)
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise EndpointError(f"{self.client.base_url} can't be reached ({why}): is it running?") from None


def _asked(**given: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": "What am I allergic to?"}]
    return {"messages": messages, "max_tokens": 4, **given}


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _read(response: httpx.Response) -> dict[str, Any]:
    if not response.is_success:
        raise EndpointError(_refusal(response))
    return _json(response)


def _seen(response: httpx.Response, said: Callable[[dict[str, Any]], str]) -> tuple[bool, str]:
    return (True, said(_json(response))) if response.is_success else (False, _refusal(response))


def _refusal(response: httpx.Response) -> str:
    error = _json(response).get("error")
    message = error.get("message") if isinstance(error, dict) else ""
    return f"status {response.status_code}{': ' if message else ''}{message or ''}"
