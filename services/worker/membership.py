"""Finding a scheduler and joining it: one Dask `Worker` object after the other for one process."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from services.worker.dask_worker import TidegateWorker

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from distributed.security import Security

log = structlog.get_logger(__name__)

CONNECT_S = 2.0
JOIN_S = 10.0
PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Identity:
    """What a worker process announces, the same to each scheduler that it joins.

    Attributes:
        name: the Dask worker's name.
        run: id of this start of the process; a record's `run` equal to it means that the task may still be running.
        machine: name of the machine.
        versions: version of each computation that it holds.
    """

    name: str
    run: str
    machine: str
    versions: Mapping[str, str]

    def announcement(self) -> dict[str, object]:
        """The value under `tidegate` in the scheduler's list of workers."""
        return {"versions": dict(self.versions), "run": self.run, "machine": self.machine}


class Membership:
    """Joins schedulers for one process.

    Args:
        addresses: schedulers, tried in turn.
        identity: what is announced.
        pool: the process's threads.
        security: TLS of the cluster.
        options: further arguments of Dask's `Worker`.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        addresses: list[str],
        identity: Identity,
        pool: Executor,
        security: Security,
        options: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._addresses = addresses
        self._identity = identity
        self._pool = pool
        self._security = security
        self._options = options
        self._clock = clock

    async def join(self, wait: float) -> TidegateWorker | None:
        """A worker that a scheduler has accepted; None when none came in `wait` seconds."""
        give_up = self._clock() + wait
        while True:
            for address in self._addresses:
                if await self._answers(address):
                    worker = await self._join(address)
                    if worker is not None:
                        return worker
            if self._clock() >= give_up:
                return None
            await asyncio.sleep(PAUSE_S * random.uniform(0.5, 1.5))  # noqa: S311

    async def _answers(self, address: str) -> bool:
        from distributed.comm.core import connect

        arguments = self._security.get_connection_args("worker")
        try:
            async with asyncio.timeout(CONNECT_S):
                comm = await connect(address, timeout=CONNECT_S, **arguments)
        except Exception as error:
            log.debug("no scheduler", address=address, error=repr(error))
            return False
        await comm.close()
        return True

    async def _join(self, address: str) -> TidegateWorker | None:
        announcement = self._identity.announcement()
        worker = TidegateWorker(
            address,
            self._pool,
            name=self._identity.name,
            security=self._security,
            startup_information={"tidegate": lambda _: announcement},
            # Dask's own limit for the start; without one it would wait for this scheduler for ever.
            death_timeout=JOIN_S,
            **self._options,
        )
        try:
            await worker
        except Exception as error:
            # Often a name that the scheduler still has for a process that has just died.
            log.warning("scheduler did not accept this worker", address=address, error=str(error)[:300])
            with contextlib.suppress(Exception):
                await worker.close()
            return None
        log.info("worker joined", scheduler=address, address=worker.address, name=self._identity.name)
        return worker
