"""`/v1/users/{user}/conversations`, `/instructions` and `/steering`: what is remembered besides records."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fastapi import APIRouter

from penchant.history.dialogue import Instruction
from penchant.serving.access import StoredUser, needs
from penchant.serving.errors import ApiError
from penchant.serving.path_ids import PathId
from penchant.serving.service import Service
from penchant.steering.storage.fitted_state import paths_in_store, summaries
from penchant.store.conversation_list import ConversationEntry


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["users"])
    store, conversations = service.store, service.store.conversations

    @routes.get("/v1/users/{user}/conversations")
    async def listed(user: StoredUser) -> dict[str, Any]:
        """List a user's conversations."""
        await asyncio.to_thread(store.revision, user)  # an unknown user is an error
        found = await asyncio.to_thread(conversations.list, user)
        return {"object": "list", "data": [_entry(one) for one in found]}

    @routes.get("/v1/users/{user}/conversations/{conversation}")
    async def conversation(user: StoredUser, conversation: PathId) -> dict[str, Any]:
        """Return a conversation with its turns."""
        entry = await asyncio.to_thread(conversations.find, user, conversation)
        if entry is None:
            raise _unknown("conversation", conversation)
        turns = await asyncio.to_thread(conversations.turns, user, conversation)
        shown = [
            {"number": one.number, "role": one.role, "text": one.text, "when": _time(one.when), "finish": one.finish}
            for one in turns
        ]
        return {**_entry(entry), "system": entry.system, "data": shown}

    @routes.delete("/v1/users/{user}/conversations/{conversation}", dependencies=[needs("admin")])
    async def forget(user: StoredUser, conversation: PathId) -> dict[str, Any]:
        """Erase a conversation with everything that came from it; return the ids of the records among that."""
        if await asyncio.to_thread(conversations.find, user, conversation) is None:
            raise _unknown("conversation", conversation)
        async with service.erasing(user):
            records = await asyncio.to_thread(conversations.forget, user, conversation)
        service.warming.begin(user)
        return {"erased": conversation, "records": list(records)}

    @routes.get("/v1/users/{user}/instructions")
    async def instructions(user: StoredUser, ended: bool = False) -> dict[str, Any]:
        """List a user's standing instructions; ended ones, too, if asked for."""
        await asyncio.to_thread(store.revision, user)
        found = await asyncio.to_thread(conversations.instructions, user, None)
        return {"object": "list", "data": [_instruction(one) for one in found if ended or one.ended is None]}

    @routes.delete("/v1/users/{user}/instructions/{instruction}", dependencies=[needs("write")])
    async def end(user: StoredUser, instruction: PathId) -> dict[str, Any]:
        """End an instruction: it holds no longer. Its text is erased with the turn or the user that it came from."""
        found = await asyncio.to_thread(conversations.instructions, user, None)
        known = next((one for one in found if one.id == instruction), None)
        if known is None:
            raise _unknown("instruction", instruction)
        if known.ended is None:
            known = replace(known, ended=datetime.now(UTC), ended_by="user")
            await asyncio.to_thread(conversations.put, user, known)
        return _instruction(known)

    @routes.get("/v1/users/{user}/steering")
    async def steering(user: StoredUser) -> dict[str, Any]:
        """List what steering was fitted for a user."""
        await asyncio.to_thread(store.revision, user)
        found = await asyncio.to_thread(partial(summaries, paths_in_store(store, user)))
        return {"object": "list", "data": found}

    return routes


def _entry(one: ConversationEntry) -> dict[str, Any]:
    return {
        "id": one.id,
        "turns": one.turns,
        "begun": _time(one.begun),
        "last": _time(one.last),
        "opening": one.opening,
        "off_record": one.off_record,
    }


def _instruction(one: Instruction) -> dict[str, Any]:
    return {
        "id": one.id,
        "text": one.text,
        "scope": one.scope,
        "until": one.until,
        "conversation": one.conversation or None,
        "turn": one.turn,
        "added": _time(one.added),
        "ended": _time(one.ended),
        "ended_by": one.ended_by,
    }


def _time(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()


def _unknown(what: str, name: str) -> ApiError:
    return ApiError(404, f"the user has no {what} {name!r:.80}: GET .../{what}s lists them", code=f"unknown_{what}")
