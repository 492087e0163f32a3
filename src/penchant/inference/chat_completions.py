"""What travels between a client and an OpenAI-compatible endpoint, as data: requests, answers, streams, errors. Nothing
here sends or waits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penchant.errors import EndpointError
from penchant.history.dialogue import Finish
from penchant.text.repetition import Repetition
from penchant.text.unicode import replace_surrogates

Messages = Sequence[Mapping[str, str]]
DONE = "[DONE]"
"""The last data of a stream."""

# Names that servers give beside OpenAI's; any other says that the model had said all.
_FINISHES: dict[str, Finish] = {
    **dict.fromkeys(("length", "max_tokens", "max_length", "model_length"), "length"),
    **dict.fromkeys(("content_filter", "safety", "recitation"), "filtered"),
    **dict.fromkeys(("error", "abort", "cancelled"), "broken"),
}
_REASONING = ("reasoning_content", "reasoning")  # SGLang, llama.cpp, DeepSeek; vLLM, Ollama, OpenRouter
_OPEN, _CLOSE = "<think>\n", "\n</think>\n\n"


@dataclass(frozen=True)
class Usage:
    """Tokens, as the endpoint counted them; None: it didn't say. cached: tokens of the prompt that it didn't have to
    read again.
    """

    prompt: int | None = None
    answer: int | None = None
    cached: int | None = None


@dataclass(frozen=True)
class Chunk:
    """A piece of a stream, or a whole answer. finish: None if it goes on. model: the name under which it was given."""

    text: str = ""
    reasoning: str = ""
    finish: Finish | None = None
    usage: Usage | None = None
    model: str | None = None


def request_body(
    model: str,
    messages: Messages,
    *,
    stream: bool,
    max_tokens: int,
    temperature: float | None,
    seed: int | None,
    options: Mapping[str, object],
) -> dict[str, Any]:
    """Return the body of a request. temperature, seed: None leaves them to the endpoint. options: further fields."""
    body: dict[str, Any] = {
        "model": model,
        "messages": replace_surrogates([dict(message) for message in messages]),
        "max_tokens": max_tokens,
    }
    body |= {name: value for name, value in (("temperature", temperature), ("seed", seed)) if value is not None}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return {**body, **options}


def adapted(body: Mapping[str, Any], status: int, said: str) -> dict[str, Any] | None:
    """Return a body that an endpoint may take after it has refused a field of `body`; None if there is none.

    OpenAI's reasoning models want `max_completion_tokens`, which other servers don't know, and older servers refuse
    `stream_options`.
    """
    if status not in (400, 422):
        return None
    if "max_tokens" in body and "max_completion_tokens" in said:
        renamed = {"max_tokens": "max_completion_tokens"}
        return {renamed.get(name, name): value for name, value in body.items()}
    if "stream_options" in body and "stream_options" in said:
        return {name: value for name, value in body.items() if name != "stream_options"}
    return None


def parse_chunk(text: str, url: str) -> Chunk:
    """Read the data of one event of a stream. Raises `EndpointError` for an error, and for what is no chunk."""
    data = _object(text, url, "choices[0].delta")
    choices = data.get("choices")
    if not isinstance(choices, list):
        raise EndpointError(f"{url} sent no chat completion: expected choices[0].delta, got {_short(text)!r}")
    choice = choices[0] if choices and isinstance(choices[0], dict) else {}
    part = choice.get("delta")
    return _chunk(data, choice, part if isinstance(part, dict) else {})


def parse_whole(text: str, url: str) -> Chunk:
    """Read an answer that was given in one piece. Raises `EndpointError` for an error, and for what is none."""
    data = _object(text, url, "choices[0].message.content")
    try:
        choice = data["choices"][0]
        part = choice["message"]
        content = part["content"] if part.get("content") is not None else part.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError):
        expected = "choices[0].message.content"
        raise EndpointError(f"{url} gave no chat completion: expected {expected}, got {_short(text)!r}") from None
    found = _chunk(data, choice, part)
    if not isinstance(content, str | list) and not found.reasoning:
        raise EndpointError(f"{url} gave an answer that isn't text: {content!r:.100}")
    return found if found.finish else replace(found, finish="stop")


def error_message(body: str) -> str:
    """Return what the body of an error says, in whatever form, on one line."""
    try:
        data = json.loads(body)
    except ValueError:
        return "" if "<html" in body[:1000].lower() else _short(body)
    return _short(_said(data))


class Assembly:
    """Puts the chunks of one answer together. finish: why it ended (None: it hasn't). usage, model: as in `Chunk`.
    Reasoning that comes beside the text is put before it, between `<think>` and `</think>`.
    """

    def __init__(self) -> None:
        self.finish: Finish | None = None
        self.usage: Usage | None = None
        self.model: str | None = None
        self.empty = True
        self._thinking = False
        self._repetition = Repetition()

    def add(self, chunk: Chunk) -> str:
        """Return the text that a chunk adds. An answer that repeats itself has ended with it."""
        self.usage, self.model = chunk.usage or self.usage, chunk.model or self.model
        text = chunk.reasoning
        if text and not self._thinking:
            self._thinking, text = True, ("" if self.empty else "\n") + _OPEN + text
        if chunk.text:
            text += (_CLOSE if self._thinking else "") + chunk.text
            self._thinking = False
        self.empty = self.empty and not text
        if self.finish is None:
            self.finish = "repetition" if self._repetition.add(text) else chunk.finish
        return text

    def end(self, url: str) -> None:
        """Note that the stream has ended. Raises `EndpointError` if it ended before anything was said."""
        if self.finish is None and self.empty:
            raise EndpointError(f"{url} ended its stream without an answer: try again, or look into its log")
        self.finish = self.finish or "broken"


def _object(text: str, url: str, expected: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise EndpointError(f"{url} gave no chat completion: expected {expected}, got {_short(text)!r}")
    if data.get("error"):
        raise EndpointError(f"{url} gave an error: {_short(_said(data))}")
    return data


def _chunk(data: dict[str, Any], choice: dict[str, Any], part: dict[str, Any]) -> Chunk:
    text, reasoning = _parts(part.get("content"))
    if not text and isinstance(part.get("refusal"), str):
        text = part["refusal"]
    reasoning = reasoning or next((part[key] for key in _REASONING if part.get(key) and isinstance(part[key], str)), "")
    named, why = data.get("model"), choice.get("finish_reason")
    return Chunk(
        text,
        reasoning,
        _FINISHES.get(why.lower(), "stop") if isinstance(why, str) else None,
        _usage(data.get("usage")),
        named if isinstance(named, str) and named else None,
    )


def _parts(content: object) -> tuple[str, str]:
    """Return the text and the reasoning of a content: a text, or a list of parts (Mistral)."""
    if isinstance(content, str):
        return content, ""
    text = reasoning = ""
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict):
            text += part["text"] if isinstance(part.get("text"), str) else ""
            thought = part.get("thinking")
            reasoning += thought if isinstance(thought, str) else _parts(thought)[0]
    return text, reasoning


def _usage(given: object) -> Usage | None:
    if not isinstance(given, dict):
        return None
    details = given.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else given.get("prompt_cache_hit_tokens")
    return Usage(*(_count(one) for one in (given.get("prompt_tokens"), given.get("completion_tokens"), cached)))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _said(data: object) -> str:
    """Return the message of an error: {"error": {"message": ...}} (OpenAI), {"error": text}, {"message": ...},
    {"detail": ...} (FastAPI), or all of it.
    """
    if isinstance(data, list) and len(data) == 1:  # Gemini
        data = data[0]
    for key in ("error", "message", "detail"):
        if isinstance(data, dict) and data.get(key):
            return _said(data[key])
    return data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)


def _short(text: str) -> str:
    return " ".join(text.split())[:200]
