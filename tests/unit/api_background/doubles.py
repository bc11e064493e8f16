"""A store and a cluster that only remember what they were asked, for loops whose every step a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from services.api.dispatch_settings import DispatchSettings
from services.api.plan import SchedulerUnavailable, Snapshot, Statuses, WorkerView
from services.compute.errors import StoreUnavailable
from services.compute.models import Priority, State
from services.compute.store import AsyncStore
from services.compute.store.types import Bundle, Charge, Depth, Finished, FlightEntry, Handback, Taken

ONE_WORKER = Snapshot("S1", "tcp://s", (WorkerView("tcp://a", "a", 2, "running", "run1", {"f": "v1"}),))
EMPTY = Depth(0, 0, 0, 0)


async def until(probe: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until the probe answers true; AssertionError when it does not in time."""
    for _ in range(int(seconds / 0.005)):
        if probe():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"not within {seconds:g} s")


def settings(**changes: Any) -> DispatchSettings:
    return DispatchSettings(**{"reconcile_interval": 0.1, "reconcile_grace": 0.5, **changes})


def bundle(number: int, tasks: int = 1) -> Bundle:
    ids = tuple(f"f-{number}.{member}" for member in range(tasks))
    return Bundle(f"f-00000000000000aa-{number}", "f", "v1", Priority.BATCH, ids)


class FakeDask:
    """A cluster whose answers are set by the test."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = ONE_WORKER
        self.sent: list[Bundle] = []
        self.refuses = False
        self.states: dict[str, str | None] = {}
        self.asked: list[list[str]] = []

    async def send(self, bundles: Sequence[Bundle]) -> list[Bundle]:
        if self.refuses:
            return list(bundles)
        self.sent += bundles
        return []

    async def statuses(self, keys: Sequence[str]) -> Statuses:
        self.asked.append(list(keys))
        if self.snapshot is None or self.refuses:
            raise SchedulerUnavailable("away")
        return Statuses(self.snapshot.scheduler, {key: self.states.get(key) for key in keys})


class FakeStore:
    """A store that remembers calls; `takes` are answered in order, then nothing is taken any more."""

    def __init__(self) -> None:
        self.away = False
        self.takes: list[Taken | Exception] = []
        self.taken: list[dict[str, Any]] = []
        self.requeued: list[tuple[list[Handback], Charge, dict[str, Any]]] = []
        self.flight: list[FlightEntry] = []
        self.postponed: dict[str, int] = {}
        self.finished: list[Finished] = []
        self.leases: dict[str, str] = {}
        self.answer: Callable[[Handback], State | None] = lambda _: State.PENDING

    def as_store(self) -> AsyncStore:
        return cast("AsyncStore", self)

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("away")

    async def take(self, **arguments: Any) -> Taken:
        self.taken.append(arguments)
        self._check()
        answer = self.takes.pop(0) if self.takes else Taken((), EMPTY)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def requeue(self, items: Sequence[Handback], charge: Charge, **arguments: Any) -> list[State | None]:
        self._check()
        self.requeued.append((list(items), charge, arguments))
        gone = {item.task_id for item in items}
        self.flight = [entry for entry in self.flight if entry.task_id not in gone]
        return [self.answer(item) for item in items]

    async def due(self, limit: int = 500) -> list[FlightEntry]:
        self._check()
        return [entry for entry in self.flight if entry.task_id not in self.postponed][:limit]

    async def postpone(self, task_ids: Sequence[str], check_after_ms: int) -> None:
        self._check()
        self.postponed.update(dict.fromkeys(task_ids, check_after_ms))

    async def finish(self, items: Sequence[Finished]) -> list[bool]:
        self._check()
        self.finished += items
        gone = {item.task_id for item in items}
        self.flight = [entry for entry in self.flight if entry.task_id not in gone]
        return [True] * len(items)

    async def lease(self, name: str, owner: str, ttl_ms: int) -> bool:
        self._check()
        return self.leases.setdefault(name, owner) == owner

    async def release(self, name: str, owner: str) -> bool:
        self._check()
        return self.leases.pop(name, None) == owner
