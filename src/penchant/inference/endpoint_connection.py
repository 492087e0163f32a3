"""The connection to an endpoint: requests are sent, tried again where that may help, and what goes wrong is said in one
line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import httpx
from httpx_retries import Retry

from penchant.errors import EndpointError
from penchant.inference.chat_completions import Chunk, adapted, error_message

KEY_VARIABLE = "OPENAI_API_KEY"
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
MAX_WAIT = 30.0  # seconds; limits what the endpoint may ask for
_RAISE_TIMEOUT = "raise the timeout or check the endpoint"


@dataclass
class Connection:
    """Sends requests to one URL. Each event loop has connections of its own. model: only named in errors; the others:
    see `Endpoint`. trust_env: whether a proxy of the environment is used.
    """

    url: str
    model: str
    key: str
    timeout: float
    retries: int
    backoff: float
    headers: Mapping[str, str]
    trust_env: bool
    _clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = field(
        init=False, default_factory=WeakKeyDictionary
    )
    _learned: list[tuple[int, str]] = field(init=False, default_factory=list)

    async def post(self, body: dict[str, Any], *, stream: bool) -> httpx.Response:
        """Return a response that says success: with its body, or before it if `stream`. Raises `EndpointError`."""
        for status, said in self._learned:
            body = adapted(body, status, said) or body
        client = self._client()
        retry = Retry(
            total=self.retries,
            backoff_factor=self.backoff / 2,  # the library waits twice its factor at first
            backoff_jitter=0.3,  # so that many clients don't retry at the same moment
            max_backoff_wait=MAX_WAIT,
        )
        while True:
            why: httpx.Response | httpx.HTTPError
            try:
                why = response = await client.send(client.build_request("POST", self.url, json=body), stream=True)
                if response.is_success and stream:
                    return response
                try:
                    await response.aread()
                finally:
                    await response.aclose()
                if response.is_success:
                    return response
                said = error_message(response.text)
                if changed := adapted(body, response.status_code, said):
                    self._learned.append((response.status_code, said))
                    body = changed
                    continue
                if response.status_code not in RETRIED or retry.is_exhausted():
                    raise self._refused(response, said, retry)
            except httpx.HTTPError as error:
                if retry.is_exhausted():
                    raise self._unreached(error, retry) from None
                why = error
            retry = retry.increment()
            await retry.asleep(why)

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
            self._clients[loop] = httpx.AsyncClient(
                timeout=self.timeout, headers={**headers, **self.headers}, trust_env=self.trust_env
            )
        return self._clients[loop]

    async def close(self) -> None:
        """Close the connections of the running loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def parsed(self, parse: Callable[[str, str], Chunk], text: str) -> Chunk:
        """Parse what came. Raises `EndpointError`."""
        try:
            return parse(text, self.url)
        except EndpointError as error:
            raise self.error(str(error)) from None

    def _unreached(self, error: httpx.HTTPError, retry: Retry) -> EndpointError:
        tried = _tried(retry)
        if isinstance(error, httpx.TimeoutException):
            return self.error(f"{self.url} did not answer in time; {_RAISE_TIMEOUT}{tried}")
        return self.error(f"can't reach {self.url}: {error or type(error).__name__}{tried}; is it running?")

    def _refused(self, response: httpx.Response, said: str, retry: Retry) -> EndpointError:
        status = response.status_code
        line = f"{self.url} answered {status} {response.reason_phrase}" + (f": {said}" if said else "")
        line += _tried(retry) if status in RETRIED else ""
        wait = response.headers.get("retry-after")
        hints = {
            401: "expected another key" if self.key else f"expected a key: set {KEY_VARIABLE}",
            403: "expected a key that may use this model" if self.key else f"expected a key: set {KEY_VARIABLE}",
            404: f"check the URL (up to the version, as /v1) and the model's name {self.model!r}",
            429: f"it asks to wait {wait}{' seconds' if wait.isdigit() else ''}" if wait else "try again later",
        }
        if response.is_redirect:
            hints[status] = f"use the URL that it redirects to: {response.headers.get('location')}"
        return self.error(f"{line}; {hints[status]}" if status in hints else line)

    def silent(self) -> EndpointError:
        return self.error(f"{self.url} was silent for {self.timeout:g} seconds; {_RAISE_TIMEOUT}")

    def error(self, line: str) -> EndpointError:
        """Return the error that a line describes, without the key."""
        return EndpointError(line.replace(self.key, "***") if self.key else line)


def _tried(retry: Retry) -> str:
    return f" (tried {retry.attempts_made + 1} times)" if retry.attempts_made else ""
