"""The Dask cluster as the API sees it; the only file of the API that speaks to the scheduler.

A connection is made, used until it breaks, and made anew, with the fallback address in turn. A scheduler is known by
its id: another id is another scheduler, wherever it listens, and knows nothing of what was sent to the one before.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from distributed import Client, Future, fire_and_forget

from services.compute.models import Priority
from services.compute.runner import run_bundle
from services.compute.security import security
from services.compute.settings import SchedulerSettings
from services.compute.store import Bundle

CONNECT_SECONDS = 2.0
REFRESH_SECONDS = 1.0
ANSWER_SECONDS = 5.0
SEND_SECONDS = 0.001
"""How long the client gathers messages; Dask's 10 ms are half of a small task's whole time."""

PRIORITIES = {Priority.INTERACTIVE: 100, Priority.BATCH: 0}
_YIELD_BUNDLES = 20

log = structlog.get_logger(__name__)


class SchedulerAway(Exception):  # a state of the world, reported by raising
    """No scheduler is connected, or it gave no answer in time; nothing is known about what it has."""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One Dask worker as the scheduler sees it.

    Attributes:
        address: where it is.
        threads: tasks it runs at a time; 0 while it takes none.
        run: id of its process; empty for a worker that is none of ours.
        versions: version by computation.
    """

    address: str
    threads: int
    run: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The cluster at one moment.

    Attributes:
        scheduler: id of the scheduler.
        workers: all workers.
        versions: versions held by computation, over all workers that take work.
    """

    scheduler: str
    workers: tuple[WorkerView, ...]
    versions: Mapping[str, frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        held: dict[str, set[str]] = {}
        for worker in self.workers:
            if worker.threads:
                for name, version in worker.versions.items():
                    held.setdefault(name, set()).add(version)
        object.__setattr__(self, "versions", {name: frozenset(versions) for name, versions in held.items()})

    @property
    def threads(self) -> int:
        """Threads of all workers that take work."""
        return sum(worker.threads for worker in self.workers)

    @property
    def runs(self) -> frozenset[str]:
        """Ids of the worker processes that are connected, draining ones too."""
        return frozenset(worker.run for worker in self.workers if worker.run)

    def holders(self, computation: str, version: str) -> list[str] | None:
        """Addresses of the workers to prefer for this version; None when all hold it, as outside of a rollout."""
        if len(self.versions.get(computation, ())) <= 1:
            return None
        return [worker.address for worker in self.workers if worker.versions.get(computation) == version]


def view(identity: Mapping[str, Any]) -> Snapshot:
    """The snapshot in a scheduler's `identity` answer."""
    workers = []
    for address, worker in identity["workers"].items():
        told = worker.get("tidegate") or {}
        takes_work = worker["status"] == "running" and told
        workers.append(
            WorkerView(address, worker["nthreads"] if takes_work else 0, told.get("run", ""), told.get("versions", {}))
        )
    return Snapshot(str(identity["id"]), tuple(workers))


class Cluster:
    """The connection to the scheduler.

    Args:
        settings: addresses and certificates.
        changed: called when there may be new room: a bundle ended, or the cluster changed.
    """

    def __init__(self, settings: SchedulerSettings, changed: Callable[[], None]) -> None:
        self._addresses = [a for a in (settings.scheduler_address, settings.scheduler_fallback) if a]
        self._security = security(settings)
        self._changed = changed
        self._client: Client | None = None
        self._futures: dict[str, Future[Any]] = {}
        self.snapshot: Snapshot | None = None
        """What the scheduler last said; None while there is none."""

    async def run(self) -> None:
        """Stay connected until cancelled."""
        turn = 0
        while True:
            address = self._addresses[turn % len(self._addresses)]
            turn += 1
            try:
                await self._session(address)
                turn = 0
            except (OSError, TimeoutError) as error:
                log.info("no scheduler", address=address, reason=str(error)[:200])
            finally:
                self._forget()
            if turn % len(self._addresses) == 0:
                await asyncio.sleep(0.5 * (0.5 + random.random()))  # noqa: S311

    async def _session(self, address: str) -> None:
        """Connect, and look at the cluster every second until the connection breaks."""
        client = Client(
            address,
            asynchronous=True,
            set_as_default=False,
            timeout=CONNECT_SECONDS,
            security=self._security,
            direct_to_workers=False,
            name="tidegate-api",
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await client
            stream: Any = client.scheduler_comm
            stream.interval = SEND_SECONDS
            scheduler = None
            while client.status == "running" and not stream.comm.closed():
                async with asyncio.timeout(ANSWER_SECONDS):
                    seen = view(await _rpc(client).identity(n_workers=-1))
                if scheduler is None:
                    scheduler = seen.scheduler
                    log.info("scheduler connected", address=address, scheduler=scheduler, workers=len(seen.workers))
                elif seen.scheduler != scheduler:  # Dask's client has connected to a new one by itself
                    return
                news = self.snapshot is None or self.snapshot.threads != seen.threads
                self._client, self.snapshot = client, seen
                if news or seen.threads == 0:
                    self._changed()
                await asyncio.sleep(REFRESH_SECONDS)
            log.warning("scheduler lost", address=address)
        finally:
            self._forget()
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await client.close(timeout=1)
            except (OSError, TimeoutError):
                log.debug("the client did not close in time", address=address)

    def _forget(self) -> None:
        self._client, self.snapshot = None, None
        self._futures.clear()

    async def send(self, bundles: Sequence[Bundle]) -> None:
        """Hand bundles to the scheduler; what it has is run also when this process ends.

        Only what the scheduler says it has counts as sent: reconcile asks it after the grace time.

        Raises:
            SchedulerAway: there is none; some of the bundles may have been sent.
        """
        for count, bundle in enumerate(bundles, 1):
            client, snapshot = self._client, self.snapshot
            if client is None or snapshot is None:
                raise SchedulerAway("the scheduler went away while bundles were being sent")
            holders = snapshot.holders(bundle.computation, bundle.version)
            future = client.submit(
                run_bundle,
                bundle.dispatch,
                bundle.computation,
                bundle.version,
                bundle.task_ids,
                key=bundle.dispatch,
                priority=PRIORITIES[bundle.priority],
                workers=holders,
                # Another worker gives it back; without leave for that, a holder that is gone would keep it waiting.
                allow_other_workers=holders is not None,
                pure=False,
            )
            fire_and_forget(future)
            # Held only to hear of the end; a signal that is lost costs a tick.
            self._futures[bundle.dispatch] = future
            future.add_done_callback(self._ended)
            if count % _YIELD_BUNDLES == 0:
                await asyncio.sleep(0)

    def _ended(self, future: Future[Any]) -> None:
        self._futures.pop(str(future.key), None)
        self._changed()

    async def statuses(self, keys: Sequence[str]) -> dict[str, str | None]:
        """What the scheduler says of these Dask keys; None for those that it does not know.

        Raises:
            SchedulerAway: it cannot be asked.
        """
        client = self._client
        if client is None:
            raise SchedulerAway("no scheduler is connected")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return dict(await _rpc(client).get_task_status(keys=list(keys)))
        except (OSError, TimeoutError) as error:
            raise SchedulerAway(f"the scheduler did not answer: {error}") from error


def _rpc(client: Client) -> Any:
    """The scheduler's remote procedures; Dask types them as optional."""
    return client.scheduler
