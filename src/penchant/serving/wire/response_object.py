"""A response of OpenAI's Responses API, as a whole body and as events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penchant.serving.answers import Written, event_lines, logprobs_of, saved
from penchant.serving.engine import Ended
from penchant.serving.errors import describe
from penchant.serving.exchange import Exchange, Said
from penchant.serving.wire.responses import ResponsesRequest

Json = dict[str, Any]


@dataclass(frozen=True)
class Head:
    """What is known of a response before it is written. id: "resp_..."; items have the same one with another beginning.
    kept: whether it is stored.
    """

    id: str
    created: float
    model: str
    body: ResponsesRequest
    kept: bool
    about: Mapping[str, Any] = field(default_factory=dict)

    def item(self, kind: str, number: int = 0) -> str:
        """Return the id of an output item. The first one has the response's own, so that it can be found again."""
        return f"{kind}_{self.id.removeprefix('resp_')}" + (f"_{number}" if number else "")


def response(head: Head, status: str, output: list[Json], **more: object) -> Json:
    """Return a response. more: fields that replace those of one that has only begun."""
    body = head.body
    return {
        "id": head.id,
        "object": "response",
        "created_at": int(head.created),
        "status": status,
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata or {},
        "model": head.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": body.previous_response_id,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": head.kept,
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "text": {"format": {"type": "text"}, **(body.text or {})},
        "tool_choice": body.tool_choice or "auto",
        "tools": body.tools or [],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": 1.0 if body.top_p is None else body.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": body.user if isinstance(body.user, str) else None,
        **({"penchant": dict(head.about)} if head.about else {}),
        **more,
    }


def whole(head: Head, exchange: Exchange, now: float) -> Json:
    """Return the response of an exchange that has ended."""
    (written,) = exchange.written
    output = [reasoning_item(head.item("rs"), written.reasoning)] if written.reasoning else []
    if written.answer or not output:
        content = [_part(written.answer, _logprobs(exchange, written) if exchange.asked.logprobs else [])]
        output.append(message_item(head.item("msg"), content, "completed" if _complete(written) else "incomplete"))
    return _ended(head, exchange, output, now)


def message_item(name: str, content: list[Json], status: str) -> Json:
    """Return the item of an answer."""
    return {"id": name, "type": "message", "role": "assistant", "status": status, "content": content}


def text_part(text: str) -> Json:
    """Return the content of an answer's item."""
    return _part(text, [])


def reasoning_item(name: str, text: str) -> Json:
    """Return the item of what a model wrote before its answer."""
    content = [{"type": "reasoning_text", "text": text}]
    return {"id": name, "type": "reasoning", "summary": [], "content": content, "status": "completed"}


def _part(text: str, logprobs: list[Json]) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def _logprobs(exchange: Exchange, given: Written | Said) -> list[Json]:
    found: list[Json] = logprobs_of(exchange.service.loaded, given.choices)["content"]
    return found


def _complete(written: Written) -> bool:
    return written.finish in {None, "stop"}


def _ended(head: Head, exchange: Exchange, output: list[Json], now: float) -> Json:
    (written,) = exchange.written
    complete = _complete(written)
    used: Json = {
        "input_tokens": written.prompt_tokens,
        "input_tokens_details": {"cached_tokens": written.cached, "cache_write_tokens": 0},
        "output_tokens": written.tokens,
        "output_tokens_details": {"reasoning_tokens": exchange.reasoning_tokens()},
        "total_tokens": written.prompt_tokens + written.tokens,
    }
    if about := saved(exchange.written, exchange.personal):
        used["penchant"] = about
    more: Json = {"usage": used, "completed_at": int(now) if complete else None}
    if not complete:
        more["incomplete_details"] = {"reason": "max_output_tokens"}
    if about := {**head.about, **exchange.about()}:
        more["penchant"] = about
    return response(head, "completed" if complete else "incomplete", output, **more)


class _Events:
    """Writes the events of one response, in order."""

    def __init__(self, head: Head, exchange: Exchange) -> None:
        self.output: list[Json] = []
        self._head, self._exchange, self._number = head, exchange, 0
        self._open: str | None = None  # the kind of the item that is being written
        self._text, self._logprobs = "", list[Json]()

    def event(self, kind: str, **fields: Any) -> str:
        self._number += 1
        return event_lines({"type": f"response.{kind}", "sequence_number": self._number - 1, **fields})

    def said(self, said: Said) -> list[str]:
        made = []
        new = _logprobs(self._exchange, said) if self._exchange.asked.logprobs else []
        for kind, text in said.parts:
            if kind != self._open:
                made += self.close()
                made += self.begin(kind)
            self._text += text
            if kind == "answer":
                made.append(self.event("output_text.delta", **self._place(), delta=text, logprobs=new))
                self._logprobs += new
                new = []
            else:
                made.append(self.event("reasoning_text.delta", **self._place(), delta=text))
        return made

    def begin(self, kind: str) -> list[str]:
        self._open, self._text, self._logprobs = kind, "", []
        item = {**self._item("in_progress"), "content": []}
        added = self.event("output_item.added", output_index=len(self.output), item=item)
        return [added, self.event("content_part.added", **self._place(), part=self._content())]

    def close(self, status: str = "completed") -> list[str]:
        """End the item that is being written, if there is one."""
        if self._open is None:
            return []
        item, at, content = self._item(status), self._place(), self._content()
        answer = self._open == "answer"
        done = self.event(
            "output_text.done" if answer else "reasoning_text.done",
            **at,
            text=self._text,
            **({"logprobs": self._logprobs} if answer else {}),
        )
        part = self.event("content_part.done", **at, part=content)
        ended = self.event("output_item.done", output_index=len(self.output), item=item)
        self.output.append(item)
        self._open = None
        return [done, part, ended]

    def _place(self) -> Json:
        return {"item_id": self._item("")["id"], "output_index": len(self.output), "content_index": 0}

    def _content(self) -> Json:
        if self._open == "answer":
            return _part(self._text, list(self._logprobs))
        return {"type": "reasoning_text", "text": self._text}

    def _item(self, status: str) -> Json:
        kind = "msg" if self._open == "answer" else "rs"
        name = self._head.item(kind, sum(one["id"].startswith(kind) for one in self.output))
        if kind == "msg":
            return message_item(name, [self._content()], status)
        return reasoning_item(name, self._text) | {"status": status}


async def events(
    head: Head, exchange: Exchange, keep: Callable[[], Awaitable[None]], clock: Callable[[], float]
) -> AsyncIterator[str]:
    """Yield the events of a response as server-sent events. keep: stores it, before it is said to be complete.

    An error ends them with `response.failed`, and an event `error` that has it in OpenAI's both forms: some clients
    raise the one, some the other. There is no [DONE].
    """
    made = _Events(head, exchange)
    yield made.event("created", response=response(head, "in_progress", []))
    yield made.event("in_progress", response=response(head, "in_progress", []))
    try:
        async for _, event in exchange.events():
            if isinstance(event, Said):
                for line in made.said(event):
                    yield line
            elif isinstance(event, Ended):
                (written,) = exchange.written
                lines = made.begin("answer") if not made.output and not written.text.strip() else []
                for line in [*lines, *made.close("completed" if _complete(written) else "incomplete")]:
                    yield line
        await keep()
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001  # the status was sent long ago
        described = describe(error)[1]
        told = described["error"]
        failed = response(head, "failed", made.output, error={"code": "server_error", "message": told["message"]})
        yield made.event("failed", response=failed)
        yield event_lines({**described, **{key: told[key] for key in ("message", "param", "code")}})
        return
    ended = _ended(head, exchange, made.output, clock())
    yield made.event(str(ended["status"]), response=ended)
