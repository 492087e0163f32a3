"""Rendering a conversation with a model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import TemplateError

from penchant.errors import InputError
from penchant.models.loading import LoadedModel

ROLES = {"system": "System", "user": "User", "assistant": "Assistant"}
PLAIN_END = "Assistant:"


def render_chat(loaded: LoadedModel, messages: Sequence[dict[str, str]], add_generation_prompt: bool = True) -> str:
    """Return the prompt text of a conversation: messages with "role" (system, user, assistant) and "content".

    Uses the tokenizer's chat template; if the template refuses a system message, its text is put before the first user
    message. A model without a template gets "System: ...\\nUser: ...\\nAssistant:". Special tokens spelled out in a
    content are broken up by a space, so that text of a history can't end its turn or start another.

    Raises `InputError` for no messages, an unknown role, or an order that the template refuses.
    """
    _check(messages)
    messages = [{**message, "content": _defused(loaded, message["content"])} for message in messages]
    if not loaded.tokenizer.chat_template:
        lines = [f"{ROLES[message['role']]}: {message['content']}" for message in messages]
        return "\n".join([*lines, PLAIN_END] if add_generation_prompt else lines)
    try:
        return _apply(loaded, messages, add_generation_prompt)
    except TemplateError as error:
        folded = _fold_system(messages)
        if len(folded) == len(messages):
            raise InputError(f"the chat template of {loaded.name} refuses these messages: {error}") from error
    try:
        return _apply(loaded, folded, add_generation_prompt)
    except TemplateError as error:
        raise InputError(f"the chat template of {loaded.name} refuses these messages: {error}") from error


def _defused(loaded: LoadedModel, text: str) -> str:
    tokenizer = loaded.tokenizer
    special = {str(token) for token in tokenizer.all_special_tokens}
    special |= {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    for token in sorted(special, key=len, reverse=True):
        if len(token) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def _check(messages: Sequence[dict[str, str]]) -> None:
    if not messages:
        raise InputError("no messages: expected at least one with a role and a content")
    for message in messages:
        if message.get("role") not in ROLES or "content" not in message:
            raise InputError(f"a message has role {message.get('role')!r}: expected {', '.join(ROLES)} and a content")


def _apply(loaded: LoadedModel, messages: Sequence[dict[str, str]], add_generation_prompt: bool) -> str:
    text = loaded.tokenizer.apply_chat_template(
        list(messages), tokenize=False, add_generation_prompt=add_generation_prompt
    )
    return str(text)


def _fold_system(messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
    rest = [dict(message) for message in messages if message["role"] != "system"]
    if system and rest and rest[0]["role"] == "user":
        rest[0]["content"] = f"{system}\n\n{rest[0]['content']}"
        return rest
    return list(messages)
