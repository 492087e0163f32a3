"""The prompt-cache contract: where the profile stands in a client's messages.

1. Every message of the client but the newest user turn keeps its bytes: the system prompt, past turns on both sides,
   and whatever comes after the newest user turn (tool calls and their results).
2. The profile stands in the newest user turn, before its text. Its form depends on the profile alone: an unchanged
   profile is the same bytes.
3. Past turns have no profile: they are what the client sent. So a prompt has in common with the one before it
   everything up to the turn that was the newest one then.
4. Without a profile the messages are the client's, unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penchant.conversation.prompt_rendering import ABOUT_HEADING, TURN_SEPARATOR, USE_NOTES
from penchant.text.control_tokens import break_common_tokens

TOOL_RESULT = "tool_result"
Message = Mapping[str, Any]
"""A message as the client sent it."""


def newest_user_turn(messages: Sequence[Message]) -> int | None:
    """Return the position of the newest user turn; None: there is none. A turn that only holds results of tools, as in
    Anthropic's API, is none.
    """
    return next((at for at in reversed(range(len(messages))) if _is_user_turn(messages[at])), None)


def with_profile(messages: Sequence[Message], profile: str) -> list[dict[str, Any]]:
    """Return the messages with a profile beside the newest user turn, by the rules above. Control tokens in the profile
    are broken up: whoever renders the messages may take them for the end of the turn.
    """
    out, at = [dict(one) for one in messages], newest_user_turn(messages)
    if at is None or not profile.strip():
        return out
    about = f"{ABOUT_HEADING}\n{break_common_tokens(profile.strip())}\n{USE_NOTES}"
    content = messages[at].get("content")
    if isinstance(content, list):
        # Results of tools have to stand first in a turn of Anthropic's API.
        first = next((at for at, part in enumerate(content) if _kind(part) != TOOL_RESULT), len(content))
        out[at]["content"] = [*content[:first], {"type": "text", "text": about}, *content[first:]]
    else:
        out[at]["content"] = f"{about}{TURN_SEPARATOR}{content or ''}"
    return out


def _is_user_turn(message: Message) -> bool:
    content = message.get("content")
    only_results = isinstance(content, list) and bool(content) and all(_kind(part) == TOOL_RESULT for part in content)
    return message.get("role") == "user" and not only_results


def _kind(part: Any) -> Any:
    return part.get("type") if isinstance(part, Mapping) else None
