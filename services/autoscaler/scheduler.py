"""The Dask scheduler, asked by RPC: the only file of the autoscaler that knows `distributed`.

Each look is a connection of its own, so that a scheduler that was replaced is met by the next look. Addresses are
tried in turn: the one that was given, then the name that leads to whoever has taken its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from distributed.core import rpc
from distributed.security import Security

from services.autoscaler.errors import SchedulerUnavailable
from services.autoscaler.model import DaskWorker, SchedulerView

T = TypeVar("T")

CONNECT_S = 2.0
ANSWER_S = 5.0
"""What one address has for a look in all. All addresses together must leave some of the lease: a round that is longer
is given up."""

_WORKING = frozenset({"running", "paused", "init"})


class SchedulerClient:
    """Asks the scheduler, blocking.

    Args:
        addresses: where it may be, in the order to try.
        security: TLS of the Dask cluster.
        target_duration: seconds in which all work should be done, for `adaptive_target`.
    """

    def __init__(self, addresses: Sequence[str], security: Security, target_duration: float) -> None:
        self._addresses = addresses
        self._arguments = security.get_connection_args("client")
        self._target_duration = target_duration
        self._runner = asyncio.Runner()

    def look(self) -> SchedulerView:
        """The scheduler's wish and its workers.

        Raises:
            SchedulerUnavailable: nobody answered in time.
        """
        return self._ask(self._look)

    def retire(self, workers: Sequence[str]) -> frozenset[str]:
        """Have these workers (Dask addresses) take nothing new, and their data moved away; they go on with what runs.

        Returns:
            addresses of those that do; the others go on as before.

        Raises:
            SchedulerUnavailable: nobody answered in time.
        """

        async def ask(scheduler: Any, _: str) -> frozenset[str]:
            answer = await scheduler.retire_workers(workers=list(workers), close_workers=False, remove=False)
            return frozenset(answer) if isinstance(answer, Mapping) else frozenset()

        return self._ask(ask)

    def close(self) -> None:
        """Give up what the calls left behind."""
        self._runner.close()

    async def _look(self, scheduler: Any, address: str) -> SchedulerView:
        identity = await scheduler.identity(n_workers=-1)
        running = await scheduler.processing(workers=None)
        target = await scheduler.adaptive_target(target_duration=f"{self._target_duration}s")
        workers = (_worker(where, about, running) for where, about in (identity["workers"] or {}).items() if about)
        return SchedulerView(str(identity["id"]), address, int(target), tuple(workers))

    def _ask(self, question: Callable[[Any, str], Awaitable[T]]) -> T:
        failures = []
        for address in self._addresses:
            try:
                return self._runner.run(self._bounded(address, question))
            except Exception as error:
                failures.append(f"{address}: {error!r}"[:200])
        raise SchedulerUnavailable(f"no Dask scheduler answers ({'; '.join(failures)})")

    async def _bounded(self, address: str, question: Callable[[Any, str], Awaitable[T]]) -> T:
        async with asyncio.timeout(ANSWER_S):
            scheduler = rpc(address, timeout=CONNECT_S, connection_args=self._arguments)
            try:
                return await question(scheduler, address)
            finally:
                await scheduler.close_rpc()


def _worker(address: str, about: Mapping[str, Any], running: Mapping[str, Sequence[object]]) -> DaskWorker:
    """Read one worker out of the scheduler's `identity`; what a foreign worker announces is ignored, never an error."""
    announced = about.get("tidegate")
    name = str(about.get("name", address))
    metrics = about.get("metrics")
    metrics = metrics if isinstance(metrics, Mapping) else {}
    return DaskWorker(
        address=address,
        name=name,
        machine=str(announced.get("machine") or name) if isinstance(announced, Mapping) else name,
        threads=int(about.get("nthreads") or 0),
        # What a worker runs since before it joined, the scheduler does not know; the worker itself says so.
        running=len(running.get(address, ())) + int(metrics.get("tidegate_running") or 0),
        stored=int(metrics.get("managed_bytes") or 0),
        leaving=str(about.get("status", "")) not in _WORKING,
    )
