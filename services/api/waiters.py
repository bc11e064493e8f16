"""Who waits for tasks, and how they hear of changes: one subscription for the whole process.

A change costs one dict lookup, whoever waits. Pub/sub loses messages (reconnects, full buffers), so a message is
only ever a reason to look earlier: whoever waits reads the record itself, after each (re)subscription and every few
seconds. A lost message delays, it never hides.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager

import structlog

from services.api.metrics import TaskLatencies
from services.compute.errors import StoreUnavailable
from services.compute.models import FINAL_STATES
from services.compute.store.aio import AsyncStore
from services.compute.store.records import StoredRecord
from services.compute.store.types import Change

POLL_SECONDS = 5.0
"""How often whoever waits reads the record without having heard anything."""

_RESUBSCRIBE_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Watch:
    """One waiter's view of some tasks: which of them changed since it last looked.

    Attributes:
        changed: ids whose state was announced, with that state; the waiter takes them out.
    """

    __slots__ = ("_event", "changed")

    def __init__(self) -> None:
        self.changed: dict[str, Change] = {}
        self._event = asyncio.Event()

    def tell(self, change: Change | None) -> None:
        """Wake the waiter; None means: something may have been missed."""
        if change is not None:
            self.changed[change.task_id] = change
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Until something changed, at most `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()


class ChangeHub:
    """Spreads the store's changes to the waiters of this process.

    Args:
        store: whose changes are spread.
        latencies: told of each task that ends.
        poll_seconds: how often a waiter looks unprompted.
    """

    def __init__(self, store: AsyncStore, latencies: TaskLatencies, poll_seconds: float = POLL_SECONDS) -> None:
        self._store = store
        self._latencies = latencies
        self._watches: dict[str, set[Watch]] = {}
        self._poll_seconds = poll_seconds
        self.closing = False
        """Set when the process ends: whoever waits is answered with what is known."""

    async def run(self) -> None:
        """Listen until cancelled; survives any error."""
        while True:
            try:
                async with self._store.changes() as changes:
                    self._tell_all()
                    async for batch in changes:
                        self._spread(batch)
            except StoreUnavailable as error:
                log.warning("subscription lost", reason=str(error))
            except Exception:
                log.exception("subscription failed")
            self._tell_all()
            await asyncio.sleep(_RESUBSCRIBE_SECONDS * (0.5 + random.random()))  # noqa: S311

    def close(self) -> None:
        """Answer whoever waits, now and from now on, with what is known."""
        self.closing = True
        self._tell_all()

    @contextmanager
    def watch(self, task_ids: Iterable[str]) -> Iterator[Watch]:
        """Hear of changes of these tasks; read the records after entering, not before."""
        watch, watches, ids = Watch(), self._watches, list(task_ids)
        for task_id in ids:
            watches.setdefault(task_id, set()).add(watch)
        try:
            yield watch
        finally:
            for task_id in ids:
                remaining = watches[task_id]
                remaining.discard(watch)
                if not remaining:
                    del watches[task_id]

    async def pause(self, watch: Watch, deadline: float) -> None:
        """Until the watch hears something, it is time to look unprompted, or the deadline (loop time) is there."""
        left = deadline - asyncio.get_running_loop().time()
        await watch.wait(max(0.0, min(left, self._poll_seconds)))

    async def final_record(self, task_id: str, seconds: float, *, with_results: bool = False) -> StoredRecord | None:
        """Hold until this task is final (or unknown), at most `seconds`, or until the process ends.

        Returns:
            its record as last read.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        with self.watch([task_id]) as watch:
            while True:
                (record,) = await self._store.get([task_id], with_results=with_results)
                if record is None or record.state in FINAL_STATES or self._over(deadline):
                    return record
                await self._next(watch, {task_id}, deadline)

    async def wait_final(self, task_ids: Iterable[str], seconds: float) -> None:
        """Hold until all these tasks are final (or unknown), at most `seconds`, or until the process ends."""
        deadline = asyncio.get_running_loop().time() + seconds
        open_ids = set(task_ids)
        with self.watch(open_ids) as watch:
            while True:
                ids = list(open_ids)
                for task_id, state in zip(ids, await self._store.states(ids), strict=True):
                    if state is None or state in FINAL_STATES:
                        open_ids.discard(task_id)
                if not open_ids or self._over(deadline):
                    return
                await self._next(watch, open_ids, deadline)

    def _over(self, deadline: float) -> bool:
        return self.closing or asyncio.get_running_loop().time() >= deadline

    async def _next(self, watch: Watch, open_ids: Set[str], deadline: float) -> None:
        """Until all that are open are said to be final, or it is time to look unprompted."""
        said_final: set[str] = set()
        loop = asyncio.get_running_loop()
        look = min(deadline, loop.time() + self._poll_seconds)
        while loop.time() < look and not self.closing:
            await watch.wait(look - loop.time())
            if not watch.changed:  # missed something, or nothing happened for long
                return
            for task_id, change in watch.changed.items():
                if change.state in FINAL_STATES:
                    said_final.add(task_id)
                else:
                    said_final.discard(task_id)
            watch.changed.clear()
            if open_ids <= said_final:
                return

    def _spread(self, batch: Iterable[Change]) -> None:
        watches = self._watches
        for change in batch:
            if change.state in FINAL_STATES:
                self._latencies.final(change.task_id)
            for watch in watches.get(change.task_id, ()):
                watch.tell(change)

    def _tell_all(self) -> None:
        for watches in self._watches.values():
            for watch in watches:
                watch.tell(None)
