"""A store in memory with the runner's five commands, and a runner that works with it.

It is no model of Redis (the contract tests are about that): it hands out fences, keeps who is running, and can be away.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from services.compute import computation
from services.compute.errors import StoreUnavailable
from services.compute.models import Progress, State, TaskError
from services.compute.registry import Computation, register
from services.compute.runner import RunnerContext, install, run_bundle
from services.compute.store import Store, StoredRecord
from services.compute.store.types import Charge, Finished, Handback, Refusal, Refused, Started

DISPATCH = "double-0123456789abcdef-0"


class FakeStore:
    """Answers as the server would, as far as the runner looks."""

    def __init__(self) -> None:
        self.running: dict[str, int] = {}
        self.parameters: dict[str, bytes] = {}
        self.refuse: dict[str, Refusal] = {}
        self.finished: dict[str, Finished] = {}
        self.returned: list[tuple[str, Charge, int, TaskError]] = []
        self.starts: list[list[str]] = []
        self.finishes: list[list[str]] = []
        self.reports: list[tuple[str, Progress]] = []
        self.durations: dict[str, tuple[int, float]] = {}
        self.away = False
        self._fences = itertools.count(1)
        self._lock = threading.Lock()

    def _reach(self) -> None:
        if self.away:
            raise StoreUnavailable("Redis does not answer")

    def start(self, dispatch: str, task_ids: Sequence[str], *, timeout_ms: int, **_: object) -> list[Started | Refused]:
        self._reach()
        with self._lock:
            self.starts.append(list(task_ids))
            return [self._start(task_id, timeout_ms) for task_id in task_ids]

    def _start(self, task_id: str, timeout_ms: int) -> Started | Refused:
        if task_id in self.refuse:
            return Refused(task_id, self.refuse[task_id])
        fence = self.running[task_id] = next(self._fences)
        return Started(task_id, fence, 1, self.parameters.get(task_id, b"{}"), 1_000_000 + timeout_ms, 1_000_000)

    def finish(self, items: Sequence[Finished], durations: Mapping[str, tuple[int, float]] | None = None) -> list[bool]:
        self._reach()
        with self._lock:
            self.finishes.append([item.task_id for item in items])
            for name, (count, total) in (durations or {}).items():
                before = self.durations.get(name, (0, 0.0))
                self.durations[name] = (before[0] + count, before[1] + total)
            return [self._finish(item) for item in items]

    def _finish(self, item: Finished) -> bool:
        if self.running.get(item.task_id) != item.fence:
            return False
        del self.running[item.task_id]
        self.finished[item.task_id] = item
        return True

    def requeue(
        self,
        items: Sequence[Handback],
        charge: Charge,
        *,
        delay_ms: int = 0,
        reason: TaskError,
        **_: object,
    ) -> list[State | None]:
        self._reach()
        with self._lock:
            for item in items:
                self.running.pop(item.task_id, None)
                self.returned.append((item.task_id, charge, delay_ms, reason))
        return [State.PENDING] * len(items)

    def progress(self, task_id: str, fence: int, value: Progress) -> bool:
        self._reach()
        self.reports.append((task_id, value))
        return self.running.get(task_id) == fence

    def get(self, task_ids: Sequence[str], with_results: bool = False) -> list[StoredRecord | None]:
        self._reach()
        return [None] * len(task_ids)


class FakeObjects:
    """Large results in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, key: str, data: bytes, ttl: float) -> str:
        self.kept[key] = data
        return key

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)


def make(function: Callable[..., Any], **options: Any) -> Computation:
    """The computation that the decorator makes of a function."""
    return register(computation(version="1", **options)(function))


def ids(count: int, name: str = "double") -> list[str]:
    return [f"{name}-{n:032x}" for n in range(count)]


@contextmanager
def runner(store: FakeStore, *computations: Computation, **options: Any) -> Iterator[RunnerContext]:
    """A runner whose threads keep watch, installed for `run_bundle`."""
    registry = {each.name: each for each in computations}
    context = RunnerContext(cast(Store, store), registry, worker="w-0", run="0" * 16, **options)
    context.start()
    install(context)
    try:
        yield context
    finally:
        install(None)
        context.close(time.monotonic() + 1)


def run(computation: Computation, task_ids: Sequence[str], dispatch: str = DISPATCH) -> None:
    """Run a bundle in this thread."""
    run_bundle(dispatch, computation.name, computation.version, task_ids)


@contextmanager
def running(computation: Computation, task_ids: Sequence[str], dispatch: str = DISPATCH) -> Iterator[threading.Thread]:
    """Run a bundle in a thread of its own."""
    thread = threading.Thread(target=run, args=(computation, task_ids, dispatch), daemon=True)
    thread.start()
    yield thread
    thread.join(10)
    assert not thread.is_alive()
