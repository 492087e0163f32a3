"""Texts that a model may take for the end of a turn or the beginning of another: they are broken up by a space."""

from __future__ import annotations

import re
from collections.abc import Iterable

_COMMON = re.compile(
    r"<(?=[|｜][^<>\s]{1,60}[|｜]>)"  # <|im_start|>, <|eot_id|>, <｜User｜>
    r"|<(?=/?(?:s|bos|eos|pad|unk|SYS|start_of_turn|end_of_turn|turn)(?:\|)?>)"
    r"|<(?=\|turn>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])"
)
_BRACKETED = re.compile(r"<[^<>\s]{1,60}>|\[/?[A-Z_]{2,30}\]")


def break_tokens(text: str, tokens: Iterable[str]) -> str:
    """Return a text in which none of these tokens is spelled out any more. Tokens of one character stay."""
    for token in sorted(tokens, key=len, reverse=True):
        if len(token) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def break_common_tokens(text: str) -> str:
    """Return a text without the control tokens that chat templates of widespread families have. For a model that isn't
    here: of one that is, `render_chat` knows all.
    """
    return _COMMON.sub(lambda found: f"{found[0]} ", text)


def bracketed(text: str) -> set[str]:
    """Return what stands in a text between angle brackets, or in capitals between square ones: "<|user|>", "[INST]"."""
    return set(_BRACKETED.findall(text))
