"""A message of Anthropic's API, as a whole body and as events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from penchant.history.dialogue import Finish
from penchant.serving.answers import Written, event_lines, saved
from penchant.serving.engine import Begun, Ended
from penchant.serving.errors import describe
from penchant.serving.exchange import Exchange, Said

Json = dict[str, Any]
STOP: dict[Finish, str] = {"stop": "end_turn", "length": "max_tokens", "repetition": "max_tokens"}
"""Why an answer ended, in the words of the API: one that was stopped because it repeated itself was cut."""


def whole(head: Json, exchange: Exchange) -> Json:
    """Return the message of an exchange that has ended. head: its id and model."""
    (written,) = exchange.written
    content = [{"type": "thinking", "thinking": written.reasoning, "signature": ""}] if written.reasoning else []
    content += [{"type": "text", "text": written.answer}] if written.answer or not content else []
    about = exchange.about()
    return {
        **_message(head, content),
        **_ended(exchange, written),
        "usage": _usage(exchange, written),
        **({"penchant": about} if about else {}),
    }


async def events(head: Json, exchange: Exchange) -> AsyncIterator[str]:
    """Yield the events of a message as server-sent events. An error is the last one."""
    (written,) = exchange.written
    blocks, kind = 0, ""
    try:
        async for _, event in exchange.events():
            if isinstance(event, Begun):
                begun = {**_message(head, []), "usage": {**_usage(exchange, written), "output_tokens": 0}}
                yield event_lines({"type": "message_start", "message": begun})
                yield event_lines({"type": "ping"})
            elif isinstance(event, Said):
                for part in event.parts:
                    if part.kind != kind:
                        if kind:
                            yield _block("stop", blocks - 1)
                        kind, blocks = part.kind, blocks + 1
                        yield _block("start", blocks - 1, content_block=_EMPTY[kind])
                    yield _block("delta", blocks - 1, delta=_delta(kind, part.text))
            elif isinstance(event, Ended):
                if not kind:  # clients read content[0]
                    blocks = 1
                    yield _block("start", 0, content_block=_EMPTY["answer"])
                yield _block("stop", blocks - 1)
        about = exchange.about()
        yield event_lines(
            {
                "type": "message_delta",
                "delta": _ended(exchange, written),
                "usage": _usage(exchange, written),
                **({"penchant": about} if about else {}),
            }
        )
        yield event_lines({"type": "message_stop"})
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001  # the status was sent long ago
        yield event_lines({"type": "error", **describe(error)[1]})


_EMPTY: dict[str, Json] = {
    "answer": {"type": "text", "text": ""},
    "reasoning": {"type": "thinking", "thinking": "", "signature": ""},
}


def _block(what: str, number: int, **fields: Any) -> str:
    return event_lines({"type": f"content_block_{what}", "index": number, **fields})


def _delta(kind: str, text: str) -> Json:
    if kind == "answer":
        return {"type": "text_delta", "text": text}
    return {"type": "thinking_delta", "thinking": text}


def _message(head: Json, content: list[Json]) -> Json:
    ended = {"stop_reason": None, "stop_sequence": None}
    return {**head, "type": "message", "role": "assistant", "content": content, **ended}


def _ended(exchange: Exchange, written: Written) -> Json:
    asked = exchange.asked.stop or ()
    if written.stop is not None and written.stop in asked:  # a model without a template has stop texts of its own
        return {"stop_reason": "stop_sequence", "stop_sequence": written.stop}
    return {"stop_reason": STOP[written.finish or "stop"], "stop_sequence": None}


def _usage(exchange: Exchange, written: Written) -> Json:
    used: Json = {
        "input_tokens": written.prompt_tokens - written.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": written.cached,
        "output_tokens": written.tokens,
    }
    if about := saved(exchange.written, exchange.personal):
        used["penchant"] = about
    return used
