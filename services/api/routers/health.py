"""For load balancers and Prometheus: alive, ready, metrics. Readiness asks Redis only."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from services.api.context import Context
from services.api.docs import problems
from services.api.errors import Problem
from services.api.responses import Answer
from services.api.schemas import Alive
from services.compute.errors import StoreUnavailable

T = TypeVar("T")
_OK = b'{"status":"ok"}'
_ANSWER_SECONDS = 2.0
"""How long Redis may take here: whoever probes gives up soon, and a slow answer is as good as none."""


def install(app: FastAPI, context: Context) -> None:
    """Add the routes."""

    @app.get("/livez", tags=["operations"], summary="The process answers", response_model=Alive, operation_id="livez")
    async def livez() -> Response:
        """Asks nobody."""
        return Answer(_OK)

    @app.get(
        "/readyz",
        tags=["operations"],
        summary="Tasks are accepted",
        response_model=Alive,
        operation_id="readyz",
        responses=problems(503),
    )
    async def readyz() -> Response:
        """Asks Redis only: with the Dask scheduler down tasks are still accepted."""
        if context.leaving:
            raise Problem(503, "leaving", "this process was told to end: send nothing new to it", retry_after=2)
        await _in_time(context.store.ping())
        return Answer(_OK)

    @app.get(
        "/metrics",
        tags=["operations"],
        summary="Prometheus metrics",
        operation_id="metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Text exposition"}},
    )
    async def metrics() -> Response:
        """Counts of this process, and queue depths of the whole stack."""
        await _measure(context)
        return Answer(context.metrics.render(), content_type=CONTENT_TYPE_LATEST.encode())


async def _in_time(answer: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await answer
    except TimeoutError:
        raise StoreUnavailable(f"Redis did not answer within {_ANSWER_SECONDS:g} s") from None


async def _measure(context: Context) -> None:
    metrics = context.metrics
    try:
        depth = await _in_time(context.store.depth())
    except StoreUnavailable:
        metrics.store_up.set(0)
        metrics.in_flight.set(math.nan)
        for queue in ("interactive", "batch", "delayed"):
            metrics.queue_depth.labels(queue).set(math.nan)
        return
    metrics.store_up.set(1)
    metrics.in_flight.set(depth.flight)
    metrics.queue_depth.labels("interactive").set(depth.interactive)
    metrics.queue_depth.labels("batch").set(depth.batch)
    metrics.queue_depth.labels("delayed").set(depth.delayed)
    metrics.streams.set(context.streams)
