"""`penchant mcp`: a user's memory for assistants that speak the Model Context Protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer

from penchant.cli.options import BudgetOption, MarkerOption, ModelOption
from penchant.cli.output import StoreOption, encoding_bar, open_store
from penchant.cli.streams import lent
from penchant.compression.registry import DEFAULT_BUDGET
from penchant.errors import InputError
from penchant.extras import require
from penchant.marking.registry import DEFAULT_MARKER

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def mcp(
    *,
    user: Annotated[str, typer.Option("--user", metavar="ID", help="Whose memory it is.", show_default=False)],
    http: Annotated[bool, typer.Option("--http", help="Serve at /mcp over HTTP, not on stdin and stdout.")] = False,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="With --http: a loopback address.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, metavar="N", help="With --http: the port.")] = 8765,
    marker: MarkerOption = DEFAULT_MARKER,
    budget: BudgetOption = DEFAULT_BUDGET,
    model: ModelOption = "smollm2",
    store: StoreOption = None,
) -> None:
    """Serve a user's memory to an assistant over the Model Context Protocol.

    The assistant gets four tools: remember, recall, why and forget.
    """
    require("mcp", extra="mcp", why="the memory for assistants")
    if http and host not in LOOPBACK:
        raise InputError(f"host {host!r:.80} can be reached by others: expected one of {', '.join(LOOPBACK)}")
    from penchant.integrations.mcp import mcp_server

    with open_store(store) as opened, encoding_bar() as progress:
        from penchant.personalizer import Personalizer

        personalizer = Personalizer(model, store=opened, marker=marker, progress=progress)
        if http:
            mcp_server(personalizer, user, budget=budget).run("streamable-http", host=host, port=port)
        else:
            with lent() as guard:
                mcp_server(personalizer, user, budget=budget, lifespan=_opened(guard)).run("stdio")


def _opened(guard: Callable[[], None]) -> Any:
    @asynccontextmanager
    async def lifespan(_server: Any) -> AsyncIterator[None]:
        guard()
        yield

    return lifespan
