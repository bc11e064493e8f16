"""The lives of the fake's tasks: they move on with the clock, never by being looked at."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count

from tests.fakes.ecs_task import FakeTask

KILLED = 137
SPOT_WARNING = 120.0
NO_CAPACITY = "Capacity is unavailable at this time. Please try again later or in a different availability zone"


class Hooks:
    """What happens in a task's container; override what matters, and end tasks with `exit`."""

    def on_start(self, task: FakeTask) -> None:
        """The task is RUNNING."""

    def on_sigterm(self, task: FakeTask) -> None:
        """The container got SIGTERM; `stop_timeout` later it is killed."""

    def on_kill(self, task: FakeTask) -> None:
        """The container got SIGKILL; the task is STOPPED right after."""


class Lives:
    """Moves tasks through their states at the times that are due, in order.

    Args:
        clock: seconds since the epoch; never runs backwards.
        hooks: told of what happens in containers.
        pull_share: part of the start latency that passes before the image is pulled, which is not billed.
        drain: seconds after SIGTERM in which a container ends by itself with status 0; None: only by `exit`, or killed.
    """

    def __init__(self, clock: Callable[[], float], hooks: Hooks, pull_share: float, drain: float | None) -> None:
        self.hooks = hooks
        self.alive: Counter[str] = Counter()
        self.on_unlist: Callable[[FakeTask], None] = lambda task: None
        self.on_health: Callable[[FakeTask], None] = lambda task: None
        self.on_end: Callable[[FakeTask], None] = lambda task: None
        self._clock = clock
        self._pull_share = pull_share
        self._drain = drain
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._moment: float | None = None

    @property
    def now(self) -> float:
        """The time of what is happening: while events are caught up with, theirs."""
        return self._clock() if self._moment is None else self._moment

    def next_at(self) -> float | None:
        """When something will happen by itself; None: never."""
        return self._due[0][0] if self._due else None

    def advance(self) -> None:
        """Let happen what is due."""
        if self._moment is not None:  # called from a hook
            return
        until = self._clock()
        try:
            while self._due and self._due[0][0] <= until:
                self._moment, _, happen = heapq.heappop(self._due)
                happen()
        finally:
            self._moment = None

    def later(self, when: float, happen: Callable[[], None]) -> None:
        """Let something happen at a time."""
        heapq.heappush(self._due, (when, next(self._order), happen))

    def begin(self, task: FakeTask, latency: float) -> None:
        """Start a task that will be RUNNING after so many seconds, if it is not fated to fail."""
        self.alive[task.pool] += 1
        self._at(task.created_at + latency * self._pull_share, self._pull, task)
        self._at(task.created_at + latency, self._run, task)

    def stop(self, task: FakeTask, code: str, reason: str, timeout: float) -> None:
        """Tell a task to stop; one that does is told no more."""
        if task.desired == "STOPPED":
            return
        task.desired, task.stop_code, task.stopped_reason = "STOPPED", code, reason
        task.stopping_at = self.now
        self.on_unlist(task)
        if task.status != "RUNNING":
            self._end(task)
            return
        task.status = "STOPPING"
        self._at(self.now + timeout, self._kill, task)
        if self._drain is not None:
            self._at(self.now + self._drain, self._drained, task)
        self.hooks.on_sigterm(task)

    def exit(self, task: FakeTask, code: int, reason: str | None) -> None:
        """The container ended, by itself or as it was told to."""
        if task.status not in {"RUNNING", "STOPPING"}:
            return
        task.exit_code, task.exit_reason = code, reason
        if task.desired != "STOPPED":
            task.stop_code, task.stopped_reason = "EssentialContainerExited", "Essential container in task exited"
            task.stopping_at = self.now
        self._end(task)

    def _at(self, when: float, happen: Callable[[FakeTask], None], task: FakeTask) -> None:
        self.later(when, partial(happen, task))

    def _pull(self, task: FakeTask) -> None:
        if task.status != "PROVISIONING":
            return
        if task.fate is not None and ("Capacity is unavailable" in task.fate or "ResourceInit" in task.fate):
            self._fail(task)
            return
        task.status = "PENDING"
        task.pull_started_at = self.now

    def _run(self, task: FakeTask) -> None:
        if task.status != "PENDING":
            return
        if task.fate is not None:
            self._fail(task)
            return
        task.status = "RUNNING"
        task.started_at = self.now
        if task.definition.health_after is not None:
            self._at(self.now + task.definition.health_after, self._check_health, task)
        self.hooks.on_start(task)

    def _check_health(self, task: FakeTask) -> None:
        if task.status == "RUNNING":
            task.health = "HEALTHY" if task.definition.healthy else "UNHEALTHY"
            self.on_health(task)

    def _fail(self, task: FakeTask) -> None:
        task.stop_code, task.stopped_reason = "TaskFailedToStart", task.fate
        task.stopping_at = self.now
        self._end(task)

    def _drained(self, task: FakeTask) -> None:
        self.exit(task, 0, None)

    def _kill(self, task: FakeTask) -> None:
        if task.status == "STOPPING":
            self.hooks.on_kill(task)
            self.exit(task, KILLED, None)

    def _end(self, task: FakeTask) -> None:
        if task.desired != "STOPPED":
            task.desired = "STOPPED"
            self.on_unlist(task)
        task.status = "STOPPED"
        task.stopped_at = self.now
        self.alive[task.pool] -= 1
        self.on_end(task)
