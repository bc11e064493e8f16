"""What goes on beside the HTTP API in each replica: the connection to Dask, the dispatcher, the reconciler."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import structlog

from services.api.cluster import Cluster
from services.api.dispatch import Dispatcher
from services.api.metrics import Metrics
from services.api.reconcile import Reconciler
from services.api.settings import ApiSettings
from services.compute.registry import Registry
from services.compute.store import AsyncStore

END_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Background(Protocol):
    """What the HTTP side may ask of the loops."""

    def wake(self) -> None:
        """There is work."""


@asynccontextmanager
async def background(
    store: AsyncStore,
    registry: Registry,
    settings: ApiSettings,
    metrics: Metrics,
    sweep: Callable[[], object] | None = None,
) -> AsyncIterator[Background]:
    """Run the loops; ended within seconds on leaving."""
    news = asyncio.Event()
    cluster = Cluster(settings, news.set)
    dispatcher = Dispatcher(store, cluster, settings, metrics, news)
    reconciler = Reconciler(store, cluster, registry, settings, metrics, dispatcher.wake, sweep)
    metrics.scheduler_up.set_function(lambda: float(cluster.snapshot is not None))
    loops = {"cluster": cluster.run, "dispatch": dispatcher.run, "reconcile": reconciler.run}
    tasks = [asyncio.create_task(_kept(name, loop, metrics), name=name) for name, loop in loops.items()]
    try:
        yield dispatcher
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait(tasks, timeout=END_SECONDS)


async def _kept(name: str, loop: Callable[[], Coroutine[Any, Any, None]], metrics: Metrics) -> None:
    """Run a loop, and again should it ever end."""
    while True:
        try:
            await loop()
        except Exception:
            log.exception("a loop ended", loop=name)
        metrics.loop_errors.labels(name).inc()
        await asyncio.sleep(1 + random.random())  # noqa: S311
