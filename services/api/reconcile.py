"""The reconciler: compares what Redis says is in Dask with what Dask says, and acts on the difference.

One API process does it, the holder of a lease; the others stand by. Its memory (who is a suspect since when) may be
lost with it: the next holder begins anew and acts a little later.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import structlog

from services.api.dispatch_settings import DispatchSettings
from services.api.metrics import Metrics
from services.api.plan import SchedulerUnavailable, Snapshot, Statuses, backoff
from services.api.verdicts import Act, Facts, Verdict, decide, lost_message, timeout_message
from services.compute.errors import StoreUnavailable
from services.compute.models import State, TaskError
from services.compute.registry import Computation
from services.compute.store.aio import AsyncStore
from services.compute.store.types import Charge, Finished, FlightEntry, Handback

LEASE = "reconcile"
LEASE_MS = 5000
PAGE = 500
PAGES_MAX = 100
LOOKS_PER_S = 2000
"""Tasks looked at each second, about: with very many in flight each is looked at less often."""
SUSPECT_MS = 1000
SWEEP_S = 3600.0

_DEFAULT_ATTEMPTS = 4
_DEFAULT_TTL_S = 86_400.0
_FREE = TaskError(type="requeued", message="sent again")

log = structlog.get_logger(__name__)


class Dask(Protocol):
    """What the reconciler wants of the cluster."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The scheduler and its workers; None while there is none."""

    def statuses(self, keys: Sequence[str]) -> Awaitable[Statuses]:
        """The scheduler's word about these keys; raises SchedulerUnavailable."""


class Reconciler:
    """One process's reconciler.

    Args:
        store: Redis.
        dask: the cluster.
        registry: the computations, for their limits.
        settings: interval and grace.
        metrics: what is counted.
        wake: told when tasks were put back into the queue.
        sweep: deletes what has expired in the object store; called hourly, in a thread.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: AsyncStore,
        dask: Dask,
        registry: Mapping[str, Computation],
        settings: DispatchSettings,
        metrics: Metrics,
        wake: Callable[[], None] = lambda: None,
        sweep: Callable[[], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._dask = dask
        self._registry = registry
        self._grace_ms = int(settings.reconcile_grace * 1000)
        self._patience = 2 * settings.reconcile_grace
        self._interval = settings.reconcile_interval
        self._metrics = metrics
        self._wake = wake
        self._sweep = sweep
        self._sweeping: asyncio.Task[None] | None = None
        self._clock = clock
        self._swept = clock()
        self._owner = secrets.token_hex(8)
        self._holder = False
        self._failures = 0
        self._suspects: dict[tuple[str, str], float] = {}

    @property
    def holder(self) -> bool:
        """Whether this process held the lease in its last round."""
        return self._holder

    async def run(self) -> None:
        """Reconcile until cancelled; errors are logged and survived."""
        while True:
            began = self._clock()
            try:
                await self.round()
                self._failures = 0
            except StoreUnavailable as error:
                log.warning("Redis is away: nothing is reconciled", reason=str(error)[:300])
                await self._failed()
            except Exception:
                log.exception("a round of the reconciler failed; it goes on")
                await self._failed()
            # From start to start, so that deadlines are kept also when a round takes long.
            await asyncio.sleep(max(0.05, self._interval - (self._clock() - began)))

    async def _failed(self) -> None:
        self._failures += 1
        self._metrics.loop_errors.labels("reconcile").inc()
        await asyncio.sleep(backoff(self._failures, most=2.0))

    async def close(self) -> None:
        """Let another process take over at once."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._holder:
            self._holder = False
            await self._store.release(LEASE, self._owner)

    async def round(self) -> None:
        """Take or prolong the lease; with it, look at every task that is due."""
        holder = await self._store.lease(LEASE, self._owner, LEASE_MS)
        if holder != self._holder:
            log.info("reconciler at work" if holder else "reconciler stands by", owner=self._owner)
        self._holder = holder
        if not holder:
            self._suspects.clear()
            return
        self._housekeeping()
        flight = 0
        ask = True
        seen: set[tuple[str, str]] = set()
        for _ in range(PAGES_MAX):
            page = await self._store.due(PAGE)
            flight += len(page)
            seen.update((entry.task_id, entry.dispatch) for entry in page)
            # A scheduler that has not answered once is not asked again in this round: deadlines come first.
            ask = await self._page(page, ask, flight) and ask
            if len(page) < PAGE:
                break
        self._forget_suspects(seen)

    async def _page(self, page: Sequence[FlightEntry], ask: bool, flight: int) -> bool:
        """Look at some tasks; whether the scheduler answered."""
        await self._expire([entry for entry in page if entry.state is State.RUNNING and entry.overdue])
        rest = [entry for entry in page if not (entry.state is State.RUNNING and entry.overdue)]
        if not rest:
            return True
        facts = await self._facts(rest) if ask else None
        keep: list[str] = []
        again: list[str] = []
        free: dict[str, list[FlightEntry]] = {}
        for entry in rest:
            verdict = self._judge(entry, facts)
            if verdict.act is Act.KEEP:
                keep.append(entry.task_id)
            elif verdict.act is Act.SUSPECT:
                again.append(entry.task_id)
            elif verdict.act is Act.FREE:
                free.setdefault(verdict.why, []).append(entry)
            else:
                await self._charge(entry, verdict)
        for why, entries in free.items():
            await self._free(entries, why)
        await self._store.postpone(keep, max(self._grace_ms, min(1000 * flight // LOOKS_PER_S, 2 * self._grace_ms)))
        await self._store.postpone(again, SUSPECT_MS)
        return facts is not None

    async def _facts(self, entries: Sequence[FlightEntry]) -> Facts | None:
        snapshot = self._dask.snapshot
        if snapshot is None:
            return None
        try:
            answer = await self._dask.statuses(sorted({entry.dispatch for entry in entries}))
        except SchedulerUnavailable as error:
            log.info("the scheduler gave no certain answer: tasks in flight are left alone", reason=str(error)[:300])
            return None
        if answer.scheduler != snapshot.scheduler:
            return None
        return Facts(answer.scheduler, answer.states, snapshot.runs)

    def _judge(self, entry: FlightEntry, facts: Facts | None) -> Verdict:
        key = (entry.task_id, entry.dispatch)
        now = self._clock()
        since = self._suspects.get(key)
        verdict = decide(entry, facts, None if since is None else now - since, self._patience)
        if verdict.act is Act.SUSPECT:
            self._suspects.setdefault(key, now)
        elif facts is not None:
            self._suspects.pop(key, None)
        return verdict

    def _forget_suspects(self, seen: set[tuple[str, str]]) -> None:
        """Suspects that have moved on by themselves are not due any more."""
        old = self._clock() - self._patience - 2 * SUSPECT_MS / 1000 - self._interval
        for key, since in list(self._suspects.items()):
            if key not in seen and since < old:
                del self._suspects[key]

    # What is done about a task.

    async def _expire(self, entries: Sequence[FlightEntry]) -> None:
        ends = [
            Finished(
                entry.task_id,
                entry.fence,
                State.FAILED,
                self._ttl_ms(entry),
                error=TaskError(type="timeout", message=timeout_message(entry)),
            )
            for entry in entries
            if entry.fence is not None
        ]
        if not ends:
            return
        for end, accepted in zip(ends, await self._store.finish(ends), strict=True):
            if accepted:
                self._metrics.failed.labels("timeout").inc()
                log.warning("task failed: past its deadline", task_id=end.task_id)

    async def _free(self, entries: Sequence[FlightEntry], why: str) -> None:
        # Each goes to the head of its queue: the last one first, so that their order stays.
        states = await self._store.requeue(
            [Handback(entry.task_id, entry.dispatch) for entry in reversed(entries)],
            Charge.FREE,
            delay_ms=0,
            max_attempts=_DEFAULT_ATTEMPTS,
            reason=_FREE,
            result_ttl_ms=int(_DEFAULT_TTL_S * 1000),
        )
        back = sum(state is State.PENDING for state in states)
        if back:
            self._metrics.requeued.labels(why).inc(back)
            log.info("tasks are sent again", reason=why, tasks=back)
            self._wake()

    async def _charge(self, entry: FlightEntry, verdict: Verdict) -> None:
        computation = self._registry.get(entry.computation)
        (state,) = await self._store.requeue(
            [Handback(entry.task_id, entry.dispatch)],
            Charge.ATTEMPT,
            delay_ms=int(1000 * backoff(entry.attempts, base=1.0, most=30.0)),
            max_attempts=_DEFAULT_ATTEMPTS if computation is None else computation.max_attempts,
            reason=TaskError(type="worker_lost", message=lost_message(entry, verdict.why)),
            result_ttl_ms=self._ttl_ms(entry),
        )
        if state is None:
            return
        failed = state is State.FAILED
        (self._metrics.failed if failed else self._metrics.requeued).labels(verdict.why).inc()
        log.warning(
            "task failed: no attempt left" if failed else "attempt was lost, task is sent again",
            task_id=entry.task_id,
            reason=verdict.why,
            worker=entry.worker,
            attempts=entry.attempts,
        )

    def _ttl_ms(self, entry: FlightEntry) -> int:
        computation = self._registry.get(entry.computation)
        return int(1000 * (_DEFAULT_TTL_S if computation is None else computation.result_ttl))

    def _housekeeping(self) -> None:
        """Sweep the object store now and then, beside the rounds."""
        if self._sweep is None or self._clock() - self._swept < SWEEP_S:
            return
        self._swept = self._clock()
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._swept_by(self._sweep), name="sweep")

    async def _swept_by(self, sweep: Callable[[], int]) -> None:
        try:
            log.info("object store swept", deleted=await asyncio.to_thread(sweep))
        except Exception:
            self._metrics.loop_errors.labels("sweep").inc()
            log.exception("the object store could not be swept; it is tried again in an hour")
