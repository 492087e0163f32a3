"""Rewriting by any OpenAI-compatible endpoint, with the prompt, check and fallback of `rewriting`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import httpx
from httpx_retries import Retry, retry_request
from pydantic import SkipValidation

from penchant.compression.budget import Tokenizer, count_tokens
from penchant.compression.check import MIN_COVERAGE
from penchant.compression.factory import CompressorFactory
from penchant.compression.profile import Compressor, Profile
from penchant.compression.rewriting import Messages, RewriteError, rewrite_with
from penchant.errors import EndpointError, InputError
from penchant.history.records import History, Request
from penchant.marking.marks import Marks
from penchant.options import Options

if TYPE_CHECKING:
    from penchant.marking.resources import Resources

KEY_VARIABLE = "OPENAI_API_KEY"
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
MAX_WAIT = 30.0  # seconds; limits what the endpoint may ask for
TEMPLATE_TOKENS = 8  # per message: role markers of an unknown chat template


def remote(
    base_url: str,
    model: str,
    tokenizer: Tokenizer,
    *,
    api_key: str | None = None,
    timeout: float = 60.0,
    retries: int = 3,
    backoff: float = 0.5,
    strict: bool = False,
    window: int = 32_768,
    context_tokens: int | None = 8_192,
    alpha: float = 0.3,
    min_coverage: float = MIN_COVERAGE,
    dates: bool = True,
) -> Compressor:
    """Make a compressor that lets a remote model rewrite the marked history: POST {base_url}/chat/completions.

    The marked history leaves this machine: use only an endpoint that you trust with it, and lower `context_tokens` to
    send less.

    base_url: up to and including the version ("https://host/v1"). tokenizer: of the model that will read the profile.
    api_key: default is the environment variable OPENAI_API_KEY; without either, no key is sent. timeout: seconds per
    try. retries: further tries after 408, 429, 5xx or a broken connection; before the n-th one it waits up to backoff x
    2^(n-1) seconds, with jitter, or as long as Retry-After says, at most 30 seconds. window: tokens of prompt and
    answer together. context_tokens: tokens of history in the prompt.

    If the endpoint refuses, times out or answers with something unusable, the result is the extractive profile with the
    reason, or with `strict`, an `EndpointError`. A rewriting that fails its check falls back either way. Raises
    `InputError` for a URL that isn't http(s).
    """
    if not base_url.startswith(("http://", "https://")):
        raise InputError(f"endpoint {base_url!r} is not a URL: expected http://... or https://... up to the version")
    url = f"{base_url.rstrip('/')}/chat/completions"
    retry = Retry(
        total=retries,
        allowed_methods=["POST"],
        status_forcelist=RETRIED,
        retry_on_exceptions=[httpx.HTTPError],
        backoff_factor=backoff / 2,  # the library waits twice its factor at first
        backoff_jitter=0.3,  # so that many clients don't retry at the same moment
        max_backoff_wait=MAX_WAIT,
    )
    key = api_key if api_key is not None else os.environ.get(KEY_VARIABLE, "")

    def compress(history: History, request: Request, marks: Marks, budget: int) -> Profile:
        with httpx.Client(timeout=timeout, headers={"Authorization": f"Bearer {key}"} if key else {}) as client:

            def ask(messages: Messages, max_tokens: int) -> str:
                body = {"model": model, "messages": messages, "max_tokens": max_tokens, "temperature": 0}
                try:
                    return _content(_post(client, url, body, retry))
                except EndpointError as error:
                    reason = str(error).replace(key, "***") if key else str(error)
                    if strict:
                        raise EndpointError(reason) from None
                    raise RewriteError(reason) from None

            rewrite = rewrite_with(
                ask,
                name="remote",
                tokenizer=tokenizer,
                reader=tokenizer,
                window=window,
                measure=lambda messages: sum(count_tokens(tokenizer, m["content"]) + TEMPLATE_TOKENS for m in messages),
                alpha=alpha,
                min_coverage=min_coverage,
                dates=dates,
                context_tokens=context_tokens,
            )
            return rewrite(history, request, marks, budget)

    return compress


def _post(client: httpx.Client, url: str, body: dict[str, object], retry: Retry) -> httpx.Response:
    """Return the first successful response. Raises `EndpointError` if all tries fail or the error is final."""
    tried = f" (tried {retry.total + 1} times)" if retry.total else ""
    try:
        response = retry_request(client, "POST", url, json=body, retry=retry)
    except httpx.TimeoutException:
        raise EndpointError(f"{url} did not answer in time; raise the timeout or check the endpoint{tried}") from None
    except httpx.HTTPError as error:
        raise EndpointError(f"can't reach {url}: {error or type(error).__name__}{tried}") from None
    if response.is_success:
        return response
    said = " ".join(response.text.split())[:200]
    tried = tried if response.status_code in RETRIED else ""
    raise EndpointError(f"{url} answered {response.status_code} {response.reason_phrase}: {said}{tried}")


def _content(response: httpx.Response) -> str:
    try:
        content = response.json()["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        said = " ".join(response.text.split())[:100]
        raise EndpointError(
            f"{response.url} gave no chat completion: expected choices[0].message.content, got {said!r}"
        ) from None
    if not isinstance(content, str):
        raise EndpointError(f"{response.url} gave an answer that isn't text: {content!r}")
    return content


class RemoteOptions(Options):
    """Options of `remote`. endpoint_model: the model's name at the endpoint. tokenizer: default the model's own."""

    base_url: str
    endpoint_model: str
    tokenizer: SkipValidation[Tokenizer | None] = None
    api_key: str | None = None
    timeout: float = 60.0
    retries: int = 3
    backoff: float = 0.5
    strict: bool = False
    window: int = 32_768
    context_tokens: int | None = 8_192
    alpha: float = 0.3
    min_coverage: float = MIN_COVERAGE
    dates: bool = True


def _make(resources: Resources, options: RemoteOptions) -> Compressor:
    given = dict(options)
    url, model, tokenizer = (given.pop(name) for name in ("base_url", "endpoint_model", "tokenizer"))
    return remote(url, model, tokenizer or resources.loaded.tokenizer, **given)


COMPRESSOR = CompressorFactory("The same by a remote model: POST {base_url}/chat/completions", _make, RemoteOptions)
