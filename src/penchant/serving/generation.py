"""From a request's options to a prompt for the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from penchant.inference.answer_row import PromptTokens
from penchant.inference.generation import prompt_tokens
from penchant.inference.sampling import Sampling, own_sampling
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
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
            odd = next((part.get("type") for part in content if not isinstance(part.get("text"), str)), None)
            if odd is not None:
                raise ApiError(
                    400,
                    f"messages.{number} has a part of type {odd!r}: the local model reads text only",
                    param=f"messages.{number}.content",
                    code="unsupported_content",
                )
            content = "\n".join(part["text"] for part in content)
        if content is None and message.get("tool_calls"):
            continue
        role = str(message["role"])
        plain.append({"role": _ROLES.get(role, role), "content": content or ""})
    return render_chat(loaded, plain)


def tokens_of(
    loaded: LoadedModel, prompt: str, request: Sampled, *, max_tokens: int, likeliest: int | None = None, row: int = 0
) -> PromptTokens:
    """Return a rendered prompt with a request's options. row: which of its `n` answers; each has a seed of its own.

    Raises `InputError` for a prompt that doesn't fit.
    """
    seed = request.seed if request.seed is None or not row else f"{request.seed}/{row}"
    made = prompt_tokens(
        loaded, prompt, max_new_tokens=max_tokens, sampling=_sampling(loaded, request, seed), stop=request.stop or ()
    )
    return replace(made, likeliest=likeliest)


def _sampling(loaded: LoadedModel, request: Sampled, seed: int | str | None) -> Sampling:
    own = own_sampling(loaded, temperature=request.temperature, seed=seed)
    return replace(
        own,
        top_p=own.top_p if request.top_p is None else request.top_p,
        presence_penalty=request.presence_penalty or 0.0,
        frequency_penalty=request.frequency_penalty or 0.0,
        bias=tuple((request.logit_bias or {}).items()),
    )
