"""How a worker leaves: it finishes what it runs, takes nothing new, loses nothing, and is never waited for too long.

    1. `retire_workers(close_workers=False, remove=False)`: the scheduler sends nothing more and moves our data away.
    2. What was sent here and has not begun goes back (`reschedule`).
    3. Wait for all that runs, seceded parents too, at most for the grace time.
    4. `retire_workers(remove=True)`, which again moves what the last tasks left here, then close.

A sole worker that holds data is refused, and asks again until its time is up. What still runs then goes back into the
queue in Redis as the drain's fault. Nobody waits for code that runs on past its timeout, nor for its children.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable

import structlog

from services.compute.runner import RunnerContext
from services.compute.store.types import Charge
from services.worker.dask_worker import TidegateWorker

log = structlog.get_logger(__name__)

GONE = ("closing", "closed", "failed")
"""Names of the states of a Dask worker that has no scheduler any more."""
POLL_S = 0.05
ASK_AGAIN_S = 1.0
"""Between two requests to be retired, in seconds."""
CLOSE_S = 2.0
"""What closing the Dask worker may take; the scheduler has let go of it already."""
FLUSH_S = 5.0
"""What the last writes to Redis may take beyond the grace time."""


class Drain:
    """One drain of one process.

    Args:
        context: the runner, which knows what runs.
        until: when the grace ends (clock seconds); `hurry` brings it forward.
        clock: monotonic seconds.
    """

    def __init__(self, context: RunnerContext, until: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._until = until
        self._clock = clock

    @property
    def until(self) -> float:
        """When the grace ends (clock seconds)."""
        return self._until

    def hurry(self, until: float) -> None:
        """End the grace earlier."""
        self._until = min(self._until, until)

    async def run(self, worker: TidegateWorker | None) -> None:
        """Drain; `worker` is None when there is no scheduler to say good-bye to."""
        self._context.drain()
        retiring = None
        if worker is not None:
            worker.leave()
            retiring = asyncio.create_task(self._retire(worker, remove=False))
        finished = await self._wait(worker)
        if retiring is not None:
            retiring.cancel()
            await asyncio.gather(retiring, return_exceptions=True)
        if not finished:
            lost = self._context.surrender(Charge.DRAIN)
            log.warning("grace is over: what still runs goes back into the queue", tasks=lost)
        await self._store_the_rest()
        if worker is not None:
            await self._say_goodbye(worker)

    async def _wait(self, worker: TidegateWorker | None) -> bool:
        """Wait until nothing runs; False when the grace ended first."""
        while await self._busy(worker):
            if self._clock() >= self._until:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def _busy(self, worker: TidegateWorker | None) -> bool:
        """Whether something still runs that somebody waits for; sends back what came here meanwhile."""
        running = bool(self._context.running())
        if worker is None or worker.status.name in GONE:
            return running
        worker.send_back_ready()
        abandoned = self._context.abandoned()
        if abandoned and not running:
            await worker.let_go_of_children(abandoned)
        return running or bool(worker.running_keys() - abandoned - worker.released_keys())

    async def _store_the_rest(self) -> None:
        # The grace may be over, or Redis away: what is finished gets its chance all the same.
        until = max(self._until, self._clock() + FLUSH_S)
        await asyncio.to_thread(self._context.close, until)

    async def _say_goodbye(self, worker: TidegateWorker) -> None:
        while not await self._retire(worker, remove=True):
            if self._clock() >= self._until or worker.status.name in GONE:
                break
            # Refused over data here: let go of futures that finished code has left in reference cycles.
            gc.collect()
            await asyncio.sleep(min(ASK_AGAIN_S, max(0.0, self._until - self._clock())))
        try:
            async with asyncio.timeout(CLOSE_S):
                await worker.close(reason="drained")
        except Exception as error:
            log.info("Dask worker did not close in order", error=repr(error))

    async def _retire(self, worker: TidegateWorker, *, remove: bool) -> bool:
        """Ask the scheduler to let go of this worker; False when it refused or did not answer."""
        limit = max(2.0, self._until - self._clock())
        try:
            async with asyncio.timeout(limit):
                answer = await worker.scheduler.retire_workers(
                    workers=[worker.address], close_workers=False, remove=remove
                )
        except Exception as error:
            log.info("scheduler did not retire this worker", error=repr(error))
            return False
        return bool(answer)
