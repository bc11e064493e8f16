"""Hands tasks from Redis to Dask, in every replica: `take` is atomic, so no two hand over the same task.

Between `take` and the scheduler's having it, a bundle can be lost (a killed process, a broken connection). Nothing is
done about that here: it is in flight in Redis, the scheduler does not know it, and reconcile sends it again.
"""

from __future__ import annotations

import asyncio
import random

import structlog

from services.api.cluster import Cluster, SchedulerAway, Snapshot
from services.api.dispatch_settings import DispatchSettings
from services.api.metrics import Metrics
from services.compute.errors import StoreUnavailable
from services.compute.store import AsyncStore, Taken

TAKE = 1000
"""Tasks in one `take`: some 10 ms of the server's time."""

TICK_SECONDS = 1.0
"""How often the queue is looked at unprompted: for retries that came due, and what other processes put back."""

PACED_SECONDS = 0.02
"""The same while tasks wait for the first measurement of their computation."""

FULL_SECONDS = 0.25
"""The same while Dask has all the tasks that it may have."""

log = structlog.get_logger(__name__)


class Dispatcher:
    """The loop that fills Dask.

    Args:
        store: where the tasks wait.
        cluster: where they go.
        settings: bounds.
        metrics: what is counted.
        news: set when there may be tasks, or room for them.
    """

    def __init__(
        self,
        store: AsyncStore,
        cluster: Cluster,
        settings: DispatchSettings,
        metrics: Metrics,
        news: asyncio.Event,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._settings = settings
        self._metrics = metrics
        self._news = news

    def wake(self) -> None:
        """There may be tasks, or room for them."""
        self._news.set()

    async def run(self) -> None:
        """Dispatch until cancelled; survives any error."""
        pause = TICK_SECONDS
        while True:
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            try:
                pause = await self._drain()
            except StoreUnavailable as error:
                log.warning("the queue cannot be read", reason=str(error))
                pause = await self._back_off()
            except SchedulerAway as error:
                log.warning("bundles are sent again by reconcile", reason=str(error))
                pause = TICK_SECONDS
            except Exception:
                self._metrics.loop_errors.labels("dispatch").inc()
                log.exception("dispatch failed")
                pause = await self._back_off()

    async def _back_off(self) -> float:
        await asyncio.sleep(0.5 + random.random())  # noqa: S311
        return TICK_SECONDS

    async def _drain(self) -> float:
        """Dispatch what there is and may be; how long to wait unprompted afterwards."""
        while True:
            snapshot = self._cluster.snapshot
            if snapshot is None or snapshot.threads == 0:
                return TICK_SECONDS
            taken = await self._take(snapshot)
            for bundle in taken.bundles:
                self._metrics.bundle_size.observe(len(bundle.task_ids))
                self._metrics.dispatched.labels(bundle.computation).inc(len(bundle.task_ids))
            for _ in taken.failed:
                self._metrics.failed.labels("version_unavailable").inc()
            await self._cluster.send(taken.bundles)
            if taken.paced:
                return PACED_SECONDS
            if taken.depth.flight >= self._settings.in_flight_max:
                return FULL_SECONDS
            if not taken.bundles or not (taken.depth.interactive or taken.depth.batch):
                return TICK_SECONDS

    async def _take(self, snapshot: Snapshot) -> Taken:
        settings = self._settings
        return await self._store.take(
            limit=TAKE,
            bound=settings.in_flight_max,
            threads=snapshot.threads,
            versions=snapshot.versions,
            scheduler=snapshot.scheduler,
            target_ms=settings.bundle_target_ms,
            max_bundle=settings.bundle_max,
            check_after_ms=int(settings.reconcile_grace * 1000),
            version_wait_ms=int(settings.version_wait * 1000),
        )
