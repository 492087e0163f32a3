"""An OpenAI-compatible endpoint that answers: POST {base_url}/chat/completions, whole, streamed, or many at a time."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_sse import EventSource

from penchant.errors import EndpointError, InputError
from penchant.history.dialogue import Finish
from penchant.inference.background import run
from penchant.inference.chat_completions import (
    DONE,
    Assembly,
    Chunk,
    Messages,
    Usage,
    parse_chunk,
    parse_whole,
    request_body,
)
from penchant.inference.endpoint_connection import KEY_VARIABLE, Connection

AT_ONCE = 8  # answers of one call that are asked for at the same time
_PATH = "/chat/completions"


@dataclass(frozen=True)
class Served:
    """Which model of an endpoint gave an answer, under the name that the endpoint gives it, and what it counted."""

    model: str
    base_url: str
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Reply:
    """A whole answer. text: with its reasoning, as `Assembly` marks it."""

    text: str
    finish: Finish
    served: Served


@dataclass(frozen=True, eq=False)
class Endpoint:
    """A model behind an OpenAI-compatible URL. Prompts are sent as messages: its own chat template applies.

    base_url: up to and including the version ("https://host/v1"). model: its name there. api_key: default is the
    environment variable OPENAI_API_KEY; without either, or with "", no key is sent. timeout: seconds that the endpoint
    may be silent. retries: further tries after 408, 429, 5xx or a connection that can't be made; before the n-th one it
    waits up to backoff x 2^(n-1) seconds, with jitter, or as long as Retry-After says, at most 30 seconds. What has
    begun to be streamed isn't tried again. headers: further ones. options: further fields of each request's body
    ("top_p", "stop", "reasoning_effort").

    Everything in a prompt goes to `base_url`: name only an endpoint that you trust with it. Raises `InputError` for a
    URL that isn't http(s), an empty name, a key that no header can hold, or a number out of range.
    """

    base_url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 60.0
    retries: int = 2
    backoff: float = 0.5
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    options: Mapping[str, object] = field(default_factory=dict)
    _connection: Connection = field(init=False, repr=False)

    def __post_init__(self) -> None:
        key = os.environ.get(KEY_VARIABLE, "") if self.api_key is None else self.api_key
        object.__setattr__(self, "api_key", key.strip())
        object.__setattr__(self, "base_url", base_url(self.base_url))
        if not self.model.strip():
            raise InputError(f"no model named for {self.base_url}: expected the name of one that it serves")
        if not key.isascii() or not key.strip().isprintable():
            raise InputError(f"the key for {self.base_url} can't be sent in a header: expected letters, digits, signs")
        if not (self.timeout > 0 and self.retries >= 0 and self.backoff >= 0):
            raise InputError(
                f"timeout {self.timeout}, retries {self.retries}, backoff {self.backoff}: expected a timeout above 0, "
                "the others from 0"
            )
        connection = Connection(
            self.url,
            self.model,
            key.strip(),
            self.timeout,
            self.retries,
            self.backoff,
            self.headers,
            trust_env=not self.loopback,  # a proxy of the environment can't reach this machine
        )
        object.__setattr__(self, "_connection", connection)

    @property
    def url(self) -> str:
        return self.base_url + _PATH

    @property
    def loopback(self) -> bool:
        """Whether the endpoint is on this machine: nothing that is sent to it leaves it."""
        return is_loopback(self.base_url)

    # For callers that wait

    def complete(
        self, messages: Messages, *, max_tokens: int, temperature: float | None = None, seed: int | None = None
    ) -> Reply:
        """Return an answer, asked for in one piece. temperature, seed: None leaves them to the endpoint. Raises
        `EndpointError` if the endpoint can't be reached, refuses, or gives no answer, in one line that says which.
        """
        return run(self.acomplete(messages, max_tokens=max_tokens, temperature=temperature, seed=seed))

    def complete_many(
        self,
        prompts: Sequence[Messages],
        *,
        max_tokens: int,
        temperature: float | None = None,
        seed: int | None = None,
        done: Callable[[int], None] = lambda count: None,
    ) -> list[Reply]:
        """Return the answers to many prompts, a few of which are asked for at a time; each ends as one of `stream`
        does. done: called with the number of answers that are there. The first error ends it.
        """
        asked = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        return run(self._many(prompts, done, asked))

    def stream(
        self, messages: Messages, *, max_tokens: int, temperature: float | None = None, seed: int | None = None
    ) -> EndpointStream:
        """Return an answer as a stream of pieces; see `EndpointStream`, and `complete` for options and errors."""
        return EndpointStream(self, self.chunks(messages, max_tokens=max_tokens, temperature=temperature, seed=seed))

    def close(self) -> None:
        """Close the connections of calls that waited. The endpoint can be used again."""
        run(self.aclose())

    # For asyncio: each loop has connections of its own

    async def acomplete(
        self, messages: Messages, *, max_tokens: int, temperature: float | None = None, seed: int | None = None
    ) -> Reply:
        """Do the same as `complete`, for asyncio."""
        response = await self._post(messages, stream=False, max_tokens=max_tokens, temperature=temperature, seed=seed)
        assembly = Assembly()
        text = assembly.add(self._connection.parsed(parse_whole, response.text))
        return Reply(text, assembly.finish or "stop", self.served(assembly))

    async def chunks(
        self, messages: Messages, *, max_tokens: int, temperature: float | None = None, seed: int | None = None
    ) -> AsyncGenerator[Chunk, None]:
        """Yield the chunks of a streamed answer, to be put together by an `Assembly`, until the endpoint says that it
        is done or the connection ends. Raises `EndpointError` as `complete`, for an error in the stream, and if nothing
        comes for `timeout` seconds.
        """
        response = await self._post(messages, stream=True, max_tokens=max_tokens, temperature=temperature, seed=seed)
        try:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "text/event-stream":  # an endpoint that doesn't stream
                await response.aread()
                yield self._connection.parsed(parse_whole, response.text)
                return
            response.encoding = "utf-8"
            async for event in EventSource(response).aiter_sse():
                if event.data.strip() == DONE:
                    return
                if event.data.strip():
                    yield self._connection.parsed(parse_chunk, event.data)
        except httpx.TimeoutException:
            raise self._connection.silent() from None
        except httpx.HTTPError:
            return  # cut off: without a reason to finish, the answer counts as broken
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Do the same as `close`, for the running loop."""
        await self._connection.close()

    def served(self, assembly: Assembly) -> Served:
        return Served(assembly.model or self.model, self.base_url, assembly.usage or Usage())

    async def _many(
        self, prompts: Sequence[Messages], done: Callable[[int], None], asked: Mapping[str, Any]
    ) -> list[Reply]:
        free, count = asyncio.Semaphore(AT_ONCE), 0

        async def answer(messages: Messages) -> Reply:
            nonlocal count
            assembly, text = Assembly(), ""
            async with free:
                chunks = self.chunks(messages, **asked)
                try:
                    async for chunk in chunks:
                        text += assembly.add(chunk)
                        if assembly.finish == "repetition":
                            break
                finally:
                    await chunks.aclose()
            assembly.end(self.url)
            count += 1
            done(count)
            return Reply(text, assembly.finish or "broken", self.served(assembly))

        tasks = [asyncio.ensure_future(answer(messages)) for messages in prompts]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _post(self, messages: Messages, *, stream: bool, **asked: Any) -> httpx.Response:
        body = request_body(self.model, messages, stream=stream, options=self.options, **asked)
        return await self._connection.post(body, stream=stream)


class EndpointStream(Iterator[str]):
    """Yields the pieces of one answer, reasoning first, as `Assembly` marks it. finish: why it ended (None: it hasn't):
    also "repetition" when it repeats itself, and "broken" if the stream ended without saying why or with an error.

    The answer is asked for when the first piece is. Raises as `Endpoint.chunks`, and `EndpointError` for a stream that
    ends before anything was said. Closing it ends the connection, and a server's work on the answer.
    """

    def __init__(self, endpoint: Endpoint, chunks: AsyncGenerator[Chunk, None]) -> None:
        self._endpoint, self._chunks = endpoint, chunks
        self._assembly, self._over = Assembly(), False

    @property
    def finish(self) -> Finish | None:
        return self._assembly.finish if self._over else None

    @property
    def served(self) -> Served:
        """Which model answers; complete once the stream has ended."""
        return self._endpoint.served(self._assembly)

    def __next__(self) -> str:
        while not self._over:
            if self._assembly.finish == "repetition":
                self.close()
                break
            try:
                chunk = run(_next(self._chunks))
                if chunk is None:
                    self._over = True
                    self._assembly.end(self._endpoint.url)
                    break
            except EndpointError:
                self._over = True
                if self._assembly.finish is None:
                    self._assembly.finish = "broken"
                    raise
                break  # the answer itself was complete
            except BaseException:  # interrupted: the coroutine was cancelled, and closed its connection
                self._over = True
                raise
            if text := self._assembly.add(chunk):
                return text
        raise StopIteration

    def close(self) -> None:
        """End the answer."""
        if not self._over:
            self._over = True
            run(self._chunks.aclose())


def is_loopback(url: str) -> bool:
    """Whether a URL is on this machine."""
    try:
        host = httpx.URL(url).host
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    except httpx.InvalidURL:
        return False


async def _next(chunks: AsyncGenerator[Chunk, None]) -> Chunk | None:
    return await anext(chunks, None)


def base_url(given: str) -> str:
    """Return a base URL without what doesn't belong to it. Raises `InputError` for what is none."""
    base = given.strip().rstrip("/").removesuffix(_PATH).rstrip("/")
    url = None
    with suppress(httpx.InvalidURL):  # refused below, like any other that is none
        url = httpx.URL(base)
    if url is None or url.scheme not in ("http", "https") or not url.host:
        raise InputError(f"endpoint {given!r} is not a URL: expected http://... or https://... up to the version")
    if url.userinfo or url.query or url.fragment:
        raise InputError("the endpoint's URL holds a password, a query or a fragment: expected it up to the version")
    return base
