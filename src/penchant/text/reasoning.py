"""Separates a model's answer from the reasoning that it writes before it, whatever marks the reasoning."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAMES = ("think", "thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad", "seed:think")
_PAIRS = (
    *((f"<{name}>", f"</{name}>") for name in _NAMES),
    ("[THINK]", "[/THINK]"),  # Mistral
    ("◁think▷", "◁/think▷"),  # Kimi
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Cohere
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    ("<|channel>thought", "<channel|>"),  # Gemma 4
    ("Here is my thought process:", "Here is my response:"),  # Granite 3.2
)
_DELIMITERS = ("<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>")
_HARMONY = ("<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>", "<|call|>", "<|constrain|>")  # gpt-oss


def _any(texts: tuple[str, ...]) -> str:
    return "|".join(map(re.escape, texts))


_OPENED = tuple(opened for opened, _ in _PAIRS)
_CLOSED = tuple(closed for _, closed in _PAIRS)
# A trace begins a text or a line; marks in the middle of a sentence, or in code, are talked about.
_TRACE = re.compile(
    "|".join(rf"^[ \t]*{re.escape(opened)}.*?(?:{re.escape(closed)}|\Z)" for opened, closed in _PAIRS),
    re.DOTALL | re.MULTILINE,
)
_CLOSED_ONLY = re.compile(rf"\A.*(?<!`)(?:{_any(_CLOSED)})(?!`)", re.DOTALL)
_OPENED_LAST = re.compile(rf"(?:{_any(_OPENED)})\s*\Z")
_MESSAGE = re.compile(
    r"<\|channel\|>\s*(?P<channel>\w*).*?<\|message\|>(?P<text>.*?)(?=<\|(?:end|return|call|start)\|>|\Z)", re.DOTALL
)

MARKS = frozenset([*_OPENED, *_CLOSED, *_DELIMITERS, *_HARMONY, "<|channel>"])
"""Tokens that mark reasoning. Many are special tokens: they are kept when an answer is decoded."""


class Reasoned(NamedTuple):
    """answer: what the model said to the user. reasoning: what it wrote before, with its marks ("": nothing)."""

    answer: str
    reasoning: str


def split_reasoning(text: str) -> Reasoned:
    """Separate an answer from its reasoning: `<think>` and its relatives, closed or not; with a closing mark alone
    (the chat template wrote the opening one), everything before it; and gpt-oss' channels, of which only "final" is
    the answer. An answer that ended while the model was reasoning is empty. Both parts are trimmed.
    """
    if "<|channel|>" in text:
        messages = list(_MESSAGE.finditer(text))
        answer = "\n".join(one["text"].strip() for one in messages if one["channel"] == "final")
        first = next((one.start() for one in messages if one["channel"] == "final"), len(text))
        return Reasoned(answer.strip(), text[:first].removesuffix("<|start|>assistant").strip())
    traces = [match.group() for match in _TRACE.finditer(text)]
    rest = _TRACE.sub("", text) if traces else text
    if closed := _CLOSED_ONLY.match(rest):
        traces.insert(0, closed.group())
        rest = rest[closed.end() :]
    for mark in _DELIMITERS:
        rest = rest.replace(mark, "")
    return Reasoned(rest.strip(), "\n".join(traces).strip())


def opened_reasoning(prompt: str) -> str:
    """Return the opening mark at the end of a prompt whose template begins the reasoning; "" if there is none. Put
    before the answer, it shows which part of it is reasoning.
    """
    found = _OPENED_LAST.search(prompt)
    return found.group() if found else ""
