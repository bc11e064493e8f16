"""The connection to Dask: the only file of the API that knows `distributed.Client`.

It holds no state that matters. What it sends is wanted by Dask's own "fire-and-forget" client, so that no task depends
on this process; what is lost on the way (a send buffer dies with its process) the reconciler finds out by asking the
scheduler. On any doubt the connection is given up and a new one made: Dask's client would reconnect by itself, but only
to the same address, and would send what it had buffered to a scheduler that it was not meant for.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from distributed import Client, Future, fire_and_forget
from distributed.security import Security

from services.api.plan import Graph, SchedulerUnavailable, Snapshot, Statuses, backoff, graphs, snapshot_of
from services.compute.runner import run_bundle
from services.compute.store.types import Bundle

CONNECT_S = 2.0
LOOK_S = 1.0
"""Between two looks at the workers."""
NOTICE_S = 0.25
"""A broken connection is noticed this fast, and at once by whoever sends."""
ANSWER_S = 10.0
"""A scheduler that says nothing for so long is given up."""
STATUS_S = 1.0
"""What asking for the states of some keys may take."""
CLOSE_S = 2.0
WINDOW = 200
"""Bundles sent and not known to the scheduler yet, at most: behind more of them an urgent one would wait too long."""
SEND_INTERVAL_S = 0.001
"""Dask's clients gather messages for 10 ms, which doubles the latency of a single task."""

log = structlog.get_logger(__name__)


class Link:
    """One connection to one scheduler, from its start to its first fault.

    Args:
        client: connected.
        address: where to.
    """

    def __init__(self, client: Client, address: str) -> None:
        self.address = address
        self._client = client
        self._comm = _stream(client)
        self._comm.interval = SEND_INTERVAL_S
        self._unseen = 0
        self._last: Future[None] | None = None  # the last bundle that fills the window

    @classmethod
    async def open(cls, address: str, secure: Security) -> Link:
        """Connect.

        Raises:
            SchedulerUnavailable: nobody answers there in time.
        """
        client = Client(
            address, asynchronous=True, set_as_default=False, timeout=CONNECT_S, security=secure, name="tidegate"
        )
        try:
            async with asyncio.timeout(CONNECT_S + 1):
                await client
        except Exception as error:
            await _close(client)
            raise SchedulerUnavailable(f"no Dask scheduler at {address}: {error!r}") from error
        except BaseException:
            await _close(client)
            raise
        return cls(client, address)

    async def close(self) -> None:
        """Send what is buffered and close, in bounded time."""
        self._last = None
        await _close(self._client)

    @property
    def lost(self) -> bool:
        """Whether the connection has broken, even if Dask's client has made a new one since."""
        client = self._client
        return client.status != "running" or bool(self._comm.closed()) or client.scheduler_comm is not self._comm

    async def look(self, seconds: float) -> Snapshot:
        """Ask for the scheduler's id and its workers, in at most so many seconds.

        Raises:
            SchedulerUnavailable: no answer.
        """
        return snapshot_of(await self._ask("identity", seconds, n_workers=-1), self.address)

    async def states(self, keys: Sequence[str], seconds: float) -> dict[str, str | None]:
        """Ask for the states of some keys.

        Raises:
            SchedulerUnavailable: no answer.
        """
        return dict(await self._ask("get_task_status", seconds, keys=list(keys)))

    async def _ask(self, operation: str, seconds: float, **arguments: object) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await getattr(self._client.scheduler, operation)(**arguments)
        except Exception as error:
            raise SchedulerUnavailable(f"the Dask scheduler at {self.address} gave no answer: {error!r}") from error

    async def room(self) -> bool:
        """Wait until the scheduler has taken in most of what was sent; False when it did not in time."""
        if self._last is None:
            return True
        # A future keeps its key known also when the bundle ends sooner than we ask. It is let go of at once, since
        # what it holds is data on a worker, and a sole worker with data is not let go.
        key = str(self._last.key)
        with contextlib.suppress(SchedulerUnavailable, TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                while not self.lost:
                    if (await self.states([key], ANSWER_S))[key] is not None:
                        self._unseen, self._last = 0, None
                        return True
                    await asyncio.sleep(0.005)
        return False

    def submit(self, graph: Graph) -> None:
        """Hand one graph over; nothing is known of its arrival."""
        bundles = graph.bundles
        keys = [bundle.dispatch for bundle in bundles]
        futures = self._client.map(
            run_bundle,
            keys,
            [bundle.computation for bundle in bundles],
            [bundle.version for bundle in bundles],
            [bundle.task_ids for bundle in bundles],
            key=keys,
            pure=False,
            retries=0,
            priority=graph.priority,
            fifo_timeout="0 ms",
            workers=list(graph.workers) if graph.workers else None,
            # Should the holders all go, another worker gets the bundle and gives it back: no key waits for ever.
            allow_other_workers=bool(graph.workers),
        )
        fire_and_forget(futures)
        self._unseen += len(keys)
        if self._unseen >= WINDOW:
            self._last = futures[-1]


class Cluster:
    """Stays connected to the scheduler, wherever it is.

    Args:
        addresses: where it may be, in the order to try.
        secure: TLS of the Dask cluster.
        on_change: called when a scheduler was found or lost, and when its workers change.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        secure: Security,
        on_change: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._addresses = addresses
        self._secure = secure
        self._on_change = on_change
        self._clock = clock
        self._link: Link | None = None
        self._snapshot: Snapshot | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """The scheduler and its workers, at most some seconds old; None while there is none."""
        return None if self._link is None or self._link.lost else self._snapshot

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost, until cancelled."""
        failures = 0
        while True:
            link = await self._find()
            if link is None:
                failures += 1
                if failures == 1:
                    log.warning("no Dask scheduler answers; tasks wait in Redis", addresses=list(self._addresses))
                await asyncio.sleep(backoff(failures, base=0.1, most=1.0))
                continue
            failures = 0
            try:
                await self._follow(link)
            except SchedulerUnavailable as error:
                log.warning("Dask scheduler lost", address=link.address, reason=str(error)[:300])
            finally:
                self._link = None
                self._publish(None)
                await link.close()
            await asyncio.sleep(backoff(1))

    async def _find(self) -> Link | None:
        for address in self._addresses:
            try:
                return await Link.open(address, self._secure)
            except SchedulerUnavailable as error:
                log.debug("no Dask scheduler", address=address, reason=str(error)[:300])
        return None

    async def _follow(self, link: Link) -> None:
        """Look at the workers again and again; ends with SchedulerUnavailable when the scheduler is another one."""
        first = await link.look(CONNECT_S)
        self._link = link
        log.info("connected to a Dask scheduler", address=link.address, scheduler=first.scheduler)
        self._publish(first)
        while True:
            took = self._clock()
            seen = await link.look(ANSWER_S)
            took = self._clock() - took
            if seen.scheduler != first.scheduler:
                raise SchedulerUnavailable("another scheduler answers at its address")
            self._publish(seen)
            # Of many workers the scheduler has much to say: less often then.
            end = self._clock() + max(LOOK_S, 20 * took)
            while (left := end - self._clock()) > 0:
                await asyncio.sleep(min(left, NOTICE_S))
                if link.lost:
                    raise SchedulerUnavailable("the connection broke")

    def _publish(self, snapshot: Snapshot | None) -> None:
        before, self._snapshot = self._snapshot, snapshot
        if before != snapshot:
            self._on_change()

    async def send(self, bundles: Sequence[Bundle]) -> list[Bundle]:
        """Send bundles to the scheduler, and answer those that were not sent.

        A bundle that was sent may still be lost; only the scheduler knows what has arrived.
        """
        link, snapshot = self._link, self.snapshot
        if link is None or snapshot is None:
            return list(bundles)
        unsent = {bundle.dispatch: bundle for bundle in bundles}
        for graph in graphs(bundles, snapshot):
            if link.lost or not await link.room() or link.lost:
                break
            try:
                link.submit(graph)
            except Exception:
                log.exception("Dask's client refused a graph", bundles=len(graph.bundles))
                break
            for bundle in graph.bundles:
                del unsent[bundle.dispatch]
        return list(unsent.values())

    async def statuses(self, keys: Sequence[str]) -> Statuses:
        """Ask the scheduler about these keys.

        Raises:
            SchedulerUnavailable: nobody answered in time, or it is not certain who did.
        """
        link, snapshot = self._link, self.snapshot
        if link is None or snapshot is None:
            raise SchedulerUnavailable("there is no connection to a Dask scheduler")
        states = await link.states(keys, STATUS_S)
        # The answer may have come from a successor at the same address, which knows none of the keys.
        seen = await link.look(STATUS_S)
        if seen.scheduler != snapshot.scheduler or link.lost:
            raise SchedulerUnavailable("the Dask scheduler was replaced while it was asked")
        return Statuses(seen.scheduler, states)


def _stream(client: Client) -> Any:
    """The client's own connection: it is replaced when the client connects anew, and our interval with it."""
    return client.scheduler_comm


async def _close(client: Client) -> None:
    try:
        async with asyncio.timeout(CLOSE_S + 1):
            await client.close(timeout=CLOSE_S)
    except Exception as error:
        log.debug("Dask's client did not close in order", error=repr(error))
