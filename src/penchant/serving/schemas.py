"""Bodies of requests, as clients send them. What isn't known here passes: clients send more every month."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Message(_Open):
    """A message. content: a text, a list of parts, or nothing beside tool calls."""

    role: Role
    content: str | list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        """All text of the message."""
        if isinstance(self.content, list):
            return "\n".join(str(part["text"]) for part in self.content if isinstance(part.get("text"), str))
        return self.content or ""


class PenchantOptions(BaseModel):
    """What a request may choose besides the model: an object "penchant" in its body.

    budget: of the profile, as `penchant ask --budget`. knowledge: "profile", or "none" to answer without one. explain:
    return what was retrieved and what was put in. conversation: the stored one that a response goes on with.
    """

    model_config = ConfigDict(extra="forbid")

    budget: int | str | None = None
    knowledge: Literal["profile", "none"] = "profile"
    steer: str | None = None
    explain: bool = False
    conversation: str | None = None
    marker: None = None
    compressor: None = None
    depth: None = None

    @field_validator("marker", "compressor", "depth", mode="before")
    @classmethod
    def _fixed(cls, given: object, field: ValidationInfo) -> None:
        """Indexes and models are loaded for one marker: a request that names another would wait for them."""
        if given is not None:
            raise ValueError(f"a request can't choose the {field.field_name}, which is the server's own: leave it out")


class StreamOptions(_Open):
    include_usage: bool | None = None


class Sampled(_Open):
    """What requests for text have in common."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    stop: str | list[str] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    seed: int | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: dict[int, Annotated[float, Field(ge=-100, le=100)]] | None = None
    user: str | dict[str, Any] | None = None
    penchant: PenchantOptions | None = None


class ChatRequest(Sampled):
    """A body of `/v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None


class CompletionRequest(Sampled):
    """A body of `/v1/completions`."""

    prompt: str | Annotated[list[str], Field(min_length=1)]
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    echo: bool | None = None
    suffix: str | None = None
