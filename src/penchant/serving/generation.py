"""From a client's messages and options to prompts for the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from penchant.inference.answer_row import Grammar
from penchant.inference.generation import prompt_tokens
from penchant.inference.intervention import Intervention
from penchant.inference.sampling import Sampling, own_sampling
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.serving.engine import Prompt
from penchant.serving.errors import ApiError
from penchant.serving.schemas import Sampled

_ROLES = {"developer": "system", "tool": "user", "function": "user"}


def chat_prompt(loaded: LoadedModel, messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the rendered prompt of messages as clients send them: parts of text are joined, "developer" is the system,
    and the results of tools are told by the user. Raises `ApiError` for parts that are no text.
    """
    plain = []
    for number, message in enumerate(messages):
        content = message.get("content")
        if isinstance(content, list):
            odd = next((part for part in content if not isinstance(part.get("text"), str)), None)
            if odd is not None:
                raise ApiError(
                    400,
                    f"messages.{number} has a part of type {odd.get('type')!r:.40}: the local model reads text only",
                    param=f"messages.{number}.content",
                    code="unsupported_content",
                )
            content = "\n".join(part["text"] for part in content)
        if content is None and message.get("tool_calls"):
            continue
        role = str(message["role"])
        plain.append({"role": _ROLES.get(role, role), "content": content or ""})
    return render_chat(loaded, plain)


def prompts_of(
    loaded: LoadedModel,
    rendered: str,
    request: Sampled,
    *,
    max_tokens: int,
    owner: str,
    intervention: Intervention | None = None,
    likeliest: int | None = None,
    grammar: Callable[[], Grammar] | None = None,
) -> list[Prompt]:
    """Return a rendered prompt with a request's options, once for each of its `n` answers, which have seeds of their
    own. owner, intervention: see `Prompt`; likeliest, grammar: see `PromptTokens`. Raises `InputError` for a prompt
    that doesn't fit.
    """
    made = prompt_tokens(loaded, rendered, max_new_tokens=max_tokens, stop=request.stop or ())
    seeds = [request.seed, *(None if request.seed is None else f"{request.seed}/{n}" for n in range(1, request.n or 1))]
    return [
        Prompt(
            replace(made, sampling=_sampling(loaded, request, seed), likeliest=likeliest, grammar=grammar),
            owner,
            intervention,
        )
        for seed in seeds
    ]


def _sampling(loaded: LoadedModel, request: Sampled, seed: int | str | None) -> Sampling:
    own = own_sampling(loaded, temperature=request.temperature, seed=seed)
    return replace(
        own,
        top_p=own.top_p if request.top_p is None else request.top_p,
        top_k=own.top_k if request.top_k is None else request.top_k,
        presence_penalty=request.presence_penalty or 0.0,
        frequency_penalty=request.frequency_penalty or 0.0,
        bias=tuple((request.logit_bias or {}).items()),
    )
