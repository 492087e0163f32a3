"""An answer to a client: events of the engine become the chunks and bodies of an API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from penchant.history.dialogue import Finish
from penchant.inference.answer_row import TokenChoice
from penchant.models.loading import LoadedModel
from penchant.serving.engine import Begun, Ended, Event, Piece
from penchant.serving.errors import describe
from penchant.serving.observation import observed
from penchant.serving.service import Answering, PersonalPrompt
from penchant.text.reasoning import separated

R = TypeVar("R")
FINISH: dict[Finish, str] = {"stop": "stop", "length": "length", "repetition": "length"}
"""Why an answer ended, in the words of the API: one that was stopped because it repeated itself was cut."""


@dataclass
class Written:
    """One answer, as far as it was written. text: all of it. opened: see `opened_reasoning`. stop: the stop text that
    ended it. prompt_tokens, cached, repeated: see `Begun`.
    """

    opened: str = ""
    text: str = ""
    choices: list[TokenChoice] = field(default_factory=list)
    finish: Finish | None = None
    stop: str | None = None
    tokens: int = 0
    prompt_tokens: int = 0
    cached: int = 0
    repeated: int = 0

    @property
    def answer(self) -> str:
        """What was said to the user."""
        return separated(self.text, self.opened).answer

    @property
    def reasoning(self) -> str:
        """What the model wrote before its answer ("": nothing)."""
        return separated(self.text, self.opened).reasoning

    def take(self, event: Event) -> None:
        """Add an event."""
        seen = observed()
        if isinstance(event, Begun):
            self.prompt_tokens, self.cached, self.repeated = event.tokens, event.cached, event.repeated
            seen.prompt_tokens, seen.cached_tokens = event.tokens, max(seen.cached_tokens, event.cached)
        elif isinstance(event, Piece):
            self.text += event.text
            seen.saw_text()
            self.choices += event.choices
        elif isinstance(event, Ended):
            self.finish, self.tokens, self.stop = event.finish, event.tokens, event.stop
            seen.answer_tokens += event.tokens


async def write(asked: Sequence[Answering], written: Sequence[Written]) -> Sequence[Written]:
    """Fill and return `written`, whole answers. If one fails, or nobody waits any more, all are given up."""
    async for _ in stream(asked, written):
        pass
    return written


async def stream(
    asked: Sequence[Answering], written: Sequence[Written]
) -> AsyncIterator[tuple[int, Begun | Piece | Ended]]:
    """Yield what happens to several answers as it comes, each with its number; `written` is filled meanwhile."""
    events: asyncio.Queue[tuple[int, Begun | Piece | Ended] | Exception] = asyncio.Queue()

    async def one(number: int, answering: Answering) -> None:
        try:
            async for event in answering.events():
                written[number].take(event)
                if not isinstance(event, Exception):
                    events.put_nowait((number, event))
        except Exception as error:  # noqa: BLE001  # raised below, to whoever reads
            events.put_nowait(error)

    tasks = [asyncio.ensure_future(one(number, answering)) for number, answering in enumerate(asked)]
    left = len(tasks)
    try:
        while left:
            event = await events.get()
            if isinstance(event, Exception):
                raise event
            left -= isinstance(event[1], Ended)
            yield event
    finally:
        for task, answering in zip(tasks, asked, strict=True):
            task.cancel()
            answering.cancel()  # also one whose task never ran


async def while_listening(request: Request, work: Coroutine[Any, Any, R]) -> R:
    """Return the result of work; it is cancelled when the client goes away. Raises `ClientDisconnect` then."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return await task
    finally:
        gone.cancel()
        task.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":  # the body was read before
        pass


def event_lines(event: Mapping[str, Any]) -> str:
    """Write an event that says its type as a server-sent event of this type."""
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n"


async def sse(chunks: AsyncIterator[dict[str, Any]]) -> AsyncIterator[str]:
    """Write chunks as server-sent events. An error is a data line in the shape of all errors; no [DONE] follows it, so
    that no client takes the half for the whole.
    """
    try:
        async for chunk in chunks:
            yield f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"
    except Exception as error:  # noqa: BLE001  # the status was sent long ago
        yield f"data: {json.dumps(describe(error)[1])}\n\n"
        return
    yield "data: [DONE]\n\n"


def usage_of(written: Sequence[Written], personal: PersonalPrompt | None = None) -> dict[str, Any]:
    """Return the usage of a request. `penchant` says what the profile took and what it replaced."""
    prompt = written[0].prompt_tokens
    answered = sum(one.tokens for one in written)
    used: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": answered,
        "total_tokens": prompt + answered,
        "prompt_tokens_details": {"cached_tokens": max(one.cached for one in written)},
    }
    if personal is not None and (about := saved(written, personal)):
        used["penchant"] = about
    return used


def saved(written: Sequence[Written], personal: PersonalPrompt) -> dict[str, int | str]:
    """Return what the profile took and what it replaced, and how many leading tokens are those of the user's last
    prompt; nothing for a request that names nobody.
    """
    about: dict[str, int | str] = {}
    if personal.identity is not None:
        about["repeated_tokens"] = max(one.repeated for one in written)
    if personal.profile is not None:
        tokens, history = personal.profile.tokens, personal.profile.history_tokens
        about |= {"profile_tokens": tokens, "history_tokens": history, "saved_tokens": max(0, history - tokens)}
        about["shortening"] = personal.profile.shortening
    return about


def logprobs_of(loaded: LoadedModel, choices: Sequence[TokenChoice]) -> dict[str, Any]:
    """Return chosen tokens with their log probabilities, in the form of chat completions."""

    def one(token: int, logprob: float) -> dict[str, Any]:
        text = str(loaded.tokenizer.decode([token]))
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

    return {
        "content": [
            {**one(choice.token, choice.logprob), "top_logprobs": [one(*pair) for pair in choice.likeliest]}
            for choice in choices
        ],
        "refusal": None,
    }


def explanation(personal: PersonalPrompt) -> dict[str, Any]:
    """Return what was retrieved and put in, for `penchant.explain`."""
    about: dict[str, Any] = {"profile": personal.outcome, "seconds": round(personal.seconds, 4)}
    if personal.profile is not None:
        pairs = zip(personal.profile.segments, personal.profile.scores, strict=True)
        about |= {
            "text": personal.profile.text,
            "tokens": personal.profile.tokens,
            "budget": personal.profile.budget,
            "shortening": personal.profile.shortening,
            "marker": personal.profile.marker,
            "heads": [{"layer": layer, "head": head} for layer, head in personal.profile.heads],
            "segments": [
                {"record": one.record_id, "start": one.start, "end": one.end, "text": one.text, "score": score}
                for one, score in pairs
            ],
        }
    if personal.steering is not None:
        about["steering"] = personal.steering.as_dict()
    return about
