"""`/v1/users`: the records of users, added, listed, exported and erased."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import islice
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from penchant.errors import InputError
from penchant.history.jsonl import parse_records, to_line
from penchant.serving.errors import check_type
from penchant.serving.service import Service

RECORDS = ("application/json", "application/jsonl", "application/x-ndjson")
"""Types of bodies with records."""
_LINES = 500


class ProfileRequest(BaseModel):
    """A body of `/v1/users/{user}/profile`."""

    query: str
    budget: int | str | None = None


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["users"])
    store = service.store

    @routes.post("/v1/users/{user}/records")
    async def add(user: str, request: Request) -> dict[str, int]:
        """Add records: a JSON object, a list of them, or JSON Lines. A record that is stored already stays as it is, so
        that a call may be repeated.
        """
        check_type(request, *RECORDS)
        records = await asyncio.to_thread(parse_records, _text(await request.body()))
        counts = await asyncio.to_thread(store.add, user, records)
        return {"added": counts.added, "unchanged": counts.unchanged}

    @routes.get("/v1/users/{user}/records")
    async def records(user: str, limit: int = 100, offset: int = 0) -> dict[str, Any]:
        """Return a page of a user's records, in time order."""
        history = await asyncio.to_thread(store.history, user)
        page = [json.loads(to_line(one)) for one in islice(history, max(0, offset), max(0, offset) + max(1, limit))]
        return {"object": "list", "data": page, "total": len(history)}

    @routes.delete("/v1/users/{user}/records/{record}")
    async def remove(user: str, record: str) -> dict[str, Any]:
        """Erase one record and everything made from it."""
        await asyncio.to_thread(store.forget_record, user, record)
        await service.forget(user)
        return {"erased": record}

    @routes.post("/v1/users/{user}/profile")
    async def profile(user: str, body: ProfileRequest) -> dict[str, Any]:
        """Mark and compress for a query; nothing is answered."""
        budget = body.budget or service.settings.budget
        made = await service.run(partial(service.personalizer.compress, user, body.query, budget))
        pairs = zip(made.segments, made.scores, strict=True)
        return {
            "profile": made.text,
            "tokens": made.tokens,
            "budget": made.budget,
            "history_tokens": made.history_tokens,
            "shortening": made.shortening,
            "segments": [
                {"record": one.record_id, "start": one.start, "end": one.end, "text": one.text, "score": score}
                for one, score in pairs
            ],
            "marker": made.marker,
            "compressor": made.compressor,
        }

    @routes.get("/v1/users/{user}/export", response_class=StreamingResponse)
    async def export(user: str) -> StreamingResponse:
        """Return all records of a user as a history file (JSON Lines)."""
        lines = await asyncio.to_thread(store.export, user)
        return StreamingResponse(_pages(lines), media_type="application/x-ndjson")

    @routes.delete("/v1/users/{user}")
    async def erase(user: str) -> dict[str, Any]:
        """Erase a user with everything stored or made for them, and return the receipt."""
        receipt = await asyncio.to_thread(store.forget, user)
        await service.forget(user)
        return {"erased": user, "receipt": receipt.as_dict()}

    return routes


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"the body isn't UTF-8 (byte {error.start}): expected JSON or JSON Lines in UTF-8") from None


async def _pages(lines: Iterator[str]) -> AsyncIterator[str]:
    while page := await asyncio.to_thread(lambda: list(islice(lines, _LINES))):
        yield "".join(f"{line}\n" for line in page)
