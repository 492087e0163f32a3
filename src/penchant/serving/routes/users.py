"""`/v1/users`: the records of users, added, listed, exported and erased."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from penchant.errors import InputError
from penchant.history.jsonl import parse_records, to_line
from penchant.serving.access import StoredUser, needs
from penchant.serving.errors import check_type
from penchant.serving.path_ids import PathId, with_slashes
from penchant.serving.service import Service

RECORDS = ("application/json", "application/jsonl", "application/x-ndjson")
"""Types of bodies with records."""
_LINES = 500
Limit = Annotated[int, Query(ge=1)]
Offset = Annotated[int, Query(ge=0, le=1 << 60)]
_RECORD = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}, "id": {"type": "string"}}}
_EITHER = {"anyOf": [_RECORD, {"type": "array", "items": _RECORD}]}
_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": _EITHER if kind == RECORDS[0] else {"type": "string"}} for kind in RECORDS},
    }
}
_PAGE = 1_000
"""Most records that are listed at a time."""


class ProfileRequest(BaseModel):
    """A body of `/v1/users/{user}/profile`."""

    query: str
    budget: int | str | None = None


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["users"])
    store = service.store

    @routes.post("/v1/users/{user}/records", dependencies=[needs("write")], openapi_extra=_UPLOAD)
    async def add(user: StoredUser, request: Request) -> dict[str, int]:
        """Add records: a JSON object, a list of them, or JSON Lines. A record that is stored already stays as it is, so
        that a call may be repeated.
        """
        check_type(request, *RECORDS)
        records = await asyncio.to_thread(parse_records, _text(await request.body()))
        counts = await asyncio.to_thread(store.add, user, records)
        service.warming.begin(user)
        return {"added": counts.added, "unchanged": counts.unchanged}

    @routes.get("/v1/users/{user}/records")
    async def records(user: StoredUser, limit: Limit = 100, offset: Offset = 0) -> dict[str, Any]:
        """Return a page of a user's records, in time order."""
        found = await asyncio.to_thread(store.page, user, min(limit, _PAGE), offset)
        total = await asyncio.to_thread(store.count, user)
        return {"object": "list", "data": [json.loads(to_line(one)) for one in found], "total": total}

    @routes.delete("/v1/users/{user}/records/{record}", dependencies=[needs("admin")])
    async def remove(user: StoredUser, record: PathId) -> dict[str, Any]:
        """Erase one record and everything made from it."""
        async with service.erasing(user):
            await asyncio.to_thread(store.forget_record, user, record)
        service.warming.begin(user)
        return {"erased": record}

    @routes.post("/v1/users/{user}/profile")
    async def profile(user: StoredUser, body: ProfileRequest) -> dict[str, Any]:
        """Mark and compress for a query; nothing is answered."""
        budget = service.settings.budget if body.budget is None else body.budget
        service.check_erasing(user)
        if await service.run(lambda: service.warming.unread(service.warming.history(user))):
            await service.warming.finish(user)
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

    @routes.get("/v1/users/{user}/export", response_class=StreamingResponse, dependencies=[needs("admin")])
    async def export(user: StoredUser) -> StreamingResponse:
        """Return all records of a user as a history file (JSON Lines)."""
        lines = await asyncio.to_thread(store.export, user)
        return StreamingResponse(_pages(lines), media_type="application/x-ndjson")

    @routes.delete("/v1/users/{user}", dependencies=[needs("admin")])
    async def erase(user: StoredUser, request: Request) -> dict[str, Any]:
        """Erase a user with everything stored or made for them, and return the receipt."""
        async with service.erasing(user):
            receipt = await asyncio.to_thread(store.forget, user)
        shown = with_slashes(request.path_params["user"])
        return {"erased": shown, "receipt": {**receipt.as_dict(), "user": shown}}

    return routes


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"the body isn't UTF-8 (byte {error.start}): expected JSON or JSON Lines in UTF-8") from None


async def _pages(lines: Iterator[str]) -> AsyncIterator[str]:
    while page := await asyncio.to_thread(lambda: list(islice(lines, _LINES))):
        yield "".join(f"{line}\n" for line in page)
