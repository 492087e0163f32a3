"""Rendering a conversation with a model's own chat template: every message reaches the model, or it is an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from penchant.errors import InputError
from penchant.models.loading import LoadedModel
from penchant.text.control_tokens import bracketed, break_tokens
from penchant.text.reasoning import MARKS

ROLES = {"system": "System", "user": "User", "assistant": "Assistant"}
PLAIN_END = "Assistant:"

Message = dict[str, Any]
"""role: system, user or assistant. content: a text, or for some templates a list of parts."""
Way = Callable[[Sequence[Message]], list[Message]]
"""Writes messages in another form with the same meaning."""

_THOUGHTS = re.compile(r"^.*</\w+>|^.*<\|?channel\|?>final", re.DOTALL)
"""What templates drop of a past answer: the reasoning before it."""


def render_chat(loaded: LoadedModel, messages: Sequence[dict[str, str]], add_generation_prompt: bool = True) -> str:
    """Return the prompt text of a conversation: messages with "role" (system, user, assistant) and "content".

    Uses the tokenizer's chat template. Where it refuses a message or leaves its text out, the messages are given in
    another form: content as a list of parts, consecutive turns of one role as one turn, or a system message before the
    text of the next user turn. A model without a template gets "System: ...\\nUser: ...\\nAssistant:". Special tokens,
    and what else the template writes around turns, are broken up by a space where a content spells them out, so that
    text of a history can't end its turn or start another.

    Raises `InputError` for no messages, an unknown role, and messages that the template refuses or leaves out in every
    form.
    """
    _check(messages)
    messages = [{**message, "content": _defused(loaded, message["content"])} for message in messages]
    if not loaded.tokenizer.chat_template:
        lines = [f"{ROLES[message['role']]}: {message['content']}" for message in messages]
        return "\n".join([*lines, PLAIN_END] if add_generation_prompt else lines)
    template = _template(loaded)
    for form in _forms(loaded, template, messages, add_generation_prompt):
        try:
            text = _apply(loaded, template, form(messages), add_generation_prompt)
        except _RefusedError:  # for what they say, not for their roles
            continue
        if all(_reaches(message["content"], text) for message in messages):
            return text
    reason = _reason(loaded, template, messages, add_generation_prompt)
    raise InputError(f"the chat template of {loaded.name} refuses these messages: {reason}")


class _RefusedError(Exception):
    """A template raised; the message is one line."""


_found: WeakKeyDictionary[Any, dict[tuple[Any, ...], list[Way]]] = WeakKeyDictionary()


def _forms(loaded: LoadedModel, template: str, messages: Sequence[Message], generation: bool) -> list[Way]:
    """Return the forms in which a template lets each of several messages with these roles through, best first. They are
    found with texts that occur nowhere else.
    """
    roles = tuple(message["role"] for message in messages)
    known = _found.setdefault(loaded.tokenizer, {})
    key = (template, roles, generation)
    if key not in known:
        probe = [{"role": role, "content": f"zq{i}qz"} for i, role in enumerate(roles)]
        known[key] = [way for way in _WAYS if _lets_through(loaded, template, way(probe), probe, generation)]
    return known[key]


def _lets_through(
    loaded: LoadedModel, template: str, form: Sequence[Message], probe: Sequence[Message], generation: bool
) -> bool:
    try:
        text = _apply(loaded, template, form, generation)
    except _RefusedError:
        return False
    return all(message["content"] in text for message in probe) and not _PARTS_AS_TEXT.search(text)


_PARTS_AS_TEXT = re.compile(r"""['"]type['"]: ['"]text['"]""")
"""What a template that expects a text makes of a list of parts."""


def _reason(loaded: LoadedModel, template: str, messages: Sequence[Message], generation: bool) -> str:
    try:
        text = _apply(loaded, template, messages, generation)
    except _RefusedError as error:
        return str(error)
    lost = next((message["role"] for message in messages if not _reaches(message["content"], text)), None)
    return f"it leaves out the text of a message with role {lost or messages[0]['role']}"


def _reaches(content: str, prompt: str) -> bool:
    """Whether a text is in the prompt: whole but for white space around it, without the reasoning before an answer, or
    at least a line of it (a template may take out a switch such as "/no_think").
    """
    said = content.strip()
    if said in prompt or _THOUGHTS.sub("", said).strip() in prompt:
        return True
    return any(line.strip() in prompt for line in said.splitlines() if line.strip())


def _as_it_is(messages: Sequence[Message]) -> list[Message]:
    return list(messages)


def _in_parts(messages: Sequence[Message]) -> list[Message]:
    return [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in messages]


def _merged(messages: Sequence[Message]) -> list[Message]:
    """Consecutive turns of one role as one."""
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1]["role"] == message["role"]:
            merged[-1] = {**message, "content": f"{merged[-1]['content']}\n\n{message['content']}"}
        else:
            merged.append(message)
    return merged


def _folded(messages: Sequence[Message], kept: int = 0) -> list[Message]:
    """A system message before the text of the next user turn; behind that of the last one, if none follows. kept: how
    many messages at the beginning stay as they are.
    """
    folded = list(messages[:kept])
    waiting: list[str] = []
    for message in messages[kept:]:
        if message["role"] == "system":
            waiting.append(message["content"])
        elif message["role"] == "user" and waiting:
            folded.append({**message, "content": "\n\n".join([*waiting, message["content"]])})
            waiting = []
        else:
            folded.append(message)
    last = next((i for i in reversed(range(len(folded))) if folded[i]["role"] == "user"), None)
    if waiting and last is not None:
        folded[last] = {**folded[last], "content": "\n\n".join([folded[last]["content"], *waiting])}
    return folded


def _then(*ways: Way) -> Way:
    def way(messages: Sequence[Message]) -> list[Message]:
        for one in ways:
            messages = one(messages)
        return list(messages)

    return way


_ORDERS: tuple[Way, ...] = (_as_it_is, _merged, partial(_folded, kept=1), _folded, _then(_folded, _merged))
_WAYS: tuple[Way, ...] = tuple(way for order in _ORDERS for way in (order, _then(order, _in_parts)))


def _template(loaded: LoadedModel) -> str:
    """Return the template for chats. Raises `InputError` if there are several and none is the default."""
    given: Any = loaded.tokenizer.chat_template
    if not isinstance(given, dict):
        return str(given)
    if "default" in given or len(given) == 1:
        return str(given.get("default") or next(iter(given.values())))
    raise InputError(
        f"the tokenizer of {loaded.name} has the chat templates {', '.join(sorted(given))} and no default: set "
        "loaded.tokenizer.chat_template to one of them, or write it to chat_template.jinja in the model's directory"
    )


def _defused(loaded: LoadedModel, text: str) -> str:
    return break_tokens(text, _control_tokens(loaded))


def _control_tokens(loaded: LoadedModel) -> frozenset[str]:
    """Return the texts that could end a turn or begin another: special tokens, and what the template writes around the
    turns. Some families' role tokens aren't special (DeepSeek), and some are no tokens at all (Llama 2's "[INST]").
    Marks of reasoning aren't among these: templates look for them in past answers.
    """
    tokenizer = loaded.tokenizer
    template = _template(loaded) if tokenizer.chat_template else ""
    known = _controls.setdefault(tokenizer, {})
    key = (template, len(tokenizer))
    if key not in known:
        added = list(tokenizer.added_tokens_decoder.values())
        special = {str(token) for token in tokenizer.all_special_tokens} | {one.content for one in added if one.special}
        around = _around_turns(loaded, template)
        written = bracketed(around) | {one.content for one in added if one.content in around and _is_mark(one.content)}
        known[key] = frozenset(special | (written - MARKS))
    return known[key]


_controls: WeakKeyDictionary[Any, dict[tuple[str, int], frozenset[str]]] = WeakKeyDictionary()


def _is_mark(token: str) -> bool:
    """Whether an added token is no word and no white space (Gemma's runs of line ends)."""
    return bool(token.strip()) and not token.replace(" ", "").isalnum()


def _around_turns(loaded: LoadedModel, template: str) -> str:
    """Return what a template writes around the turns of conversations."""
    around = []
    for roles in (["user", "assistant", "user"], ["system", "user", "assistant", "user"]) if template else ():
        probe = [{"role": role, "content": f"zq{i}qz"} for i, role in enumerate(roles)]
        with suppress(_RefusedError):  # a template without a system prompt, say
            around.append(_apply(loaded, template, probe, True))
    return "\n".join(around)


def _check(messages: Sequence[dict[str, str]]) -> None:
    if not messages:
        raise InputError("no messages: expected at least one with a role and a content")
    for message in messages:
        if message.get("role") not in ROLES or "content" not in message:
            raise InputError(f"a message has role {message.get('role')!r}: expected {', '.join(ROLES)} and a content")


def _apply(loaded: LoadedModel, template: str, messages: Sequence[Message], add_generation_prompt: bool) -> str:
    try:
        text = loaded.tokenizer.apply_chat_template(
            list(messages), chat_template=template, tokenize=False, add_generation_prompt=add_generation_prompt
        )
    except Exception as error:  # a template is a program: with a form that it doesn't expect it may raise anything
        raise _RefusedError(" ".join(str(error).split()) or type(error).__name__) from error
    return str(text)
