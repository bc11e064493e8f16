"""Virtual time: events in order, the fake ECS, Dask's model on the machines that it runs."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any

from bench.simulator.dask import Dask, Task
from bench.simulator.settings import Settings
from bench.simulator.traces import Trace
from tests.fakes.ecs import ON_DEMAND, SPOT, Definition, FakeEcs, FakeTask, Hooks, Limits, uniform

BEGIN = 1_000_000.0
"""Virtual seconds since the epoch at which everything begins."""


class World(Hooks):
    """One run of one trace.

    Args:
        trace: the demand.
        settings: of the simulator.
        seed: of the start latencies.
        drains: whether workers finish what they run after SIGTERM; stock workers of Dask do not.
        lead: seconds of virtual time before the trace begins.
        quotas: of the fake; its defaults are AWS's.
    """

    def __init__(
        self,
        trace: Trace,
        settings: Settings,
        seed: int,
        *,
        drains: bool,
        lead: float = 0.0,
        quotas: Limits | None = None,
    ) -> None:
        self.trace = trace
        self.settings = settings
        self.now = BEGIN - lead
        self.tasks: list[Task] = []
        self.samples: list[tuple[float, int, int]] = []
        """Seconds into the trace, tasks at hand (running or queued), machines on the bill."""
        self.on_gone: Callable[[str], None] = _nothing
        self.on_running: Callable[[str], None] = _nothing
        self._drains = drains
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = count()
        self._alive: dict[str, FakeTask] = {}
        cloud = settings.cloud
        self.dask = Dask(self.clock, self.at, self._emptied)
        self.ecs = FakeEcs(
            self.clock,
            definitions=[Definition("tidegate-worker", 1, stop_timeout=120.0, vcpu=2.0, memory=4096)],
            latency=uniform(cloud.start_low, cloud.start_high),
            pull_share=cloud.pull_share,
            quotas=quotas,
            seed=seed,
            hooks=self,
        )
        self.ecs.calls = _Last()
        self._next = iter(trace.arrivals)
        self._arrive()
        if trace.storm is not None:
            self.at(BEGIN + trace.storm.at, self._storm)
        self._every = max(1.0, trace.length / 1500)
        self.at(BEGIN, self._sample)

    def clock(self) -> float:
        """Virtual seconds since the epoch."""
        return self.now

    def at(self, when: float, happen: Callable[..., None], *arguments: Any) -> None:
        """Let something happen at a time."""
        heapq.heappush(self._events, (when, next(self._order), happen, arguments))

    def run(self, patience: float = 3600.0) -> None:
        """Go on until all tasks are done, the trace is over and the machines are gone, at most `patience` after."""
        end = None
        while True:
            due = self.ecs.next_at()
            when = min(self._events[0][0], float("inf") if due is None else due)
            self.now = max(self.now, when)
            if due is not None and due <= self.now:
                self.ecs.advance()
            while self._events[0][0] <= self.now:
                _, _, happen, arguments = heapq.heappop(self._events)
                happen(*arguments)
            if self.over():
                end = self.now if end is None else end
                if self.now > end + patience or not any(self.ecs.lives.alive.values()):
                    return

    def over(self) -> bool:
        """Whether the trace is over and all its tasks are done."""
        return self.dask.left == 0 and self._upcoming is None and self.now >= BEGIN + self.trace.length

    # ---- the trace ----

    def _arrive(self) -> None:
        self._upcoming = next(self._next, None)
        if self._upcoming is not None:
            self.at(BEGIN + self._upcoming[0], self._arrived, self._upcoming[1])

    def _arrived(self, duration: float) -> None:
        self.tasks.append(self.dask.submit(duration))
        self._arrive()

    def _storm(self) -> None:
        storm = self.trace.storm
        if storm is not None:
            self.ecs.set_capacity(SPOT, 0)
            self.ecs.reclaim(storm.share)
            self.at(self.now + storm.drought, self.ecs.set_capacity, SPOT, None)

    def _sample(self) -> None:
        machines = sum(self.ecs.lives.alive[pool] for pool in (SPOT, ON_DEMAND))
        self.samples.append((self.now - BEGIN, self.dask.processing + len(self.dask.queued), machines))
        self.at(self.now + self._every, self._sample)

    # ---- containers ----

    def on_start(self, task: FakeTask) -> None:
        """See `Hooks`."""
        self._alive[task.id] = task
        self.at(self.now + self.settings.cloud.imports, self._join, task.id)
        self.on_running(task.id)

    def on_sigterm(self, task: FakeTask) -> None:
        """See `Hooks`."""
        if not self._drains or self.dask.leave(task.id):
            self.drop(task.id)
        else:
            self.at(self.now + self.settings.cloud.grace, self.drop, task.id)

    def on_kill(self, task: FakeTask) -> None:
        """See `Hooks`."""
        self._end(task.id)

    def drop(self, machine: str) -> None:
        """A worker ends at once; what it ran runs again. Its container follows."""
        if machine in self._alive:
            self.dask.gone(machine)
            self.at(self.now + self.settings.cloud.leave, self._end, machine)

    def _end(self, machine: str) -> None:
        if self._alive.pop(machine, None) is not None:
            self.dask.gone(machine)
            self.ecs.exit(machine)
            self.on_gone(machine)

    def _join(self, machine: str) -> None:
        task = self._alive.get(machine)
        if task is not None and task.desired == "RUNNING":
            self.dask.join(machine, self.settings.cloud.threads)

    def _emptied(self, machine: str) -> None:
        task = self._alive.get(machine)
        if task is not None and task.desired == "STOPPED":
            self.drop(machine)


def _nothing(machine: str) -> None:
    del machine


class _Last(list[Any]):
    """Keeps the last call only: a day has many."""

    def append(self, call: Any) -> None:
        self[:] = [call]
