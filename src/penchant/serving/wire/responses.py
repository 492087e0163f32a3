"""OpenAI's Responses: a request in the form of chat completions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from penchant.serving.errors import ApiError
from penchant.serving.schemas import ChatRequest, Message, PenchantOptions

FIELDS = {"messages": "input", "response_format": "text.format", "max_completion_tokens": "max_output_tokens"}
"""Fields of chat completions, and what they are called here."""
LOGPROBS = "message.output_text.logprobs"
"""What `include` names to get log probabilities."""

Item = Mapping[str, Any]
"""An item of the input, as the client sent it."""
Resolve = Callable[[str], str]
"""Returns the text of a stored answer, by its item's id."""


class ResponsesRequest(BaseModel):
    """A body of `/v1/responses`."""

    model_config = ConfigDict(extra="allow")

    input: Annotated[str | list[dict[str, Any]], Field(min_length=1)]
    model: str | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    store: bool | None = None
    stream: bool | None = None
    background: bool | None = None
    prompt: dict[str, Any] | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    seed: int | None = None
    include: list[str] | None = None
    text: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    metadata: dict[str, Any] | None = None
    user: str | dict[str, Any] | None = None
    penchant: PenchantOptions | None = None

    @property
    def items(self) -> list[Item]:
        """The input as items."""
        return [{"role": "user", "content": self.input}] if isinstance(self.input, str) else list(self.input)

    def with_conversation(self) -> Self:
        """Return the request with the conversation that `penchant` names as its own."""
        options = self.penchant
        if options is None or options.conversation is None:
            return self
        given = {"penchant": options.model_copy(update={"conversation": None})}
        return self.model_copy(update={**given, "conversation": options.conversation})

    @property
    def newest(self) -> str:
        """The text of the newest user turn ("": there is none)."""
        content = next((one.get("content") for one in reversed(self.items) if one.get("role") == "user"), None)
        if not isinstance(content, list):
            return content if isinstance(content, str) else ""
        texts = (part.get("text") for part in content if isinstance(part, dict))
        return "\n".join(text for text in texts if isinstance(text, str))

    def check(self) -> None:
        """Raise `ApiError` for what the server doesn't do."""
        if self.background:
            raise _unsupported("background", "answers are given while the client waits: leave it out, or stream")
        if self.prompt is not None:
            raise _unsupported("prompt", "no templates are stored here: send the text as instructions and input")
        if self.conversation is not None and self.previous_response_id is not None:
            raise ApiError(
                400,
                "conversation and previous_response_id both say what goes on: send one of them",
                param="conversation",
                code="invalid_value",
            )


@dataclass(frozen=True)
class Given:
    """A message of the input. item: the id that the client gives it."""

    message: Message
    item: str | None = None


def messages_of(items: list[Item], resolve: Resolve) -> list[Given]:
    """Return the messages that items of an input are. Reasoning is left out. Raises `ApiError` for items that are no
    text, and what `resolve` raises for references to unknown items.
    """
    found = []
    for number, item in enumerate(items):
        kind, place, name = item.get("type", "message"), f"input.{number}", str(item.get("id") or "")
        if kind == "message":
            found.append(Given(_message(item, place), name or None))
        elif kind == "item_reference" and name.startswith("msg_"):
            found.append(Given(Message(role="assistant", content=resolve(name)), name))
        elif kind == "function_call":
            called = {"role": "assistant", "content": None, "tool_calls": [dict(item)]}
            found.append(Given(Message.model_validate(called)))
        elif kind == "function_call_output":
            found.append(Given(Message(role="tool", content=_parts(item.get("output"), f"{place}.output"))))
        elif kind not in {"reasoning", "item_reference"}:
            raise _no_text(kind, place)
    if not found:
        raise ApiError(400, "input has no message: expected at least one", param="input", code="invalid_value")
    return found


def to_chat(body: ResponsesRequest) -> ChatRequest:
    """Return the chat completion that a request is, but for its messages."""
    logprobs = LOGPROBS in (body.include or ()) or bool(body.top_logprobs)
    return ChatRequest.model_construct(
        model=body.model,
        temperature=body.temperature,
        top_p=body.top_p,
        seed=body.seed,
        max_completion_tokens=body.max_output_tokens,
        logprobs=logprobs,
        top_logprobs=body.top_logprobs if logprobs else None,
        response_format=_format(body.text),
        tools=body.tools,
        tool_choice=body.tool_choice,
        penchant=body.penchant,
    )


def _message(item: Item, place: str) -> Message:
    role = item.get("role")
    if role not in {"user", "assistant", "system", "developer"}:
        raise ApiError(
            400,
            f"{place}.role is {role!r:.40}: expected user, assistant, system or developer",
            param=f"{place}.role",
            code="invalid_value",
        )
    return Message(role=role, content=_parts(item.get("content"), f"{place}.content"))


def _parts(content: Any, place: str) -> str | list[dict[str, Any]]:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise ApiError(400, f"{place} is no text: expected a text or parts", param=place, code="invalid_value")
    parts = []
    for part in content:
        text = part.get("text", part.get("refusal")) if isinstance(part, dict) else None
        if not isinstance(text, str):
            raise _no_text(part.get("type") if isinstance(part, dict) else part, place)
        parts.append({"type": "text", "text": text})
    return parts


def _format(text: Mapping[str, Any] | None) -> dict[str, Any] | None:
    given = (text or {}).get("format")
    if not isinstance(given, Mapping) or given.get("type") != "json_schema":
        return dict(given) if isinstance(given, Mapping) else None
    return {"type": "json_schema", "json_schema": {"name": given.get("name"), "schema": given.get("schema", {})}}


def _no_text(kind: Any, place: str) -> ApiError:
    message = f"{place} has the type {kind!r:.60}: the local model reads text only"
    return ApiError(400, message, param=place, code="unsupported_content")


def _unsupported(field: str, why: str) -> ApiError:
    return ApiError(400, f"{field} isn't supported: {why}", param=field, code="unsupported")
