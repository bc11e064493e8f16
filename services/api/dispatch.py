"""The dispatcher: takes tasks from Redis and hands them to Dask; one runs in every API process, `take` is atomic.

What was taken is dispatched in Redis' eyes, whether or not it reached Dask: a failure on the way, or the end of this
process, leaves it to the reconciler. Nothing here needs undoing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from services.api.dispatch_settings import DispatchSettings
from services.api.metrics import Metrics
from services.api.plan import RETURNS_S, TICK_S, Snapshot, backoff, gather_for, pause_after, spread, tasks_in
from services.compute.errors import StoreUnavailable
from services.compute.models import TaskError
from services.compute.store.aio import AsyncStore
from services.compute.store.types import Bundle, Charge, Depth, Handback, Taken

TAKE_MAX = 1000
"""Tasks in one take, at most: Redis is busy with so many for some 10 ms."""
GIVE_BACK_TTL_MS = 86_400_000
LOGGED_IDS = 20
"""Task ids in one log line, at most."""

_UNSENT = TaskError(type="not_sent", message="the Dask scheduler was away")

log = structlog.get_logger(__name__)


class Dask(Protocol):
    """What the dispatcher wants of the cluster."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The scheduler and its workers; None while there is none."""

    def send(self, bundles: Sequence[Bundle]) -> Awaitable[list[Bundle]]:
        """Send bundles; answers those that were not sent."""


class Dispatcher:
    """One process's dispatcher.

    Args:
        store: Redis.
        dask: the cluster.
        settings: bounds and sizes.
        metrics: what is counted.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: AsyncStore,
        dask: Dask,
        settings: DispatchSettings,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._dask = dask
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._work = asyncio.Event()
        self._depth = Depth(0, 0, 0, 0)
        self._failures = 0
        self._stopped = asyncio.Event()

    def wake(self) -> None:
        """Look for work now: there is a new task, or room for one."""
        self._work.set()

    def stop(self) -> None:
        """End `run` after the round at work, so that what it has taken is sent."""
        self._stopped.set()
        self._work.set()

    async def run(self) -> None:
        """Dispatch until told to stop; errors are logged and survived."""
        while not self._stopped.is_set():
            began = self._clock()
            self._work.clear()
            try:
                pause = await self._round()
                self._failures = 0
            except StoreUnavailable as error:
                pause = self._failed()
                log.warning("Redis is away: nothing is dispatched", reason=str(error)[:300], pause=round(pause, 2))
                await self._rest(pause)
                continue
            except Exception:
                pause = self._failed()
                log.exception("a round of the dispatcher failed; it goes on", pause=round(pause, 2))
                await self._rest(pause)
                continue
            keep = began + gather_for(self._depth, self._threads()) - self._clock()
            if keep > 0 and pause < TICK_S:
                await asyncio.sleep(keep)
            await self._wait(pause)

    def _failed(self) -> float:
        self._failures += 1
        self._metrics.loop_errors.labels("dispatch").inc()
        return backoff(self._failures)

    async def _rest(self, seconds: float) -> None:
        """Pause whatever work comes, unless told to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    async def _wait(self, seconds: float) -> None:
        """Pause until woken, for at most so many seconds."""
        if seconds <= 0 or self._work.is_set():
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._work.wait()

    def _threads(self) -> int:
        snapshot = self._dask.snapshot
        return snapshot.threads if snapshot else 0

    async def _round(self) -> float:
        """Take and send once; seconds until the next round."""
        snapshot = self._dask.snapshot
        if snapshot is None or not snapshot.threads:
            return TICK_S  # a scheduler or a worker that comes wakes us
        taken = await self._take(snapshot)
        self._depth = taken.depth
        if taken.failed:
            self._metrics.failed.labels("version_unavailable").inc(len(taken.failed))
            log.warning(
                "tasks failed: no worker held their version for too long",
                tasks=len(taken.failed),
                task_ids=taken.failed[:LOGGED_IDS],
            )
        if taken.bundles:
            unsent = await self._dask.send(taken.bundles)
            self._count(taken.bundles, unsent)
            if unsent:
                await self._give_back(unsent)
                return RETURNS_S
        return pause_after(taken, self._settings.in_flight_max)

    async def _take(self, snapshot: Snapshot) -> Taken:
        settings = self._settings
        return await self._store.take(
            limit=TAKE_MAX,
            bound=settings.in_flight_max,
            threads=spread(snapshot.threads, self._depth.flight, settings.bundle_max),
            versions=snapshot.versions,
            scheduler=snapshot.scheduler,
            target_ms=settings.bundle_target_ms,
            max_bundle=settings.bundle_max,
            check_after_ms=int(settings.reconcile_grace * 1000),
            version_wait_ms=int(settings.version_wait * 1000),
        )

    def _count(self, bundles: Sequence[Bundle], unsent: Sequence[Bundle]) -> None:
        missing = {bundle.dispatch for bundle in unsent}
        sent = [bundle for bundle in bundles if bundle.dispatch not in missing]
        for bundle in sent:
            self._metrics.bundle_size.observe(len(bundle.task_ids))
            self._metrics.dispatched.labels(bundle.computation).inc(len(bundle.task_ids))
        log.debug("dispatched", bundles=len(sent), tasks=tasks_in(sent))

    async def _give_back(self, unsent: Sequence[Bundle]) -> None:
        """Put back what the scheduler did not get; in the worst case the reconciler does."""
        items = [Handback(task_id, bundle.dispatch) for bundle in unsent for task_id in bundle.task_ids]
        log.warning(
            "bundles were not sent and go back",
            bundles=len(unsent),
            tasks=len(items),
            task_ids=[item.task_id for item in items[:LOGGED_IDS]],
        )
        # Each goes to the head of its queue: the last one first, so that their order stays.
        await self._store.requeue(
            items[::-1],
            Charge.FREE,
            delay_ms=0,
            max_attempts=1,
            reason=_UNSENT,
            result_ttl_ms=GIVE_BACK_TTL_MS,
        )
