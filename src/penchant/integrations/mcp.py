"""A server of the Model Context Protocol: an assistant remembers, recalls, explains and forgets for one user."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Annotated, Any, ParamSpec, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

import penchant
from penchant.asynchronous import AsyncPersonalizer, AsyncStore
from penchant.compression.profile import Profile
from penchant.errors import InputError, PenchantError, UnknownUserError
from penchant.history.records import Record
from penchant.personalizer import Personalizer

P = ParamSpec("P")
R = TypeVar("R")
INSTRUCTIONS = (
    "What the user has said and done before. Call recall before you answer anything that depends on the user; remember "
    "what the user says about themselves and will matter later; forget what they want gone."
)
Query = Annotated[str, Field(description="What the user asks, in their own words.")]
Budget = Annotated[int, Field(description="Most tokens of the notes.", ge=1)]


def mcp_server(personalizer: Personalizer, user: str, *, budget: int | str | None = None, **options: Any) -> MCPServer:
    """Return a server with the tools remember, recall, why and forget for one user of a personalizer's store. budget:
    of notes, unless a call says otherwise (None: the personalizer's). options: of `MCPServer`.

    Raises `InputError` for a personalizer without a store.
    """
    asynchronous = AsyncPersonalizer(personalizer)
    if asynchronous.store is None:
        raise InputError("a memory needs a store: expected Personalizer(store=...)")
    tools = _Tools(asynchronous, asynchronous.store, user, budget)
    server = MCPServer("penchant", version=penchant.__version__, instructions=INSTRUCTIONS, **options)
    for tool in (tools.remember, tools.recall, tools.why, tools.forget):
        server.tool()(_told(tool))
    return server


class _Tools:
    """The tools; the first paragraph of each docstring is what the assistant reads."""

    def __init__(self, personalizer: AsyncPersonalizer, store: AsyncStore, user: str, budget: int | str | None) -> None:
        self._personalizer, self._store, self._user, self._budget = personalizer, store, user, budget
        self._one = asyncio.Lock()  # a question that is marked meanwhile might keep what is being erased

    async def remember(
        self, text: Annotated[str, Field(description="What the user said about themselves, in their own words.")]
    ) -> str:
        """Keep something that the user said about themselves. Returns the id of the record."""
        record = Record(text, when=datetime.now(UTC).replace(microsecond=0))
        await self._store.add(self._user, [record])
        return record.id

    async def recall(self, query: Query, budget: Budget | None = None) -> str:
        """Return notes on what matters in the user's history for a question; nothing, if nothing does."""
        found = await self._compressed(query, budget)
        return found.text if found is not None else ""

    async def why(self, query: Query, budget: Budget | None = None) -> str:
        """Return which records the notes for a question come from, as JSON: the id of each, its words, and its mark."""
        found = await self._compressed(query, budget)
        if found is None:
            return "[]"
        pairs = zip(found.segments, found.scores, strict=True)
        listed = [{"record": one.record_id, "text": one.text, "score": round(score, 3)} for one, score in pairs]
        return json.dumps(listed, ensure_ascii=False)

    async def forget(self, record: Annotated[str, Field(description="The id of a record, as why gives it.")]) -> str:
        """Erase one record of the user's for good, with everything that was made from it."""
        async with self._one:
            await self._store.forget_record(self._user, record)
        return f"erased {record}"

    async def _compressed(self, query: str, budget: int | None) -> Profile | None:
        given = self._budget if budget is None else budget
        chosen: dict[str, Any] = {} if given is None else {"budget": given}
        try:
            async with self._one:
                return await self._personalizer.compress(self._user, query, **chosen)
        except UnknownUserError:  # nothing was remembered yet
            return None


def _told(tool: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Let an error of ours be read by the assistant; others are withheld from it."""

    @wraps(tool)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await tool(*args, **kwargs)
        except PenchantError as error:
            raise ToolError(str(error)) from error

    return call
