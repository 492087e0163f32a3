"""Rewriting by any OpenAI-compatible endpoint, with the prompt, check and fallback of `rewriting`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SkipValidation

from penchant.compression.budget import Tokenizer, count_tokens
from penchant.compression.check import MIN_COVERAGE
from penchant.compression.factory import CompressorFactory
from penchant.compression.profile import Compressor
from penchant.compression.rewriting import Messages, RewriteError, rewrite_with
from penchant.errors import EndpointError
from penchant.inference.endpoint import Endpoint
from penchant.options import Options
from penchant.text.reasoning import split_reasoning

if TYPE_CHECKING:
    from penchant.marking.resources import Resources

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

    base_url, model, api_key, timeout, retries, backoff: see `Endpoint`. tokenizer: of the model that will read the
    profile. window: tokens of prompt and answer together. context_tokens: tokens of history in the prompt.

    If the endpoint refuses, times out or answers with something unusable, the result is the extractive profile with the
    reason, or with `strict`, an `EndpointError`. A rewriting that fails its check falls back either way. Raises
    `InputError` for a URL that isn't http(s).
    """
    endpoint = Endpoint(base_url, model, api_key=api_key, timeout=timeout, retries=retries, backoff=backoff)

    def ask(messages: Messages, max_tokens: int) -> str:
        try:
            reply = endpoint.complete(messages, max_tokens=max_tokens, temperature=0.0)
        except EndpointError as error:
            if strict:
                raise
            raise RewriteError(str(error)) from None
        return split_reasoning(reply.text).answer

    return rewrite_with(
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
