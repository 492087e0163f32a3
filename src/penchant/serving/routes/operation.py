"""For the operator: whether the server lives and takes requests, and what it has done."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from penchant.serving.errors import ApiError
from penchant.serving.observation import Metrics
from penchant.serving.service import Service


def router(service: Service, metrics: Metrics) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["operation"])

    @routes.get("/livez")
    async def live() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @routes.get("/readyz")
    async def ready() -> dict[str, Any]:
        """Whether requests are taken, and how many are being answered; otherwise what is missing."""
        running, waiting = service.engine.load
        if not service.engine.alive:
            raise ApiError(503, "the model's thread has ended: start the server again", code="no_engine")
        if waiting >= service.engine.waiting:
            raise ApiError(503, f"{waiting} requests are waiting, as many as may", code="busy")
        await asyncio.to_thread(service.store.api_keys.exist)  # the store can be read
        return {"status": "ok", "model": service.model, "running": running, "waiting": waiting}

    @routes.get("/metrics", response_class=Response)
    async def read_metrics(request: Request) -> Response:
        """Counts in Prometheus' format, for addresses that the operator trusts."""
        if not service.rules.trusts(request.client.host if request.client else None):
            raise ApiError(403, "counts are for trusted addresses only", code="untrusted_address")
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return routes
