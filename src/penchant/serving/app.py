"""The application: the routes of all APIs around one service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request

import penchant
from penchant.serving import errors
from penchant.serving.access import Gate
from penchant.serving.description import RESPONSES
from penchant.serving.edge import Edge
from penchant.serving.forwarding import Forwarding
from penchant.serving.observation import Metrics, Observer, observed
from penchant.serving.routes import chat, completions, memory, messages, models, operation, responses, users
from penchant.serving.service import Service

GRACE = 30.0
"""Seconds for answers that are being generated at shutdown."""


def create_app(service: Service) -> FastAPI:
    """Return an ASGI application for a service, which it closes when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(service.warming.follow())
        yield
        following.cancel()
        await service.upstreams.close()
        await asyncio.to_thread(service.close, GRACE)

    app = FastAPI(
        title="Penchant",
        version=penchant.__version__,
        summary="Personal answers behind the APIs that clients already speak.",
        lifespan=lifespan,
        responses=RESPONSES,
        dependencies=[Depends(_note_route)],
    )
    errors.install(app)
    metrics = Metrics(service.engine)
    app.include_router(operation.router(service, metrics))
    for module in (chat, completions, responses, messages, models, users, memory):
        app.include_router(module.router(service))
    app.add_middleware(Forwarding, service=service)
    app.add_middleware(Edge, limit=service.settings.body_bytes, hosts=service.settings.hosts)
    app.add_middleware(Gate, store=service.store)  # before the edge: a key has a limit of its own
    app.add_middleware(Observer, metrics=metrics)
    return app


def _note_route(request: Request) -> None:
    observed().route = request.scope["route"].path
