"""`penchant serve`: personal answers over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from penchant.cli.options import BudgetOption, MarkerOption, ModelOption
from penchant.cli.output import StoreOption, encoding_bar, open_store, say
from penchant.compression.registry import DEFAULT_BUDGET
from penchant.extras import require
from penchant.marking.registry import DEFAULT_MARKER


def serve(
    *,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, metavar="N", help="The port; 0: any free one.")
    ] = 8000,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="The name of the model for clients.", show_default=False),
    ] = None,
    deadline: Annotated[
        int | None,
        typer.Option(
            "--deadline", min=1, metavar="MS", help="Answer without a profile after this long.", show_default=False
        ),
    ] = None,
    upstream: Annotated[
        list[str] | None,
        typer.Option(
            "--upstream",
            metavar="[NAME=]URL",
            help="Another engine that answers, given profiles: for the model NAME, or for all that aren't here.",
            show_default=False,
        ),
    ] = None,
    upstream_key: Annotated[
        list[str] | None,
        typer.Option(
            "--upstream-key",
            metavar="[NAME=]VARIABLE",
            help="The environment variable that holds the key of an upstream.",
            show_default=False,
        ),
    ] = None,
    share: Annotated[
        list[str] | None,
        typer.Option(
            "--share",
            metavar="[NAME=]RULES",
            help="Which records may be sent to an upstream: all, none, or kind:, tag:, label: (with - before: never). "
            "Private ones never are.",
            show_default=False,
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            metavar="NAME",
            help="A further name under which a server without keys may be asked; *: any.",
            show_default=False,
        ),
    ] = None,
    send_users: Annotated[bool, typer.Option("--send-users", help="Let upstreams know who is asking.")] = False,
    rows: Annotated[int, typer.Option("--rows", min=1, metavar="N", help="Most answers generated together.")] = 16,
    marker: MarkerOption = DEFAULT_MARKER,
    budget: BudgetOption = DEFAULT_BUDGET,
    model: ModelOption = "smollm2",
    store: StoreOption = None,
) -> None:
    """Serve personal answers behind the API of OpenAI: clients change their base URL.

    They also say who is asking, in the body's "user" or in another way that they can. Without keys
    (`penchant keys`) the server listens on loopback addresses only.
    """
    require("fastapi", "llguidance", "prometheus_client", "uvicorn", extra="serve", why="the server")
    from penchant.serving.run import check_address, run_server
    from penchant.serving.upstreams import parse_upstreams

    upstreams = parse_upstreams(upstream or (), upstream_key or (), share or (), send_users=send_users)
    with open_store(store) as opened, encoding_bar() as progress:
        check_address(host, opened)
        from penchant.personalizer import Personalizer
        from penchant.serving.service import ServerSettings, Service

        personalizer = Personalizer(model, store=opened, marker=marker, progress=progress)
        settings = ServerSettings(
            model=name,
            budget=budget,
            rows=rows,
            deadline=None if deadline is None else deadline / 1000,
            upstreams=upstreams,
            hosts=tuple(allowed_host or ()),
        )
        run_server(Service(personalizer, settings), host, port, say)
