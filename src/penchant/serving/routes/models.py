"""`/v1/models`, `/v1/embeddings`, `/v1/rerank`, and whether the server is alive."""

from __future__ import annotations

import base64
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from penchant.errors import InputError
from penchant.history.records import History, Record
from penchant.marking.marks import Marks
from penchant.serving.errors import ApiError
from penchant.serving.service import Service

ENCODER = "all-MiniLM-L6-v2"
"""The sentence encoder of `Embeddings`."""


class EmbeddingsRequest(BaseModel):
    """A body of `/v1/embeddings`."""

    model_config = ConfigDict(extra="allow")

    input: str | list[str]
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None


class RerankRequest(BaseModel):
    """A body of `/v1/rerank`, as Jina's and Cohere's."""

    model_config = ConfigDict(extra="allow")

    query: str
    documents: list[str | dict[str, Any]]
    model: str | None = None
    top_n: int | None = None
    return_documents: bool | None = None


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["models"])

    @routes.get("/v1/models")
    async def models() -> dict[str, Any]:
        """List the models."""
        return {"object": "list", "data": [_model(service), *await service.upstreams.models()]}

    @routes.get("/v1/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        """Describe a model."""
        if found := next((one for one in await service.upstreams.models() if one["id"] == name), None):
            return found
        service.check_model(name)
        return _model(service)

    @routes.post("/v1/embeddings")
    async def embed(body: EmbeddingsRequest) -> dict[str, Any]:
        """Return the vectors of texts, from the sentence encoder that marks with."""
        texts = [body.input] if isinstance(body.input, str) else body.input
        if not texts or any(not text.strip() for text in texts):
            raise InputError("an input is empty: expected at least one text")
        found, _ = await service.run(lambda: service.personalizer.resources.embeddings(texts))
        width = len(found[0].vector)
        if body.dimensions is not None and body.dimensions != width:
            message = f"dimensions is {body.dimensions}: the encoder gives {width}"
            raise ApiError(400, message, param="dimensions", code="unsupported")
        data = [
            {"object": "embedding", "index": number, "embedding": _written(one.vector, body.encoding_format)}
            for number, one in enumerate(found)
        ]
        tokens = sum(one.fed for one in found)
        # The encoder's own name: clients ask for one of OpenAI's, which is not what they get.
        used = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": ENCODER, "usage": used}

    @routes.post("/v1/rerank")
    async def rerank(body: RerankRequest) -> dict[str, Any]:
        """Order texts by what matters in them for a query: the marker's scores, and the best part of each text."""
        texts = [one if isinstance(one, str) else str(one.get("text", "")) for one in body.documents]
        if not texts or any(not text.strip() for text in texts):
            raise InputError("a document is empty: expected at least one text")
        ids = [str(number) for number in range(len(texts))]
        history = History([Record(id=number, text=text) for number, text in zip(ids, texts, strict=True)])

        def mark() -> Marks:
            try:
                return service.personalizer.mark(history, body.query)
            finally:
                service.personalizer.release(history)  # nobody asks about it again

        marks = await service.run(mark)
        best: dict[str, tuple[float, int, int]] = {}
        for segment, score in zip(marks.segments, marks.scores.tolist(), strict=True):
            if segment.record_id not in best or score > best[segment.record_id][0]:
                best[segment.record_id] = (score, segment.start, segment.end)
        ordered = sorted(best, key=lambda number: -best[number][0])[: body.top_n]
        results = []
        for number in ordered:
            score, start, end = best[number]
            one: dict[str, Any] = {"index": int(number), "relevance_score": score, "start": start, "end": end}
            if body.return_documents:
                one["document"] = {"text": texts[int(number)]}
            results.append(one)
        return {"model": service.model, "results": results, "usage": {"total_tokens": marks.tokens_fed}}

    return routes


def _model(service: Service) -> dict[str, Any]:
    return {"id": service.model, "object": "model", "created": 0, "owned_by": "penchant"}


def _written(vector: npt.NDArray[np.float32], form: str | None) -> str | list[float]:
    """Return a vector as the client asks: in base64 (little-endian float32), or as numbers."""
    if form == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
    return [float(number) for number in vector]
