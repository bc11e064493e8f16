"""A strict ECS in memory, shaped like boto3's client: it refuses what AWS refuses and lives on a virtual clock.

Only Fargate, one capacity provider a call, one container a task. Errors are those that boto3 raises.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from botocore.exceptions import ReadTimeoutError

from tests.fakes import ecs_limits as limits
from tests.fakes.ecs_life import NO_CAPACITY, SPOT_WARNING, Hooks, Lives
from tests.fakes.ecs_limits import Bucket, Limits, client_error
from tests.fakes.ecs_operations import Operations
from tests.fakes.ecs_services import Services
from tests.fakes.ecs_task import ON_DEMAND, SPOT, Definition, FakeTask

__all__ = ["NO_CAPACITY", "ON_DEMAND", "SPOT", "Call", "Definition", "FakeEcs", "FakeTask", "Hooks", "Limits"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Call:
    """One call that was made: when, with what, and the code of the error that it ended in."""

    operation: str
    parameters: Mapping[str, Any]
    at: float
    error: str | None = None


def uniform(low: float = 30.0, high: float = 60.0) -> Callable[[random.Random], float]:
    """Start latencies: seconds from RunTask to RUNNING."""
    return lambda chance: chance.uniform(low, high)


def _locked(method: F) -> F:
    @wraps(method)
    def wrapper(self: FakeEcs, *arguments: Any, **keywords: Any) -> Any:
        with self.lock:
            self.lives.advance()
            return method(self, *arguments, **keywords)

    return wrapper  # type: ignore[return-value]


class FakeEcs:
    """The fake service, client and controls in one.

    Args:
        clock: seconds since the epoch.
        definitions: task definitions that are registered.
        cluster: the one cluster's name.
        quotas: limits on calls and launches.
        latency: draws the seconds from RunTask to RUNNING.
        list_lag: seconds until a task shows up in ListTasks.
        describe_lag: seconds until a task can be described.
        pull_share: part of the latency that passes before the image is pulled and the bill begins.
        drain: seconds after SIGTERM in which a container ends by itself; None: by `exit` or when killed.
        seed: of everything random.
        hooks: told when a container starts and is signalled.

    Attributes:
        services: those of the cluster, to be made and changed.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        definitions: Iterable[Definition] = (),
        cluster: str = "tidegate",
        quotas: Limits | None = None,
        latency: Callable[[random.Random], float] | None = None,
        list_lag: float = 0.0,
        describe_lag: float = 0.0,
        pull_share: float = 0.5,
        drain: float | None = None,
        seed: int = 0,
        hooks: Hooks | None = None,
    ) -> None:
        quotas = quotas or Limits()
        chance = random.Random(seed)
        self.lock = threading.RLock()
        self.calls: list[Call] = []
        self.on_call: Callable[[Call], None] = lambda call: None
        self.lives = Lives(clock, hooks or Hooks(), pull_share, drain)
        self.service = Operations(
            clock, self.lives, quotas, cluster=cluster, latency=latency or uniform(), chance=chance
        )
        self.service.list_lag, self.service.describe_lag = list_lag, describe_lag
        self.services = Services(self.service, self.lives, cluster)
        self._clock = clock
        self._chance = chance
        self._modify = Bucket(quotas.modify, clock)
        self._read = Bucket(quotas.read, clock)
        self._errors: dict[str, deque[Exception]] = defaultdict(deque)
        self._lost: dict[str, deque[Exception]] = defaultdict(deque)
        for definition in definitions:
            self.register(definition)

    # ---- the client ----

    def run_task(self, **parameters: Any) -> dict[str, Any]:
        """RunTask."""
        return self._serve("RunTask", parameters, self.service.run)

    def stop_task(self, **parameters: Any) -> dict[str, Any]:
        """StopTask."""
        return self._serve("StopTask", parameters, self.service.stop)

    def list_tasks(self, **parameters: Any) -> dict[str, Any]:
        """ListTasks."""
        return self._serve("ListTasks", parameters, self.service.list)

    def describe_tasks(self, **parameters: Any) -> dict[str, Any]:
        """DescribeTasks."""
        return self._serve("DescribeTasks", parameters, self.service.describe)

    def describe_services(self, **parameters: Any) -> dict[str, Any]:
        """DescribeServices."""
        return self._serve("DescribeServices", parameters, self.services.describe)

    def close(self) -> None:
        """Do nothing."""

    # ---- controls ----

    @_locked
    def advance(self) -> None:
        """Let happen what is due by the clock; every call does so first."""

    def next_at(self) -> float | None:
        """When something will happen by itself; None: never."""
        return self.lives.next_at()

    @property
    def tasks(self) -> dict[str, FakeTask]:
        """All tasks that ever were, by id, as they are now."""
        self.advance()
        return self.service.tasks

    @_locked
    def set_capacity(self, provider: str, tasks: int | None, *, raises: bool = False) -> None:
        """Give a provider room for so many tasks at the same time, None for any number.

        With `raises`, a RunTask that finds no room at all is refused instead of telling failures; ECS does both.
        """
        self.service.capacity[provider] = tasks
        self.service.capacity_raises = raises

    def register(self, definition: Definition) -> None:
        """Add a revision of a task definition, or replace it."""
        self.service.definitions[definition.family, definition.revision] = definition

    @_locked
    def reclaim(self, which: Iterable[str] | float) -> list[str]:
        """Take back Spot tasks that run: these ids, or a random part (0 to 1) of them. Returns their ids."""
        if isinstance(which, (int, float)):
            spot = [task for task in self.tasks.values() if task.spot and task.status == "RUNNING"]
            chosen = self._chance.sample(spot, round(len(spot) * which))
        else:
            chosen = [self.tasks[task] for task in which]
        for task in chosen:
            timeout = min(SPOT_WARNING, task.definition.stop_timeout)
            self.lives.stop(task, "SpotInterruption", "Your Spot Task was interrupted.", timeout)
        return [task.id for task in chosen]

    @_locked
    def exit(self, task: str, code: int = 0, reason: str | None = None) -> None:
        """The task's container ends; nothing happens when it has ended already."""
        self.lives.exit(self.tasks[task], code, reason)

    def fail_starts(self, reason: str | None, count: int | None = None) -> None:
        """Let tasks that are asked for from now on fail to start: the next `count`, or all; None: no more."""
        self.service.fates.clear()
        self.service.fate = None
        if reason is not None and count is not None:
            self.service.fates.extend([reason] * count)
        else:
            self.service.fate = reason

    def fail_next(self, operation: str, error: Exception | str, message: str = "injected", times: int = 1) -> None:
        """Let the next calls of an operation (`RunTask`) raise an error, given itself or as a code; nothing is done."""
        made = client_error(operation, error, message) if isinstance(error, str) else error
        self._errors[operation].extend([made] * times)

    def lose_answer(self, operation: str = "RunTask", error: Exception | None = None, times: int = 1) -> None:
        """Let the next calls of an operation do their work and then raise, a read timeout by default."""
        self._lost[operation].extend([error or ReadTimeoutError(endpoint_url="https://ecs.test")] * times)

    def running(self) -> list[FakeTask]:
        """Tasks that are RUNNING and not told to stop."""
        self.advance()
        return [task for task in self.tasks.values() if task.status == "RUNNING"]

    def count(self, operation: str) -> int:
        """Calls of an operation that were made."""
        return sum(call.operation == operation for call in self.calls)

    def billed_seconds(self) -> dict[str, int]:
        """Seconds on the bill until now, by capacity provider."""
        self.advance()
        now = self._clock()
        bill = dict.fromkeys(self.service.capacity, 0)
        for task in self.tasks.values():
            bill[task.pool] += task.billed_seconds(now)
        return bill

    def _serve(
        self, operation: str, parameters: dict[str, Any], work: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> dict[str, Any]:
        with self.lock:
            self.lives.advance()
            error: str | None = "internal"
            try:
                limits.validate(operation, parameters)
                if self._errors[operation]:
                    raise self._errors[operation].popleft()
                if not (self._modify if operation in limits.MODIFYING else self._read).take(1):
                    raise client_error(operation, "ThrottlingException", "Rate exceeded")
                self.service.check_cluster(operation, parameters)
                answer = work(parameters)
                if self._lost[operation]:
                    raise self._lost[operation].popleft()
                error = None
            except Exception as raised:
                response = getattr(raised, "response", None)
                error = response["Error"]["Code"] if response else type(raised).__name__
                raise
            finally:
                call = Call(operation, parameters, self._clock(), error)
                self.calls.append(call)
                self.on_call(call)
            return {**answer, "ResponseMetadata": {"HTTPStatusCode": 200, "RetryAttempts": 0}}
