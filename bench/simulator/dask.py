"""A model of Dask's scheduler: a queue, workers with slots, and its own answers to `adaptive_target`.

What it answers is computed by distributed's own functions (`Scheduler.adaptive_target`, `Scheduler.workers_to_close`,
`TaskPrefix`), called on this model. Tasks are root tasks of one prefix, queued at the scheduler as under the default
`worker-saturation` (1.1: a worker takes ceil(1.1 × threads) tasks); an arriving task goes to the worker with the
fewest. There is no data, so memory plays no part.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from distributed.scheduler import Scheduler, TaskPrefix

SATURATION = 1.1
UNKNOWN_S = 0.5
_REAL: Any = Scheduler


class Task:
    """One task; times are virtual seconds."""

    __slots__ = ("arrived", "duration", "ended", "prefix", "runs", "started", "worker")

    def __init__(self, arrived: float, duration: float, prefix: TaskPrefix) -> None:
        self.arrived = arrived
        self.duration = duration
        self.prefix = prefix
        self.started = math.nan
        self.ended = math.nan
        self.runs = 0
        self.worker: Worker | None = None


class Worker:
    """One Dask worker, with what distributed's functions look at."""

    __slots__ = (
        "address", "leaving", "long_running", "memory_limit", "name", "nbytes", "nthreads", "order", "processing",
        "running", "waiting",
    )  # fmt: skip

    def __init__(self, name: str, threads: int, order: int) -> None:
        self.name = name
        self.address = f"tcp://{name}:1"
        self.nthreads = threads
        self.order = order
        self.memory_limit = 4 << 30
        self.nbytes = 0
        self.long_running: tuple[()] = ()
        self.processing: dict[Task, None] = {}
        self.running: dict[Task, None] = {}
        self.waiting: deque[Task] = deque()
        self.leaving = False


class Dask:
    """The scheduler and its workers.

    Args:
        clock: virtual seconds.
        at: calls a function at a time.
        on_empty: told of a worker that leaves when nothing is left on it.
    """

    UNKNOWN_TASK_DURATION = UNKNOWN_S
    plugins: dict[str, Any] = {}  # noqa: RUF012

    def __init__(
        self,
        clock: Callable[[], float],
        at: Callable[..., None],
        on_empty: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._at = at
        self._on_empty = on_empty
        self._joined = 0
        self._ready: list[list[tuple[int, str, Worker]]] = []
        self._oldest: list[tuple[float, int, Task]] = []
        self.prefix = TaskPrefix("work")
        self.workers: dict[str, Worker] = {}
        self.queued: deque[Task] = deque()
        self.unrunnable: dict[Task, float] = {}
        self.processing = 0
        self.busy = 0
        self.left = 0
        self.first_started = math.inf
        self.lost = 0.0
        """Thread-seconds of runs that were cut off."""

    # ---- what distributed's functions ask for ----

    @property
    def total_occupancy(self) -> float:
        """See `SchedulerState.total_occupancy`: one prefix, no network."""
        return self.processing * self._get_prefix_duration(self.prefix)

    def _get_prefix_duration(self, prefix: TaskPrefix) -> float:
        return float(_REAL._get_prefix_duration(self, prefix))

    def workers_to_close(self, **arguments: Any) -> list[str]:
        """See `Scheduler.workers_to_close`."""
        return list(_REAL.workers_to_close(self, **arguments))

    def adaptive_target(self, target_duration: float, held_back: int = 0) -> int:
        """See `Scheduler.adaptive_target`; heartbeats have told how long running tasks have run.

        The last `held_back` tasks of the queue are left out: they are not with the scheduler yet.
        """
        self._heartbeat()
        everything = self.queued
        if held_back:
            self.queued = deque(list(everything)[: len(everything) - held_back])
        try:
            return int(_REAL.adaptive_target(self, target_duration))
        finally:
            self.queued = everything

    def _heartbeat(self) -> None:
        """Workers tell how long their tasks have run; of one prefix only the longest has consequences."""
        while self._oldest and (self._oldest[0][2].started != self._oldest[0][0] or self._oldest[0][2].worker is None):
            heapq.heappop(self._oldest)
        if self._oldest:
            self.prefix.add_exec_time(self._clock() - self._oldest[0][0])

    # ---- what happens ----

    def submit(self, duration: float) -> Task:
        """A task arrives."""
        task = Task(self._clock(), duration, self.prefix)
        self.left += 1
        self.queued.append(task)
        self._assign()
        return task

    def join(self, name: str, threads: int) -> None:
        """A worker is there."""
        self._joined += 1
        # Among equals Dask takes the first of a set: some workers are preferred all the time, by no rule.
        self.workers[name] = Worker(name, threads, (self._joined * 2654435761) % 2**32)
        self._file(self.workers[name])
        self._assign()

    def leave(self, name: str) -> bool:
        """A worker takes nothing new and goes on with what runs; whether nothing runs on it."""
        worker = self.workers.get(name)
        if worker is None:
            return True
        worker.leaving = True
        self._give_back(worker.waiting, worker)
        self._assign()
        return not worker.processing

    def gone(self, name: str) -> None:
        """A worker is gone, and what it ran begins again elsewhere."""
        worker = self.workers.pop(name, None)
        if worker is None:
            return
        for task in worker.running:
            self.lost += self._clock() - task.started
        self.busy -= len(worker.running)
        worker.running.clear()
        worker.waiting.clear()
        worker.leaving = True
        self._give_back(list(worker.processing), worker)
        self._assign()

    # ---- inside ----

    def _give_back(self, tasks: Iterable[Task], worker: Worker) -> None:
        back = list(tasks)
        for task in back:
            del worker.processing[task]
            task.worker = None
        worker.waiting.clear()
        self.processing -= len(back)
        self.queued.extendleft(reversed(back))

    def _file(self, worker: Worker) -> None:
        """Note how many tasks a worker has, for `_pick`; what was noted before is passed over."""
        count = len(worker.processing)
        while len(self._ready) <= count:
            self._ready.append([])
        heapq.heappush(self._ready[count], (worker.order, worker.name, worker))

    def _assign(self) -> None:
        while self.queued:
            worker = self._pick()
            if worker is None:
                return
            self._give(worker, self.queued.popleft())

    def _pick(self) -> Worker | None:
        for count, heap in enumerate(self._ready):
            while heap:
                worker = heap[0][2]
                if not worker.leaving and len(worker.processing) == count:
                    full = max(math.ceil(SATURATION * worker.nthreads), 1)
                    return worker if count < full else None
                heapq.heappop(heap)
        return None

    def _give(self, worker: Worker, task: Task) -> None:
        worker.processing[task] = None
        task.worker = worker
        self.processing += 1
        self._file(worker)
        if len(worker.running) < worker.nthreads:
            self._start(worker, task)
        else:
            worker.waiting.append(task)

    def _start(self, worker: Worker, task: Task) -> None:
        task.started = self._clock()
        task.runs += 1
        self.first_started = min(self.first_started, task.started)
        worker.running[task] = None
        self.busy += 1
        heapq.heappush(self._oldest, (task.started, id(task), task))
        self._at(task.started + task.duration, self._finish, worker, task, task.runs)

    def _finish(self, worker: Worker, task: Task, run: int) -> None:
        if task.worker is not worker or task.runs != run:
            return
        del worker.processing[task], worker.running[task]
        task.worker = None
        task.ended = self._clock()
        self.processing -= 1
        self.busy -= 1
        self.left -= 1
        self.prefix.add_duration("compute", task.started, task.ended)
        if worker.waiting:
            self._start(worker, worker.waiting.popleft())
        self._file(worker)
        self._assign()
        if worker.leaving and not worker.processing:
            self._on_empty(worker.name)
