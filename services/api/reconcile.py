"""Compares what should be at Dask with what is there, and acts on the difference; one replica at a time.

Redis says what was dispatched, the scheduler what it has. `decide` is pure: one task, what the scheduler says of its
key, a verdict. No answer from the scheduler means hold: only deadlines are enforced without it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import Enum

import structlog

from services.api.cluster import Cluster, SchedulerAway
from services.api.dispatch_settings import DispatchSettings
from services.api.metrics import Metrics
from services.compute.errors import StoreUnavailable
from services.compute.models import State, TaskError
from services.compute.registry import Registry
from services.compute.store import AsyncStore, Charge, Finished, FlightEntry, Handback

LEASE = "reconcile"
LEASE_MS = 5_000
PAGE = 500
_ALIVE = frozenset({"waiting", "no-worker", "queued", "processing"})
_WITHOUT_WORKER = _ALIVE - {"processing"}
_DELAY_MAX_SECONDS = 60.0
_SWEEP_SECONDS = 3600.0
_ATTEMPTS = 4
_TTL_MS = 86_400_000

log = structlog.get_logger(__name__)


class Verdict(Enum):
    """What to do with a task in flight.

    WAIT: it is where it should be, or nothing is known: look again later.
    EXPIRE: its deadline has passed and its worker did not end it: FAILED.
    FREE: it got lost before a worker began it, or with its scheduler: send it again without cost.
    CHARGE: the worker that began it is gone: the next attempt.
    """

    WAIT = "wait"
    EXPIRE = "expire"
    FREE = "free"
    CHARGE = "charge"


def decide(entry: FlightEntry, *, scheduler: str | None, status: str | None, runs: frozenset[str]) -> Verdict:
    """What to do with one task.

    Args:
        entry: the task as Redis has it.
        scheduler: id of the present scheduler; None while there is none.
        status: what that scheduler says of the task's Dask key; None when it does not know it.
        runs: ids of the worker processes connected to it.
    """
    if entry.overdue:
        return Verdict.EXPIRE
    if scheduler is None:
        return Verdict.WAIT
    alive = entry.run is not None and entry.run in runs
    if entry.scheduler != scheduler:
        return Verdict.WAIT if alive else Verdict.FREE
    if entry.state is State.PENDING:
        return Verdict.WAIT if status in _ALIVE else Verdict.FREE
    if status == "processing" or (alive and status in _WITHOUT_WORKER):
        return Verdict.WAIT
    return Verdict.CHARGE


def backoff_ms(attempts: int) -> int:
    """Milliseconds before the next attempt, with jitter; doubles with each."""
    return int(1000 * min(_DELAY_MAX_SECONDS, 0.5 * 2 ** min(attempts, 16)) * (0.5 + random.random()))  # noqa: S311


def lost_reason(entry: FlightEntry) -> TaskError:
    """Why a task is FAILED whose last worker was lost, from what that worker wrote."""
    began = datetime.fromtimestamp((entry.started or 0) / 1000, UTC).isoformat(timespec="seconds")
    return TaskError(
        type="worker_lost",
        message=f"worker {entry.worker or 'unknown'} was lost while it ran attempt {entry.attempts}, begun at {began}, "
        "and no attempt is left",
    )


class Reconciler:
    """The loop that finds what got lost.

    Args:
        store: what should be.
        cluster: what is.
        registry: attempts and lifetimes by computation.
        settings: times.
        metrics: what is counted.
        wake: called when tasks were put back.
        sweep: removes expired large results; called about once an hour by the replica that reconciles.
    """

    def __init__(
        self,
        store: AsyncStore,
        cluster: Cluster,
        registry: Registry,
        settings: DispatchSettings,
        metrics: Metrics,
        wake: Callable[[], None],
        sweep: Callable[[], object] | None = None,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._registry = registry
        self._settings = settings
        self._metrics = metrics
        self._wake = wake
        self._sweep = sweep
        self._swept = 0.0
        self._owner = secrets.token_hex(8)

    async def run(self) -> None:
        """Reconcile until cancelled; survives any error, gives the lease back at the end."""
        try:
            while True:
                try:
                    if await self._store.lease(LEASE, self._owner, LEASE_MS):
                        await self.round()
                        await self._housekeep()
                except StoreUnavailable as error:
                    log.warning("reconcile cannot read what is in flight", reason=str(error))
                except Exception:
                    self._metrics.loop_errors.labels("reconcile").inc()
                    log.exception("reconcile failed")
                await asyncio.sleep(self._settings.reconcile_interval * (0.9 + 0.2 * random.random()))  # noqa: S311
        finally:
            await self._let_go()

    async def _let_go(self) -> None:
        try:
            async with asyncio.timeout(1):
                await self._store.release(LEASE, self._owner)
        except (StoreUnavailable, TimeoutError):
            log.debug("the lease runs out by itself")

    async def round(self) -> None:
        """Look at all tasks that are due, page by page."""
        for _ in range(max(1, self._settings.in_flight_max // PAGE)):
            entries = await self._store.due(PAGE)
            if entries:
                await self._act(entries)
            if len(entries) < PAGE:
                return
            await self._store.lease(LEASE, self._owner, LEASE_MS)

    async def _act(self, entries: Sequence[FlightEntry]) -> None:
        snapshot = self._cluster.snapshot
        scheduler, runs, statuses = None, frozenset[str](), dict[str, str | None]()
        if snapshot is not None:
            keys = {entry.dispatch for entry in entries if not entry.overdue}
            try:
                statuses = await self._cluster.statuses(sorted(keys)) if keys else {}
                scheduler, runs = snapshot.scheduler, snapshot.runs
            except SchedulerAway as error:
                log.info("reconcile holds", reason=str(error))
        verdicts: dict[Verdict, list[FlightEntry]] = {verdict: [] for verdict in Verdict}
        for entry in entries:
            status = statuses.get(entry.dispatch)
            verdicts[decide(entry, scheduler=scheduler, status=status, runs=runs)].append(entry)
        await self._store.postpone(
            [entry.task_id for entry in verdicts[Verdict.WAIT]], int(self._settings.reconcile_grace * 1000)
        )
        await self._expire(verdicts[Verdict.EXPIRE])
        await self._free(verdicts[Verdict.FREE])
        for entry in verdicts[Verdict.CHARGE]:
            await self._charge(entry)
        if verdicts[Verdict.FREE] or verdicts[Verdict.CHARGE]:
            self._wake()

    def _options(self, entry: FlightEntry) -> tuple[int, int]:
        """Attempts allowed and milliseconds that a final record is kept."""
        known = self._registry.get(entry.computation)
        return (known.max_attempts, int(known.result_ttl * 1000)) if known else (_ATTEMPTS, _TTL_MS)

    async def _expire(self, entries: Sequence[FlightEntry]) -> None:
        ended = []
        for entry in entries:
            seconds = ((entry.deadline or 0) - (entry.started or 0)) / 1000
            error = TaskError(
                type="timeout",
                message=f"attempt {entry.attempts} did not end within its {seconds:g} s on worker {entry.worker}",
            )
            _, ttl_ms = self._options(entry)
            ended.append(Finished(entry.task_id, entry.fence or 0, State.FAILED, ttl_ms, error=error))
            log.warning("task is past its deadline", task_id=entry.task_id, worker=entry.worker)
        await self._store.finish(ended)
        if ended:
            self._metrics.failed.labels("timeout").inc(len(ended))

    async def _free(self, entries: Sequence[FlightEntry]) -> None:
        if not entries:
            return
        states = await self._store.requeue(
            [Handback(entry.task_id, entry.dispatch) for entry in entries],
            Charge.FREE,
            delay_ms=0,
            max_attempts=_ATTEMPTS,
            reason=TaskError(type="worker_lost", message="the scheduler was lost"),
            result_ttl_ms=_TTL_MS,
        )
        count = sum(state is not None for state in states)
        self._metrics.requeued.labels("unknown to the scheduler").inc(count)
        log.warning("tasks unknown to the scheduler are sent again", count=count, first=entries[0].task_id)

    async def _charge(self, entry: FlightEntry) -> None:
        max_attempts, ttl_ms = self._options(entry)
        (state,) = await self._store.requeue(
            [Handback(entry.task_id, entry.dispatch)],
            Charge.ATTEMPT,
            delay_ms=backoff_ms(entry.attempts),
            max_attempts=max_attempts,
            reason=lost_reason(entry),
            result_ttl_ms=ttl_ms,
        )
        if state is None:
            return
        (self._metrics.failed if state is State.FAILED else self._metrics.requeued).labels("worker lost").inc()
        log.warning("task lost its worker", task_id=entry.task_id, worker=entry.worker, state=state.value)

    async def _housekeep(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._sweep is None or now - self._swept < _SWEEP_SECONDS:
            return
        self._swept = now
        await asyncio.to_thread(self._sweep)
