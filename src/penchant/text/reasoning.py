"""Separates a model's answer from the reasoning that it writes before it, whatever marks the reasoning."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

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
_CLOSED_ONLY = re.compile(rf"\A(?P<before>.*)(?<!`)(?:{_any(_CLOSED)})(?!`)", re.DOTALL)
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


class Part(NamedTuple):
    """New text of an answer. kind: what it belongs to."""

    kind: Literal["answer", "reasoning"]
    text: str


class ReasoningSplitter:
    """Separates an answer from its reasoning while it is written: together the parts are what `split_reasoning` says of
    the whole text, without marks. White space, and what may be the beginning of a mark, is held back until more comes.

    opened: the mark that the prompt ends with (`opened_reasoning`). A closing mark that nothing has opened is text:
    what came before it was given out already.
    """

    def __init__(self, opened: str = "") -> None:
        self._held = ""
        self._closing: tuple[str, ...] = ()  # in a trace: the marks that end it
        self._in_header = self._channels = False  # of a message of gpt-oss, until its text begins; in such messages
        self._starts_line = True
        self._blank = {"answer": "", "reasoning": ""}  # white space, until text follows
        self._said: set[str] = set()
        self.add(opened)

    def add(self, piece: str) -> list[Part]:
        """Add text; return what is known to be answer or reasoning now, often nothing."""
        self._held += piece
        parts: list[Part] = []
        while self._advance(parts):
            pass
        return parts

    def finish(self) -> list[Part]:
        """Return what was held back; call it when the answer has ended."""
        parts, rest, self._held = list[Part](), self._held, ""
        if not self._in_header:
            self._give(parts, rest)
        return parts

    def _advance(self, parts: list[Part]) -> bool:
        """Take the text up to the next mark; return whether there was one."""
        if self._in_header:
            return self._read_header()
        if self._closing:
            return self._leave(parts)
        marks = (*_ANYWHERE, *(_MESSAGE_ENDS if self._channels else ()))
        found = [(at, mark) for mark in marks if (at := self._held.find(mark)) >= 0]
        if trace := _AT_LINE.search(self._held, 0 if self._starts_line else self._next_line()):
            found.append((trace.start(), trace.group()))
        if not found:
            self._give(parts, self._released(marks, lines=True))
            return False
        at, mark = min(found)
        self._give(parts, self._held[:at])
        self._held, self._starts_line = self._held[at + len(mark) :], False
        if mark in {"<|channel|>", "<|start|>"}:
            self._in_header = self._channels = True
        elif mark not in marks:
            self._closing = (dict(_PAIRS)[mark.lstrip(" \t")],)
            self._begin("reasoning")
        return True

    def _leave(self, parts: list[Part]) -> bool:
        found = [(at, mark) for mark in self._closing if (at := self._held.find(mark)) >= 0]
        if not found:
            self._give(parts, self._released(self._closing))
            return False
        at, mark = min(found)
        self._give(parts, self._held[:at])
        self._held, self._closing, self._starts_line = self._held[at + len(mark) :], (), False
        self._in_header = mark == "<|start|>"
        return True

    def _read_header(self) -> bool:
        header, mark, rest = self._held.partition("<|message|>")
        if mark:
            final = header.rpartition("<|channel|>")[2].strip().startswith("final")
            self._in_header, self._held, self._closing = False, rest, () if final else _MESSAGE_ENDS
            self._begin("answer" if final else "reasoning")
        return bool(mark)

    def _begin(self, kind: str) -> None:
        """A second trace, or message, stands on a line of its own."""
        if kind in self._said and "\n" not in self._blank[kind]:
            self._blank[kind] += "\n"

    def _next_line(self) -> int:
        return self._held.find("\n") + 1 or len(self._held)

    def _released(self, marks: Iterable[str], *, lines: bool = False) -> str:
        """Return the held text, without an ending that may become one of these marks (lines: or a trace's)."""
        text, keep = self._held, 0
        for mark in marks:
            keep = max(keep, next((n for n in range(len(mark) - 1, 0, -1) if text.endswith(mark[:n])), 0))
        if lines and (self._starts_line or "\n" in text):
            line = text[text.rfind("\n") + 1 :]
            if any(mark.startswith(line.lstrip(" \t")) for mark in _OPENED):
                keep = max(keep, len(line))
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def _give(self, parts: list[Part], text: str) -> None:
        kind: Literal["answer", "reasoning"] = "reasoning" if self._closing else "answer"
        if not self._closing and text:
            self._starts_line = text.endswith("\n")
        said = text.strip()
        if not said:
            self._blank[kind] += text
            return
        before = self._blank[kind] + text[: len(text) - len(text.lstrip())] if kind in self._said else ""
        self._blank[kind] = text[len(text.rstrip()) :]
        self._said.add(kind)
        parts.append(Part(kind, before + said))


_MESSAGE_ENDS = ("<|end|>", "<|return|>", "<|call|>", "<|start|>")
_ANYWHERE = ("<|channel|>", *_DELIMITERS)
_AT_LINE = re.compile(rf"^[ \t]*(?:{_any(_OPENED)})", re.MULTILINE)


def separated(text: str, opened: str = "") -> Reasoned:
    """Return the answer and the reasoning of a whole text, both without marks. opened: see `ReasoningSplitter`."""
    splitter = ReasoningSplitter(opened)
    parts = [*splitter.add(text), *splitter.finish()]
    answer, reasoning = ("".join(one.text for one in parts if one.kind == kind) for kind in ("answer", "reasoning"))
    if closed := _CLOSED_ONLY.match(answer):
        reasoning = "\n".join(one for one in (closed["before"].strip(), reasoning) if one)
        answer = answer[closed.end() :].strip()
    return Reasoned(answer, reasoning)
