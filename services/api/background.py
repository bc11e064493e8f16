"""What runs beside the HTTP API in each of its processes: the connection to Dask, the dispatcher and the reconciler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from services.api.cluster import Cluster
from services.api.dispatch import Dispatcher
from services.api.dispatch_settings import DispatchSettings
from services.api.metrics import Metrics
from services.api.plan import backoff
from services.api.reconcile import Reconciler
from services.compute.registry import Computation
from services.compute.security import security
from services.compute.store.aio import AsyncStore

STOP_S = 3.0
"""What sending the last bundles, giving back the lease and closing the connection may take, each."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Background:
    """What the HTTP side may ask of what runs beside it.

    Attributes:
        wake: tells the dispatcher that there is work.
        cluster: the connection to Dask.
        reconciler: of this process.
    """

    wake: Callable[[], None]
    cluster: Cluster
    reconciler: Reconciler

    def connected(self) -> bool:
        """Whether there is a Dask scheduler."""
        return self.cluster.snapshot is not None

    def reconciles(self) -> bool:
        """Whether this is the process that reconciles."""
        return self.reconciler.holder


@asynccontextmanager
async def background(
    store: AsyncStore,
    registry: Mapping[str, Computation],
    settings: DispatchSettings,
    metrics: Metrics,
    sweep: Callable[[], int] | None = None,
) -> AsyncIterator[Background]:
    """Run cluster, dispatcher and reconciler until left; no scheduler and no Redis need be there.

    Args:
        store: Redis.
        registry: the computations.
        settings: addresses, bounds, intervals.
        metrics: what is counted.
        sweep: deletes what has expired in the object store; called hourly, by one process, in a thread.

    Raises:
        ValueError: the TLS settings are incomplete.
    """
    cluster = Cluster(settings.scheduler_addresses, security(settings), on_change=lambda: dispatcher.wake())
    dispatcher = Dispatcher(store, cluster, settings, metrics)
    reconciler = Reconciler(store, cluster, registry, settings, metrics, dispatcher.wake, sweep)
    metrics.scheduler_up.set_function(lambda: float(cluster.snapshot is not None))
    loops = {
        name: asyncio.create_task(_supervise(name, run, metrics), name=name)
        for name, run in (("cluster", cluster.run), ("dispatch", dispatcher.run), ("reconcile", reconciler.run))
    }
    try:
        yield Background(dispatcher.wake, cluster, reconciler)
    finally:
        dispatcher.stop()
        await asyncio.wait([loops["dispatch"]], timeout=STOP_S)
        await _end(loops["dispatch"], loops["reconcile"])
        try:
            async with asyncio.timeout(STOP_S):
                await reconciler.close()
        except Exception as error:
            log.info("the reconciler's lease runs out by itself", reason=repr(error))
        await _end(loops["cluster"])


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=2 * STOP_S)


async def _supervise(name: str, run: Callable[[], Awaitable[None]], metrics: Metrics) -> None:
    """Run a loop that should never end by itself; start it again, a little later each time, when it does."""
    crashes = 0
    while True:
        try:
            await run()
        except Exception:
            crashes += 1
            metrics.loop_errors.labels(name).inc()
            pause = backoff(crashes, base=0.5, most=30.0)
            log.exception("a background loop crashed and is started again", loop=name, pause=round(pause, 2))
            await asyncio.sleep(pause)
        else:
            return
