"""Anthropic's Messages: a request in the form of chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from penchant.serving.errors import ApiError
from penchant.serving.schemas import ChatRequest, Message, PenchantOptions

FIELDS = {"response_format": "output_config.format", "stop": "stop_sequences"}
"""Fields of chat completions, and what they are called here."""
_LEFT_OUT = {"thinking", "redacted_thinking"}
"""Blocks of past turns that no prompt holds."""


class InputMessage(BaseModel):
    """A message. content: a text, or blocks."""

    model_config = ConfigDict(extra="allow")

    role: Literal["user", "assistant", "system"]
    content: str | list[dict[str, Any]]


class CountRequest(BaseModel):
    """A body of `/v1/messages/count_tokens`."""

    model_config = ConfigDict(extra="allow")

    messages: Annotated[list[InputMessage], Field(min_length=1)]
    model: str | None = None
    system: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    output_format: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    user: str | dict[str, Any] | None = None
    penchant: PenchantOptions | None = None


class MessagesRequest(CountRequest):
    """A body of `/v1/messages`."""

    max_tokens: Annotated[int, Field(ge=1)]
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    seed: int | None = None


def to_chat(body: CountRequest) -> ChatRequest:
    """Return the chat completion that a request is. Raises `ApiError` for blocks that are no text, and for an answer
    that is to be continued.
    """
    if body.messages[-1].role == "assistant":
        raise ApiError(
            400,
            "the last message is the assistant's: answers aren't continued here; end with the user's message",
            param="messages",
            code="unsupported",
        )
    messages = [Message(role="system", content=_texts(body.system, "system"))] if body.system else []
    for number, one in enumerate(body.messages):
        messages += _messages(one, f"messages.{number}.content")
    asked: dict[str, Any] = {"messages": messages, "model": body.model, "penchant": body.penchant}
    asked |= {"tools": body.tools, "tool_choice": body.tool_choice, "response_format": _format(body)}
    if isinstance(body, MessagesRequest):
        asked |= {"max_tokens": body.max_tokens, "stop": body.stop_sequences, "temperature": body.temperature}
        asked |= {"top_p": body.top_p, "top_k": body.top_k, "seed": body.seed}
    return ChatRequest.model_construct(**asked)


def _messages(one: InputMessage, place: str) -> list[Message]:
    """Return a message as chat completions have it: results of tools are messages of their own, before its text."""
    if isinstance(one.content, str):
        return [Message(role=one.role, content=one.content)]
    found, texts = list[Message](), list[dict[str, Any]]()
    for number, block in enumerate(one.content):
        kind, here = block.get("type"), f"{place}.{number}"
        if kind == "text":
            texts += _texts([block], here)
        elif kind == "tool_result":
            found.append(Message(role="tool", content=_texts(block.get("content") or "", f"{here}.content")))
        elif kind == "tool_use":
            found.append(Message.model_validate({"role": "assistant", "content": None, "tool_calls": [block]}))
        elif kind not in _LEFT_OUT:
            raise _no_text(kind, here)
    return [*found, Message(role=one.role, content=texts)] if texts else found


def _texts(given: Any, place: str) -> Any:
    """Return a text, or the parts of blocks of text without what says how they are cached."""
    if isinstance(given, str):
        return given
    if not isinstance(given, list):
        raise _no_text(type(given).__name__, place)
    odd = next((one for one in given if not isinstance(one, Mapping) or not isinstance(one.get("text"), str)), None)
    if odd is not None:
        raise _no_text(odd.get("type") if isinstance(odd, Mapping) else odd, place)
    return [{"type": "text", "text": one["text"]} for one in given]


def _format(body: CountRequest) -> dict[str, Any] | None:
    given = (body.output_config or {}).get("format") or body.output_format
    if not isinstance(given, Mapping) or given.get("type") != "json_schema":
        return dict(given) if isinstance(given, Mapping) else None
    return {"type": "json_schema", "json_schema": {"name": "output", "schema": given.get("schema", {})}}


def _no_text(kind: Any, place: str) -> ApiError:
    message = f"{place} has the type {kind!r:.60}: the local model reads text only"
    return ApiError(400, message, param=place, code="unsupported_content")
